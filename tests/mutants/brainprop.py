"""Defects for BrainProp: the rule in both frameworks, its networks, unshared weights, gains."""

from tests.mutants import Mutation, Suite

RULE, LEARNER, PASSES = "brainprop/rule.py", "brainprop/learner.py", "brainprop/layers/forward.py"
STEP = "brainprop/step.py"
LAYERS, LOSS, BUILD = (
    "brainprop/layers/output.py",
    "brainprop/layers/loss.py",
    "brainprop/networks.py",
)
UNSHARED, GAIN = "brainprop/layers/locally_connected.py", "brainprop/gain/rule.py"
TORCH, NETWORKS = "brainprop/pytorch/rule.py", "brainprop/pytorch/networks.py"
SEPARATE, CONVERSION = "brainprop/pytorch/separate.py", "brainprop/pytorch/conversion.py"
ANY_LOSS, VALUES = "brainprop/pytorch/loss.py", "brainprop/layers/values.py"
KERAS_CONVERSION = "brainprop/layers/conversion.py"
MUTATIONS = (
    Mutation(
        "flip the teaching signal",
        RULE,
        "(-delta * scale)[:, None]",
        "(delta * scale)[:, None]",
    ),
    Mutation(
        "reward every action but the right one",
        RULE,
        "delta = tf.cast(selected == labels, q.dtype) - q_s",
        "delta = tf.cast(selected != labels, q.dtype) - q_s",
    ),
    Mutation(
        "explore also just above epsilon's edge",
        RULE,
        "u > tf.constant(epsilon, u.dtype)",
        "u >= tf.constant(epsilon, u.dtype)",
    ),
    Mutation(
        "draw actions by another noise than Gumbel's",
        RULE,
        "tf.math.log(-tf.math.log(noise))",
        "tf.math.log(noise)",
    ),
    Mutation(
        "divide a small batch by its own size, not by the nominal one",
        STEP,
        'tf.shape(q)[0] if self.partial_batch == "mean" else',
        'tf.shape(q)[0] if self.partial_batch == "nominal" else',
    ),
    Mutation(
        "decay half as fast as l2 says",
        STEP,
        "2 * l2 + decay.get",
        "l2 + decay.get",
    ),
    Mutation(
        "forget weight decay on feedback weights",
        STEP,
        '(rates[f"{name}.kernel"] for name in self._learning_B)',
        "(0.0 for name in self.B)",
    ),
    Mutation(
        "use the forward weight where the feedback weight belongs",
        RULE,
        "through_B, with_W = product(x, B),",
        "through_B, with_W = product(x, W),",
    ),
    Mutation(
        "dropout that does not scale what it keeps",
        PASSES,
        "x * tf.constant(1 / (1 - layer.rate), x.dtype)",
        "x",
    ),
    Mutation(
        "the biased moving variance for the unbiased one",
        LAYERS,
        "variance if unbiased else variance / _bessel(x)",
        "variance / _bessel(x)",
    ),
    Mutation(
        "attention passes units that are silent",
        PASSES,
        "else layer.activation(z)",
        "else z + tf.stop_gradient(layer.activation(z) - z)",
    ),
    Mutation(
        "forget to divide by the batch",
        RULE,
        "* (-delta * scale)[:, None]",
        "* (-delta)[:, None]",
    ),
    Mutation(
        "the error of all units where that of one is meant",
        RULE,
        "return tf.one_hot(selected, classes, dtype=delta.dtype) *",
        "return tf.ones_like(tf.one_hot(selected, classes, dtype=delta.dtype)) *",
    ),
    Mutation(
        "a value of zero teaches nothing",
        RULE,
        "return tf.where(q_s == 0, tf.zeros_like(delta), delta) if zero_is_unselected else delta",
        "return tf.where(q_s == 0, tf.zeros_like(delta), delta)",
    ),
    Mutation(
        "backprop, the baseline, divided by the nominal batch",
        STEP,
        "1 / tf.cast(tf.shape(q)[0], q.dtype), tf.argmax",
        "1 / tf.cast(self.batch_size, q.dtype), tf.argmax",
    ),
    Mutation(
        "the feedback weights get no update",
        RULE,
        "return dx, dW, dW",
        "return dx, dW, tf.zeros_like(dW)",
    ),
    Mutation(
        "moving statistics at another pace",
        LEARNER,
        "1 - self._momentum, v.dtype",
        "self._momentum, v.dtype",
    ),
    Mutation(
        "one initialiser for all layers",
        BUILD,
        "[self.seed, number]",
        "[self.seed, 0]",
    ),
    Mutation(
        "the selection keeps its value in evaluation",
        LAYERS,
        "return tf.one_hot(tf.argmax(q, 1), self.units, dtype=q.dtype)",
        "return tf.one_hot(tf.argmax(q, 1), self.units, dtype=q.dtype) * q",
    ),
    Mutation(
        "Keras' loss counts the units that were not selected",
        LOSS,
        "tf.where(y_pred == 0, tf.zeros_like(y_pred), _rewarded(y_true, y_pred) - y_pred)",
        "_rewarded(y_true, y_pred) - y_pred",
    ),
    Mutation(
        "drop the transpose on the way down",
        RULE,
        "through_B, with_W = product(x, B),",
        "through_B, with_W = product(x, tf.transpose(tf.reshape(B, B.shape[::-1]))),",
    ),
    Mutation(
        "batch statistics taken for constants",
        LAYERS,
        "mean, variance, bessel = _moments(wide, mask)",
        "mean, variance, bessel = map(tf.stop_gradient, _moments(wide, mask))",
    ),
    Mutation(
        "every second step with the masks of the one before",
        STEP,
        "tf.cast(step, tf.int64)]",
        "tf.cast(step // 2 * 2, tf.int64)]",
    ),
    Mutation(
        "the odd row of padding above and left",
        UNSHARED,
        "(total // 2, total - total // 2)",
        "(total - total // 2, total // 2)",
    ),
    Mutation(
        "positions by column",
        UNSHARED,
        "rows[:, None, :, None] * padded[1] + columns[None, :, None, :]",
        "rows[None, :, :, None] * padded[1] + columns[:, None, None, :]",
    ),
    Mutation(
        "a pixel gets the feedback of one patch only",
        UNSHARED,
        "tf.math.unsorted_segment_sum(back",
        "tf.math.unsorted_segment_max(back",
    ),
    Mutation(
        "attention without the gain of the rounds before",
        GAIN,
        "tf.math.divide_no_nan(beta[i], z) if round_ else None",
        "None",
    ),
    Mutation(
        "gains without bounds",
        GAIN,
        "tf.clip_by_value(beta[i] + g * z, -max_gain, max_gain)",
        "beta[i] + g * z",
    ),
    Mutation(
        "the sum over samples for their mean",
        GAIN,
        "scale = delta / tf.cast(tf.size(delta), delta.dtype)",
        "scale = delta",
    ),
    Mutation(
        "a pixel's feedback is the sum over its patches, not the mean",
        GAIN,
        "tf.math.divide_no_nan(total, cover)",
        "total",
    ),
    Mutation(
        "torch: reward every action but the right one",
        TORCH,
        "(selected == labels).to(q.dtype) - q_s",
        "(selected != labels).to(q.dtype) - q_s",
    ),
    Mutation(
        "torch: the last best action for the first",
        TORCH,
        "torch.where(best, columns, values.shape[1] - 1).amin(1)",
        "torch.where(best, columns, 0).amax(1)",
    ),
    Mutation(
        "torch: the square of the error, not half of it",
        TORCH,
        "return 0.5 * delta.square().sum() / batch_size",
        "return delta.square().sum() / batch_size",
    ),
    Mutation(
        "torch: the odd row of padding above and left",
        NETWORKS,
        "pads += [total // 2, total - total // 2]",
        "pads += [total - total // 2, total // 2]",
    ),
    Mutation(
        "torch: batch norm's own epsilon",
        NETWORKS,
        "eps=1e-3",
        "eps=1e-5",
    ),
    Mutation(
        "any network: B learns nothing in torch's linear layers",
        SEPARATE,
        "dW if of_B else None, rows.sum(0)",
        "None, rows.sum(0)",
    ),
    Mutation(
        "any network: B learns nothing in torch's convolutions",
        SEPARATE,
        "dW if of_B else None, db",
        "None, db",
    ),
    Mutation(
        "any network: the error through B with its sign turned",
        SEPARATE,
        "dx = dz @ B if down",
        "dx = -dz @ B if down",
    ),
    Mutation(
        "any network: one B for every use of a shared W, each new",
        CONVERSION,
        "if id(W) not in known:",
        "if True:",
    ),
    Mutation(
        "any network: the loss of torch models explores in evaluation",
        ANY_LOSS,
        "if not self.training:",
        "if False:",
    ),
    Mutation(
        "any network: the loss of Keras models forgets the batch's size",
        VALUES,
        "return 0.5 * tf.square(delta) / tf.cast(size, q.dtype)",
        "return 0.5 * tf.square(delta)",
    ),
    Mutation(
        "any network: W where B belongs in a Keras model's convolutions",
        KERAS_CONVERSION,
        "rule.asymmetric(self.convolution_op, inputs, W, B)",
        "rule.asymmetric(self.convolution_op, inputs, W, W)",
    ),
)
SUITE = Suite(
    tests=(
        "tests/rules/test_brainprop_rule.py",
        "tests/rules/test_brainprop_asymmetric.py",
        "tests/rules/test_brainprop_networks.py",
        "tests/rules/test_brainprop_loccon.py",
        "tests/rules/test_brainprop_gainmod.py",
        "tests/rules/test_brainprop_torch_rule.py",
        "tests/rules/test_brainprop_torch_any.py",
        "tests/rules/test_brainprop_keras_any.py",
        "tests/golden/test_golden.py",
        "-k",
        "brainprop and not fullsize and not anybodys and not none_of_us and not compile_and_fit",
    ),
    mutations=MUTATIONS,
    preload=("torch", "torch._dynamo", "tensorflow", "keras"),
)
