"""What a step of BrainProp, or of its baseline backprop, computes before it changes anything.

A step draws its random numbers from (seed, number of the step), so that a checkpoint needs to keep
one number for them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from brainprop import rule
from brainprop.layers.forward import WEIGHTED, forward
from brainprop.recipes import ALGORITHMS
from common.doors.arguments import integer, number
from common.doors.tf_labels import classes
from common.errors import unknown

FEEDBACK = ("shared", "separate")
PARTIAL = ("nominal", "mean")
ACCURACY = ("reward", "argmax")
Result = tuple[tf.Tensor, tf.Tensor]


class Draws(NamedTuple):
    """Every random number of a step on n samples."""

    u: tf.Tensor  # (n,) float32, uniform on [0, 1)
    explore: tf.Tensor  # (n,) integers: the actions to take where u <= epsilon;
    #                     or (n, C) float32 uniform noise that draws them
    masks: Sequence[tf.Tensor]  # for each dropout layer (n, ...) bool, true where it keeps


class OutputError(NamedTuple):
    """What a batch's output layer tells the network, and the run."""

    signal: tf.Tensor  # (n, C) dL/dq
    loss: tf.Tensor  # () without l2
    selected: tf.Tensor  # (n,) the action taken; backprop: argmax q
    correct: tf.Tensor  # () int64


class Update(NamedTuple):
    """What a step computes before it changes anything."""

    loss: tf.Tensor  # () as reported: the rule's, and l2
    correct: tf.Tensor  # () int64
    q: tf.Tensor  # (n, C)
    selected: tf.Tensor  # (n,) the action taken; backprop: argmax q
    gradients: list[tf.Tensor]  # beside Step.learning
    statistics: list[tf.Tensor]  # batch means and variances, beside Learner.moving


