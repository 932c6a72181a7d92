"""Training by BrainProp or by its backprop twin: one compiled call a step (see `common.run`).

A step draws its random numbers from (seed, number of the step), so that a checkpoint needs to keep
one number for them. Random numbers are drawn for the whole batch and then divided among devices:
what happens does not depend on how many there are, except that batch norm normalises each part.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from brainprop import rule
from brainprop.passes import WEIGHTED, forward
from common import tf_backend
from common.errors import unknown

FEEDBACK = ("shared", "separate")
Result = tuple[tf.Tensor, tf.Tensor]


class Draws(NamedTuple):
    """Every random number of a step on n samples."""

    u: tf.Tensor  # (n,) float32, uniform on [0, 1)
    explore: tf.Tensor  # (n,) integers: the actions to take where u <= epsilon;
    #                     or (n, C) float32 uniform noise that draws them
    masks: Sequence[tf.Tensor]  # for each dropout layer (n, ...) bool, true where it keeps


class Update(NamedTuple):
    """What a step computes before it changes anything."""

    loss: tf.Tensor  # () as reported: the rule's, and l2
    correct: tf.Tensor  # () int64
    q: tf.Tensor  # (n, C)
    selected: tf.Tensor  # (n,) the action taken; backprop: argmax q
    gradients: list[tf.Tensor]  # beside Learner.trained
    statistics: list[tf.Tensor]  # batch means and variances, beside Learner.moving


class Learner:
    """A learner around a network of `brainprop.networks`, whose variables it changes in place.

    algorithm           "BrainProp", or "EBP": softmax, cross-entropy and its gradient
    batch_size          B, the nominal one
    lr                  learning rate of plain SGD; `set_lr` changes it
    feedback            "shared": errors go down through W^T; "separate": through weights B of their
                        own, drawn as W is, which get W's update. Both then decay by lr times
                        feedback_decay (beside l2), so that W - B shrinks by (1 - lr decay) a step:
                        Kolen and Pollack's reciprocal learning
    partial_batch       BrainProp's smaller last batch is divided by the "nominal" B, or by its own
                        n: "mean" (defect 10). EBP's always by n
    accuracy            in training: "reward", or "argmax" of onehot(s) q as the original (defect 8)
    zero_is_unselected  defect 9: an action of value exactly 0 teaches nothing
    seed                of the draws
    jit_compile         compile the step with XLA
    strategy            a `tf.distribute` strategy, in whose scope the network was built

    Raises UsageError for an unknown algorithm or feedback.
    """

    backend = tf_backend

    def __init__(
        self,
        net: keras.Sequential,
        algorithm: str = "BrainProp",
        *,
        batch_size: int,
        lr: float = 0.1,
        epsilon: float = rule.EPSILON,
        feedback: str = "shared",
        feedback_decay: float = 1e-3,
        partial_batch: str = "nominal",
        accuracy: str = "reward",
        zero_is_unselected: bool = False,
        seed: int = 0,
        jit_compile: bool = False,
        strategy: Any = None,
    ) -> None:
        if algorithm not in ("BrainProp", "EBP"):
            raise unknown("learning algorithm", algorithm, ("BrainProp", "EBP"))
        if feedback not in FEEDBACK:
            raise unknown("feedback", feedback, FEEDBACK)
        self.net, self.algorithm, self.batch_size = net, algorithm, batch_size
        self.epsilon, self.partial_batch, self.accuracy = epsilon, partial_batch, accuracy
        self.zero_is_unselected, self.seed, self.strategy = zero_is_unselected, seed, strategy
        self.decay = feedback_decay if feedback == "separate" else 0.0
        self.dropouts = [x for x in net.layers if isinstance(x, keras.layers.Dropout)]
        self.trained = list(net.trainable_variables)
        self.moving = [
            variable
            for layer in net.layers
            if isinstance(layer, keras.layers.BatchNormalization)
            for variable in (layer.moving_mean, layer.moving_variance)
        ]
        with self._scope():
            self.B = self._feedback_weights() if feedback == "separate" else {}
            # float64, for a rate in float32 would be another one in a float64 net.
            self._lr = tf.Variable(lr, dtype=tf.float64, trainable=False)
            self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        names = {id(v): f"{x.name}.{v.name}" for x in net.layers for v in x.variables}
        self.names = [names[id(v)] for v in self.trained]
        self.names_moving = [names[id(v)] for v in self.moving]
        self._l2 = [_l2_of(net, name) for name in self.names]
        self._learning = [*self.trained, *self.B.values()]
        own = {f"{name}.kernel" for name in self.B}
        decays = [
            2 * l2 + self.decay * (n in own) for n, l2 in zip(self.names, self._l2, strict=True)
        ]
        of_kernel = dict(zip(self.names, decays, strict=True))
        self._decays = decays + [of_kernel[f"{name}.kernel"] for name in self.B]
        norms = [x for x in net.layers if isinstance(x, keras.layers.BatchNormalization)]
        self._momentum = norms[0].momentum if norms else 0.0
        images = tf.TensorSpec((None, *net.input_shape[1:]), images_dtype(net))
        labels = tf.TensorSpec((None,), tf.int64)
        compiled: dict[str, Any] = {"autograph": False, "reduce_retracing": True}
        self._train = tf.function(
            self._train_step, [images, labels], jit_compile=jit_compile, **compiled
        )
        self._train_with = tf.function(self._train_step, **compiled)
        self._eval = tf.function(self._eval_step, [images, labels], **compiled)

    def _scope(self) -> Any:
        return self.strategy.scope() if self.strategy else tf.name_scope("learner")

    def _feedback_weights(self) -> dict[str, keras.Variable]:
        """B for every kernel but the lowest, below which nothing learns: name of layer -> B."""
        weighted = [layer for layer in self.net.layers if isinstance(layer, WEIGHTED)]
        made = {}
        for number, layer in enumerate(weighted[1:], 1):
            std = getattr(layer.kernel_initializer, "stddev", 0.05)
            draw = keras.initializers.RandomNormal(0.0, std, (self.seed + 1) * 1009 + number)
            made[layer.name] = keras.Variable(
                draw(layer.kernel.shape, layer.kernel.dtype), name=f"{layer.name}.B"
            )
        return made

    # -- one step -------------------------------------------------------------------------------

    def train_step(
        self, images: tf.Tensor, labels: tf.Tensor, draws: Draws | None = None
    ) -> Result:
        """One update from images (n, H, W, C) and labels (n,); mean loss and number correct.

        draws: the random numbers to use; None draws them.
        """
        if draws is None:
            return self._train(images, labels)
        return self._train_with(images, labels, draws)

    def eval_step(self, images: tf.Tensor, labels: tf.Tensor) -> Result:
        """Loss and number correct without dropout or exploration, by the moving statistics.

        BrainProp's loss is 0.5 a wrong answer (defect 11), a smaller last batch counting n / B
        times as much as in Keras (defect 10); EBP's is the cross-entropy. l2 is added.
        """
        return self._eval(images, labels)

    def set_lr(self, lr: float) -> None:
        """The learning rate from now on."""
        self._lr.assign(lr)

    def _train_step(
        self, images: tf.Tensor, labels: tf.Tensor, draws: Draws | None = None
    ) -> Result:
        if draws is None:
            draws = self.draw(tf.shape(images)[0], self._step)
        if self.strategy is None:
            update = self.compute(images, labels, draws)
            return self._apply(update)
        return self._distributed(images, labels, draws)

    def _apply(self, update: Update) -> Result:
        # None is there before all are: without XLA TensorFlow's graph optimiser (2.21) lets an
        # assignment overtake a read that comes before it.
        changes = tf.tuple([*update.gradients, *update.statistics, update.loss])
        count = len(update.gradients)
        for variable, gradient, decay in zip(
            self._learning, changes[:count], self._decays, strict=True
        ):
            self._descend(_raw(variable), gradient, decay)
        for variable, batch in zip(self.moving, changes[count:-1], strict=True):
            self._move(_raw(variable), batch)
        self._step.assign_add(1)
        return changes[-1], update.correct

    def _descend(self, variable: Any, gradient: tf.Tensor, decay: float) -> None:
        if decay:
            gradient += tf.constant(decay, gradient.dtype) * variable
        variable.assign_sub(tf.cast(self._lr, gradient.dtype) * gradient)

    def _move(self, variable: Any, batch: tf.Tensor) -> None:
        step = tf.cast(batch, variable.dtype) - variable
        variable.assign_add(step * tf.constant(1 - self._momentum, variable.dtype))

    def _distributed(self, images: tf.Tensor, labels: tf.Tensor, draws: Draws) -> Result:
        """The same with the batch cut into as many parts as there are devices."""
        strategy, parts = self.strategy, self.strategy.num_replicas_in_sync
        n = tf.shape(images)[0]

        def part() -> Update:
            i = tf.distribute.get_replica_context().replica_id_in_sync_group
            mine = slice(n * i // parts, n * (i + 1) // parts)
            u, explore, masks = draws
            own = Draws(u[mine], explore[mine], [mask[mine] for mask in masks])
            return self.compute(images[mine], labels[mine], own, n, parts)

        update = strategy.run(part)
        add, mean = tf.distribute.ReduceOp.SUM, tf.distribute.ReduceOp.MEAN
        whole = tf.tuple(
            [strategy.reduce(add, g, axis=None) for g in update.gradients]
            + [strategy.reduce(mean, t, axis=None) for t in update.statistics]
        )
        each = strategy.extended.update
        for variable, gradient, decay in zip(self._learning, whole, self._decays, strict=False):
            each(_raw(variable), self._descend, args=(gradient, decay), group=True)
        for variable, batch in zip(self.moving, whole[len(self._learning) :], strict=True):
            each(_raw(variable), self._move, args=(batch,), group=True)
        self._step.assign_add(1)
        loss, correct = update.loss, update.correct
        return strategy.reduce(add, loss, axis=None), strategy.reduce(add, correct, axis=None)

    def draw(self, n: Any, step: Any) -> Draws:
        """The random numbers of a step on n samples, from (seed, step)."""

        def uniform(stream: int, *shape: Any) -> tf.Tensor:
            seed = tf.stack(
                [tf.constant(64 * self.seed + stream, tf.int64), tf.cast(step, tf.int64)]
            )
            return tf.random.stateless_uniform((n, *shape), seed, alg="philox")

        masks = [
            uniform(2 + i, *layer.input.shape[1:]) >= layer.rate
            for i, layer in enumerate(self.dropouts)
        ]
        if self.algorithm == "EBP":
            return Draws(tf.zeros((n,)), tf.zeros((n,), tf.int64), masks)
        return Draws(uniform(0), uniform(1, self.net.output_shape[1]), masks)

    def compute(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        draws: Draws,
        n: Any = None,
        parts: int = 1,
        *,
        as_backprop: bool = False,
    ) -> Update:
        """The whole step without its assignments.

        n            samples of the whole batch, of which these are one of several `parts`
        as_backprop  the gradient of cross-entropy through W^T instead, with the same masks
        """
        n = tf.shape(images)[0] if n is None else n
        feedback = {} if as_backprop else self.B
        learning = self.trained if as_backprop else self._learning
        with tf.GradientTape() as tape:
            passed = forward(self.net, images, draws.masks, feedback)
        q = passed.q
        judge = self._judge_backprop if as_backprop or self.algorithm == "EBP" else self._judge
        signal, loss, selected, correct = judge(q, labels, draws, n)
        gradients = tape.gradient(q, [_raw(v) for v in learning], output_gradients=signal)
        statistics = [t for pair in passed.statistics.values() for t in pair]
        penalty = self._penalty(loss.dtype) / parts
        return Update(loss + penalty, correct, q, selected, gradients, statistics)

    def _judge_backprop(
        self, q: tf.Tensor, labels: tf.Tensor, draws: Draws, n: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        scale = 1 / tf.cast(n, q.dtype)
        selected = tf.argmax(q, 1)
        loss = rule.cross_entropy(q, labels) * (tf.cast(tf.shape(q)[0], q.dtype) * scale)
        correct = tf.math.count_nonzero(selected == labels)
        return rule.backprop_signal(q, labels, scale), loss, selected, correct

    def _judge(
        self, q: tf.Tensor, labels: tf.Tensor, draws: Draws, n: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """What the output layer tells: teaching signal, loss, action, number correct."""
        scale = 1 / tf.cast(n if self.partial_batch == "mean" else self.batch_size, q.dtype)
        selected = rule.select(q, draws.u, lambda: _explored(q, draws.explore), self.epsilon)
        delta = rule.prediction_error(q, selected, labels, self.zero_is_unselected)
        if self.accuracy == "argmax":
            correct = rule.accuracy_as_the_original(q, selected, labels)
        else:
            correct = tf.math.count_nonzero(selected == labels)
        signal = rule.teaching_signal(delta, selected, q.shape[1], scale)
        return signal, rule.loss(delta, scale), selected, correct

    def _penalty(self, dtype: tf.DType) -> tf.Tensor:
        """l2's part of the loss."""
        total = tf.zeros((), dtype)
        for l2, variable in zip(self._l2, self.trained, strict=True):
            if l2:
                squares = tf.reduce_sum(tf.square(tf.convert_to_tensor(variable)))
                total += tf.cast(l2 * squares, dtype)
        return total

    def _eval_step(self, images: tf.Tensor, labels: tf.Tensor) -> Result:
        q = forward(self.net, images).q
        right = tf.argmax(q, 1) == labels
        if self.algorithm == "EBP":
            loss = rule.cross_entropy(q, labels)
        else:
            loss = tf.reduce_mean(0.5 * tf.cast(~right, q.dtype) * self._weights(tf.shape(q)[0], q))
        return loss + self._penalty(loss.dtype), tf.math.count_nonzero(right)

    def _weights(self, n: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
        """How much each of n samples counts where whole batches of B come first (defect 10)."""
        if self.partial_batch == "mean":
            return tf.ones((n,), q.dtype)
        rest = n % self.batch_size
        ratio = tf.cast(rest, q.dtype) / tf.cast(self.batch_size, q.dtype)
        return tf.where(tf.range(n) >= n - rest, ratio, tf.ones((), q.dtype))

    # -- what a run asks for --------------------------------------------------------------------

    def credit(
        self, images: tf.Tensor, labels: tf.Tensor
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """For each kernel the rule's update of the coming step and backprop's gradient of the
        cross-entropy of softmax(q) in the same network, with the same dropout masks."""
        draws = self.draw(len(labels), self._step)
        mine = self.compute(images, labels, draws).gradients
        true = self.compute(images, labels, draws, as_backprop=True).gradients
        pairs = zip(self.names, mine, true, strict=False)
        return {n.removesuffix(".kernel"): (a, b) for n, a, b in pairs if n.endswith(".kernel")}

    def feedback(self) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """W beside B, both in the layout of W; nothing where errors go through W itself."""
        kernels = {name: self.net.get_layer(name).kernel for name in self.B}
        return {n: (_value(kernels[n]), _value(B)) for n, B in self.B.items()}

    def parameters(self) -> int:
        """How many numbers learn: kernels, batch norm's gamma and beta, and B."""
        return sum(math.prod(variable.shape) for variable in self._learning)

    def state(self) -> dict[str, Any]:
        """Every variable under its layer's name, batch norm's statistics and B, and the steps."""
        found = dict(
            zip([*self.names, *self.names_moving], [*self.trained, *self.moving], strict=True)
        )
        found |= {f"{name}.B": B for name, B in self.B.items()}
        return {n: _value(v) for n, v in found.items()} | {"steps": _value(self._step)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, variable in zip(
            [*self.names, *self.names_moving], [*self.trained, *self.moving], strict=True
        ):
            variable.assign(state[name])
        for name, B in self.B.items():
            B.assign(state[f"{name}.B"])
        self._step.assign(state["steps"])


def _explored(q: tf.Tensor, explore: tf.Tensor) -> tf.Tensor:
    return explore if explore.dtype.is_integer else rule.boltzmann(q, explore)


def _raw(variable: Any) -> tf.Variable:
    """The TensorFlow variable that a Keras variable is."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def _value(variable: Any) -> tf.Tensor:
    return tf.convert_to_tensor(variable)


def _l2_of(net: keras.Sequential, name: str) -> float:
    layer, _, kind = name.partition(".")
    regularizer = getattr(net.get_layer(layer), "kernel_regularizer", None)
    return float(regularizer.l2) if regularizer is not None and kind == "kernel" else 0.0


def images_dtype(net: keras.Sequential) -> tf.DType:
    """What type of images the network's step takes."""
    return tf.as_dtype(net.layers[-1].compute_dtype)
