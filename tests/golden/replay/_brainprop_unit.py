"""The output layer and the loss alone, behind a kernel that is the identity."""

import numpy as np
import tensorflow as tf

from brainprop import rule
from brainprop.layers.loss import BrainPropLoss
from brainprop.layers.output import BrainPropLayer
from tests.golden.trace import Trace


def replay(trace: Trace) -> None:
    values, u, labels = trace["activations"], trace["u"], trace["labels"]
    q, batch_size = tf.constant(values), trace.integer("batch_size")
    chosen = tf.constant(trace["selected"])
    selected = rule.select(q, tf.constant(u), chosen)
    trace.compare("selected", selected.numpy(), 0)

    class Given(BrainPropLayer):
        def draw(self, q):
            return tf.constant(u), chosen

    layer = Given(
        values.shape[1], kernel_initializer="identity", zero_is_unselected=True, dtype="float64"
    )
    loss = BrainPropLoss(batch_size, dtype="float64")
    with tf.GradientTape() as tape:
        tape.watch(q)
        output = layer(q, training=True)
        total = loss(labels, output)
    trace.compare("train_output", output.numpy(), 1e-14)
    trace.compare("loss_elementwise", loss.elementwise(labels, output).numpy(), 1e-14)
    trace.compare("loss_total", total.numpy(), 1e-14)
    trace.compare("dloss_dactivations", tape.gradient(total, q).numpy(), 1e-14)
    # The same by the functions that the compiled step is made of.
    scale = tf.constant(1 / batch_size, q.dtype)
    delta = rule.prediction_error(q, selected, tf.constant(labels), zero_is_unselected=True)
    signal = rule.teaching_signal(delta, selected, values.shape[1], scale)
    trace.compare("dloss_dactivations", signal.numpy(), 1e-14)
    trace.compare("loss_total", rule.loss(delta, scale).numpy(), 1e-14)
    correct = rule.correct_as_the_original(q, selected, tf.constant(labels))
    trace.compare("train_accuracy", correct.numpy() / len(labels), 1e-14)
    shown = layer(q, training=False)
    trace.compare("eval_output", shown.numpy(), 1e-14)
    trace.compare("eval_loss", loss(labels, shown).numpy(), 1e-14)
    trace.compare("eval_accuracy", (shown.numpy().argmax(1) == labels).mean(), 1e-14)
    sampler(trace)


def sampler(trace: Trace) -> None:
    """As many draws as the original's sampler made: both are noisy, so both errors are allowed."""
    logits, n = tf.constant(trace["boltz_logits"], tf.float32), trace.integer("boltz_n")
    noise = tf.random.stateless_uniform((n, len(logits)), (1, 2))
    drawn = rule.boltzmann(tf.broadcast_to(logits, noise.shape), noise)
    shares = np.bincount(drawn.numpy(), minlength=len(logits)) / n
    spread = 5 * np.sqrt(0.25 / n)  # five standard errors
    assert np.abs(shares - tf.nn.softmax(logits).numpy()).max() < spread
    trace.compare("boltz_empirical", shares, np.sqrt(2) * spread, scale=1.0)
