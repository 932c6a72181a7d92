"""Training by gain modulation: one compiled call a step (what a learner is:
`common.backends.protocols`).

A step draws its random numbers from (seed, number of the step), so that a checkpoint keeps one
number for them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from brainprop import rule
from brainprop.gain import rule as gain_rule
from common.backends import tf_backend
from common.doors import tf_labels
from common.doors.arguments import integer, number


class Update(NamedTuple):
    """What a step computes before it changes anything."""

    p: tf.Tensor  # (n, C), before attention
    selected: tf.Tensor  # (n,)
    reward: tf.Tensor  # () mean
    loss: tf.Tensor  # () mean cross-entropy, shown only: the rule never sees it
    dW: list[tf.Tensor]
    db: list[tf.Tensor]


class Learner:
    """Layers (`gain_rule.dense`, `gain_rule.conv`) with variables W (K, F) and b (P, F).

    span            rounds of attention
    lr_a, lr_w      rates of the gains and of the weights
    epsilon         how often an action is drawn
    max_gain        gains are clipped to -max_gain ... max_gain
    double_softmax  (brainprop, D20): draw from softmax(p), not p
    seed            of the draws

    Raises ArgumentError for a number out of its range, and for labels as `common.doors.tf_labels`
    does.
    """

    backend = tf_backend

    def __init__(
        self,
        layers: Sequence[gain_rule.Layer],
        W: Sequence[tf.Variable],
        b: Sequence[tf.Variable],
        *,
        span: int = 1,
        lr_a: float = 5e-3,
        lr_w: float = 1.0,
        epsilon: float = rule.EPSILON,
        max_gain: float = 0.5,
        double_softmax: bool = False,
        seed: int = 0,
    ) -> None:
        self.layers, self.W, self.b = list(layers), list(W), list(b)
        self.span, self.max_gain = integer("span", span), number("max_gain", max_gain, above=0)
        self.lr_a, self.lr_w = number("lr_a", lr_a, above=0), number("lr_w", lr_w, above=0)
        self.epsilon = number("epsilon", epsilon, least=0, most=1)
        self.double_softmax, self.seed = double_softmax, integer("seed", seed, least=0)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._train = tf.function(self._train_step, autograph=False, reduce_retracing=True)
        self._eval = tf.function(self._eval_step, autograph=False, reduce_retracing=True)

    def train_step(
        self, images: tf.Tensor, labels: tf.Tensor, u: Any = None, drawn: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One update from images (n, H, W, C) and labels (n,): mean cross-entropy, and the number
        of rewards. u and drawn (n,): the random numbers; None draws them."""
        return self._train(images, self._entering(images, labels), u, drawn)

    def eval_step(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The same without exploration or attention, changing nothing."""
        return self._eval(images, self._entering(images, labels))

    def _entering(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return tf_labels.entering(labels, len(images), self.W[-1].shape[1])

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """q (n, C) at rest."""
        return gain_rule.logits(gain_rule.forward(self.layers, self.W, self.b, images))

    def compute(
        self, images: tf.Tensor, labels: tf.Tensor, u: Any = None, drawn: Any = None
    ) -> Update:
        """The whole step without its assignments."""
        rest = gain_rule.forward(self.layers, self.W, self.b, images)
        q = gain_rule.logits(rest)
        labels = tf_labels.classes(labels, q)
        p = tf.nn.softmax(q)
        if u is None:
            u = self._uniform(0, tf.shape(p)[:1])
        if drawn is None:
            drawn = gain_rule.explore(q, self._uniform(1, tf.shape(q)), self.double_softmax)
        s = rule.select(q, u, drawn, epsilon=self.epsilon)
        delta = gain_rule.prediction_error(p, s, labels, self.lr_w)
        beta, stages = gain_rule.attend(
            self.layers,
            self.W,
            self.b,
            images,
            rest,
            s,
            span=self.span,
            lr_a=self.lr_a,
            max_gain=self.max_gain,
        )
        dW, db = gain_rule.updates(beta, stages, delta)
        reward = tf.reduce_mean(tf.cast(s == labels, p.dtype))
        return Update(p, s, reward, rule.cross_entropy(q, labels), dW, db)

    def _uniform(self, stream: int, shape: tf.Tensor) -> tf.Tensor:
        seed = tf.stack([tf.constant(2 * self.seed + stream, tf.int64), self._step])
        return tf.random.stateless_uniform(shape, seed, alg="philox")

    def _train_step(
        self, images: tf.Tensor, labels: tf.Tensor, u: Any, drawn: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        update = self.compute(images, labels, u, drawn)
        # None is there before all are: TensorFlow's graph optimiser lets an assignment overtake a
        # read that comes before it.
        changes = tf.tuple([*update.dW, *update.db])
        for variable, change in zip([*self.W, *self.b], changes, strict=True):
            variable.assign_add(change)
        self._step.assign_add(1)
        return update.loss, tf.math.count_nonzero(update.selected == labels)

    def _eval_step(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        q = self.logits(images)
        return rule.cross_entropy(q, labels), tf.math.count_nonzero(tf.argmax(q, 1) == labels)

    # -- what a run asks for --------------------------------------------------------------------

    def credit(
        self, images: tf.Tensor, labels: tf.Tensor
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """For each W the coming update, as a descent, and the gradient of the cross-entropy."""
        update = self.compute(images, labels)
        with tf.GradientTape() as tape:
            loss = rule.cross_entropy(self.logits(images), labels)
        true = tape.gradient(loss, self.W)
        pairs = zip(update.dW, true, strict=True)
        return {f"layer{i}": (-mine, gradient) for i, (mine, gradient) in enumerate(pairs, 1)}

    def parameters(self) -> int:
        """How many numbers learn."""
        return sum(int(np.prod(v.shape)) for v in [*self.W, *self.b])

    def state(self) -> dict[str, Any]:
        """W, b and the steps taken; gains are 0 between two steps."""
        state = {f"layer{i}.W": tf.convert_to_tensor(W) for i, W in enumerate(self.W, 1)}
        state |= {f"layer{i}.b": tf.convert_to_tensor(b) for i, b in enumerate(self.b, 1)}
        return state | {"steps": tf.convert_to_tensor(self._step)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for i, (W, b) in enumerate(zip(self.W, self.b, strict=True), 1):
            W.assign(state[f"layer{i}.W"])
            b.assign(state[f"layer{i}.b"])
        self._step.assign(state["steps"])