class Step:
    """The computations on a network of `brainprop.networks`.

    algorithm           "BrainProp", or "EBP": softmax, cross-entropy and its gradient
    batch_size          B, the nominal one
    feedback            "shared": errors go down through W^T; "separate": through weights B of their
                        own, drawn as W is, which get W's update. Both then decay by lr times
                        feedback_decay (beside l2), so that W - B shrinks by (1 - lr decay) a step:
                        Kolen and Pollack's reciprocal learning
    partial_batch       BrainProp's smaller last batch is divided by the "nominal" B, or by its own
                        n: "mean" (brainprop, D10). EBP's always by n
    accuracy            in training: "reward", or "argmax" of onehot(s) q (brainprop, D8)
    zero_is_unselected  (brainprop, D9): an action of value exactly 0 teaches nothing
    seed                of the draws

    `learning` are the variables that an update changes, `decays` how fast each shrinks besides.

    What is frozen (`trainable = False`) when this is made keeps its bits: kernels with their B, and
    batch norm's statistics, which then also normalise in training.

    Raises ArgumentError for an unknown choice, a number out of its range, and for labels as
    `common.doors.tf_labels` does.
    """

    def __init__(
        self,
        net: keras.Sequential,
        algorithm: str = "BrainProp",
        *,
        batch_size: int,
        epsilon: float = rule.EPSILON,
        feedback: str = "shared",
        feedback_decay: float = 1e-3,
        partial_batch: str = "nominal",
        accuracy: str = "reward",
        zero_is_unselected: bool = False,
        seed: int = 0,
    ) -> None:
        if algorithm not in ALGORITHMS:
            raise unknown("algorithm", algorithm, ALGORITHMS)
        for name, value, allowed in (
            ("feedback", feedback, FEEDBACK),
            ("partial_batch", partial_batch, PARTIAL),
            ("accuracy", accuracy, ACCURACY),
        ):
            if value not in allowed:
                raise unknown(name, value, allowed)
        feedback_decay = number("feedback_decay", feedback_decay, least=0)
        self.net, self.algorithm = net, algorithm
        self.batch_size = integer("batch_size", batch_size)
        self.epsilon = number("epsilon", epsilon, least=0, most=1)
        self.partial_batch, self.accuracy = partial_batch, accuracy
        self.zero_is_unselected, self.seed = zero_is_unselected, integer("seed", seed, least=0)
        self.dropouts = [x for x in net.layers if isinstance(x, keras.layers.Dropout)]
        self.trained = list(net.trainable_variables)
        self.names = [f"{x.name}.{v.name}" for x in net.layers for v in x.trainable_variables]
        self.B = self._feedback_weights() if feedback == "separate" else {}
        self._learning_B = {n: B for n, B in self.B.items() if f"{n}.kernel" in self.names}
        self._l2 = [_l2_of(net, name) for name in self.names]
        self.learning = [*self.trained, *self._learning_B.values()]
        self.decays = self._rates_of_decay(feedback_decay)

    def _rates_of_decay(self, feedback_decay: float) -> list[float]:
        """How fast each variable that learns decays, B as its W."""
        pairs = zip(self.names, self._l2, strict=True)
        decay = dict.fromkeys((f"{name}.kernel" for name in self.B), feedback_decay)
        rates = {name: 2 * l2 + decay.get(name, 0.0) for name, l2 in pairs}
        return [*rates.values(), *(rates[f"{name}.kernel"] for name in self._learning_B)]

    def _feedback_weights(self) -> dict[str, keras.Variable]:
        """B for every kernel but the lowest, below which nothing learns: name of layer -> B."""
        weighted = [layer for layer in self.net.layers if isinstance(layer, WEIGHTED)]
        feedback = {}
        for place, layer in enumerate(weighted[1:], 1):
            std = getattr(layer.kernel_initializer, "stddev", 0.05)
            draw = keras.initializers.RandomNormal(0.0, std, (self.seed + 1) * 1009 + place)
            feedback[layer.name] = keras.Variable(
                draw(layer.kernel.shape, layer.kernel.dtype), name=f"{layer.name}.B"
            )
        return feedback

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
        self, images: tf.Tensor, labels: tf.Tensor, draws: Draws, *, as_backprop: bool = False
    ) -> Update:
        """The whole step without its assignments.

        as_backprop: the gradient of cross-entropy through W^T instead, with the same masks
        """
        feedback = {} if as_backprop else self.B
        learning = self.trained if as_backprop else self.learning
        with tf.GradientTape() as tape:
            passed = forward(self.net, images, draws.masks, feedback)
        q = passed.q
        labels = classes(labels, q)
        if as_backprop or self.algorithm == "EBP":
            error = self._backprop_error(q, labels)
        else:
            error = self._output_error(q, labels, draws)
        gradients = tape.gradient(q, [raw(v) for v in learning], output_gradients=error.signal)
        statistics = [t for pair in passed.statistics.values() for t in pair]
        loss = error.loss + self._penalty(error.loss.dtype)
        return Update(loss, error.correct, q, error.selected, gradients, statistics)

    def _backprop_error(self, q: tf.Tensor, labels: tf.Tensor) -> OutputError:
        """That of the baseline: softmax and cross-entropy."""
        scale, selected = 1 / tf.cast(tf.shape(q)[0], q.dtype), tf.argmax(q, 1)
        signal = rule.backprop_signal(q, labels, scale)
        correct = tf.math.count_nonzero(selected == labels)
        return OutputError(signal, rule.cross_entropy(q, labels), selected, correct)

    def _output_error(self, q: tf.Tensor, labels: tf.Tensor, draws: Draws) -> OutputError:
        """That of the action taken."""
        n = tf.shape(q)[0] if self.partial_batch == "mean" else self.batch_size
        scale, explore = 1 / tf.cast(n, q.dtype), draws.explore
        drawn = explore if explore.dtype.is_integer else rule.boltzmann(q, explore)
        selected = rule.select(q, draws.u, drawn, epsilon=self.epsilon)
        delta = rule.prediction_error(
            q, selected, labels, zero_is_unselected=self.zero_is_unselected
        )
        if self.accuracy == "argmax":
            correct = rule.correct_as_the_original(q, selected, labels)
        else:
            correct = tf.math.count_nonzero(selected == labels)
        signal = rule.teaching_signal(delta, selected, q.shape[1], scale)
        return OutputError(signal, rule.loss(delta, scale), selected, correct)

    def _penalty(self, dtype: tf.DType) -> tf.Tensor:
        """l2's part of the loss."""
        total = tf.zeros((), dtype)
        for l2, variable in zip(self._l2, self.trained, strict=True):
            if l2:
                squares = tf.reduce_sum(tf.square(tf.convert_to_tensor(variable)))
                total += tf.cast(l2 * squares, dtype)
        return total

    def evaluate(self, images: tf.Tensor, labels: tf.Tensor) -> Result:
        """Loss and number correct without dropout or exploration; see `Learner.eval_step`."""
        q = forward(self.net, images).q
        labels = classes(labels, q)
        right = tf.argmax(q, 1) == labels
        if self.algorithm == "EBP":
            loss = rule.cross_entropy(q, labels)
        else:
            loss = tf.reduce_mean(0.5 * tf.cast(~right, q.dtype) * self._weights(tf.shape(q)[0], q))
        return loss + self._penalty(loss.dtype), tf.math.count_nonzero(right)

    def _weights(self, n: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
        """How much each of n samples counts where batches of B come first (brainprop, D10)."""
        if self.partial_batch == "mean":
            return tf.ones((n,), q.dtype)
        rest = n % self.batch_size
        ratio = tf.cast(rest, q.dtype) / tf.cast(self.batch_size, q.dtype)
        return tf.where(tf.range(n) >= n - rest, ratio, tf.ones((), q.dtype))


def raw(variable: Any) -> tf.Variable:
    """The TensorFlow variable that a Keras variable is."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def _l2_of(net: keras.Sequential, name: str) -> float:
    layer, _, kind = name.partition(".")
    regularizer = getattr(net.get_layer(layer), "kernel_regularizer", None)
    return float(regularizer.l2) if regularizer is not None and kind == "kernel" else 0.0
