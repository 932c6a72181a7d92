"""Training by BrainProp or by its baseline, backprop: one compiled call a step (see
`common.backends.protocols`)."""

import math
from typing import Any

import keras
import tensorflow as tf

from brainprop.step import Draws, Result, Step, Update, raw
from common.backends import tf_backend
from common.doors import tf_images, tf_labels
from common.doors.arguments import number

__all__ = ["Draws", "Learner", "Update", "images_dtype"]


class Learner:
    """A learner around a network of `brainprop.networks`, whose variables it changes in place.

    lr           learning rate of plain SGD; `set_lr` changes it
    jit_compile  compile the step with XLA
    settings     what `Step` takes besides: batch_size, feedback, seed, ...

    `step` computes what `train_step` then applies; `compute` and `draw` are its own.

    Raises ArgumentError as `Step` does. What is frozen afterwards is not noticed.
    """

    backend = tf_backend

    def __init__(
        self,
        net: keras.Sequential,
        algorithm: str = "BrainProp",
        *,
        lr: float = 0.1,
        jit_compile: bool = False,
        **settings: Any,
    ) -> None:
        lr = number("lr", lr, least=0)
        self.step = step = Step(net, algorithm, **settings)
        # float64, for a rate in float32 would be another one in a float64 net.
        self._lr = tf.Variable(lr, dtype=tf.float64, trainable=False)
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.net, self.names, self.trained, self.B = net, step.names, step.trained, step.B
        self.dropouts, self.draw, self.compute = step.dropouts, step.draw, step.compute
        norms = [
            x for x in net.layers if isinstance(x, keras.layers.BatchNormalization) and x.trainable
        ]
        self._momentum = norms[0].momentum if norms else 0.0
        self.moving = [v for x in norms for v in (x.moving_mean, x.moving_variance)]
        self._named = {f"{x.name}.{v.name}": v for x in net.layers for v in x.weights}
        images = tf.TensorSpec((None, *net.input_shape[1:]), images_dtype(net))
        labels = tf.TensorSpec((None,), tf.int64)
        compiled: dict[str, Any] = {"autograph": False, "reduce_retracing": True}
        self._train = tf.function(
            self._train_step, [images, labels], jit_compile=jit_compile, **compiled
        )
        self._train_with = tf.function(self._train_step, **compiled)
        self._eval = tf.function(step.evaluate, [images, labels], **compiled)

    # -- one step -------------------------------------------------------------------------------

    def train_step(
        self, images: tf.Tensor, labels: tf.Tensor, draws: Draws | None = None
    ) -> Result:
        """One update from images (n, H, W, C) and labels (n,); mean loss and number correct.

        draws: the random numbers to use; None draws them.
        """
        images, labels = self._entering(images, labels)
        if draws is None:
            return self._train(images, labels)
        return self._train_with(images, labels, draws)

    def eval_step(self, images: tf.Tensor, labels: tf.Tensor) -> Result:
        """Loss and number correct without dropout or exploration, by the moving statistics.

        BrainProp's loss is 0.5 a wrong answer (brainprop, D11), a smaller last batch counting n / B
        times as much as in Keras (brainprop, D10); EBP's is the cross-entropy. l2 is added.
        """
        return self._eval(*self._entering(images, labels))

    def _entering(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What the compiled step takes, of whatever `train_step` and `eval_step` are given."""
        images = tf_images.batch(images, images_dtype(self.net), self.net.input_shape[1:])
        return images, tf_labels.entering(labels, images.shape[0], self.net.output_shape[1])

    def set_lr(self, lr: float) -> None:
        """The learning rate from now on."""
        self._lr.assign(number("lr", lr, least=0))

    def _train_step(
        self, images: tf.Tensor, labels: tf.Tensor, draws: Draws | None = None
    ) -> Result:
        if draws is None:
            draws = self.draw(tf.shape(images)[0], self._steps)
        return self._apply(self.compute(images, labels, draws))

    def _apply(self, update: Update) -> Result:
        # None is there before all are: without XLA TensorFlow's graph optimiser (2.21) lets an
        # assignment overtake a read that comes before it.
        changes = tf.tuple([*update.gradients, *update.statistics, update.loss])
        count = len(update.gradients)
        for variable, gradient, decay in zip(
            self.step.learning, changes[:count], self.step.decays, strict=True
        ):
            v = raw(variable)
            if decay:
                gradient += tf.constant(decay, gradient.dtype) * v
            v.assign_sub(tf.cast(self._lr, gradient.dtype) * gradient)
        for variable, batch in zip(self.moving, changes[count:-1], strict=True):
            v = raw(variable)
            v.assign_add((tf.cast(batch, v.dtype) - v) * tf.constant(1 - self._momentum, v.dtype))
        self._steps.assign_add(1)
        return changes[-1], update.correct

    # -- what a run asks for --------------------------------------------------------------------

    def credit(
        self, images: tf.Tensor, labels: tf.Tensor
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """For each kernel the rule's update of the coming step and backprop's gradient of the
        cross-entropy of softmax(q) in the same network, with the same dropout masks."""
        images, labels = self._entering(images, labels)
        draws = self.draw(len(labels), self._steps)
        mine = self.compute(images, labels, draws).gradients
        true = self.compute(images, labels, draws, as_backprop=True).gradients
        pairs = zip(self.names, mine, true, strict=False)
        return {n.removesuffix(".kernel"): (a, b) for n, a, b in pairs if n.endswith(".kernel")}

    def feedback(self) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """W beside B, both in the layout of W; nothing where errors go through W itself."""
        W = {name: tf.convert_to_tensor(self.net.get_layer(name).kernel) for name in self.B}
        return {name: (W[name], tf.convert_to_tensor(B)) for name, B in self.B.items()}

    def parameters(self) -> int:
        """How many numbers learn: kernels, batch norm's gamma and beta, and B."""
        return sum(math.prod(variable.shape) for variable in self.step.learning)

    def state(self) -> dict[str, Any]:
        """Every variable under its layer's name, batch norm's statistics and B, and the steps."""
        feedback = {f"{name}.B": B for name, B in self.B.items()}
        variables = self._named | feedback | {"steps": self._steps}
        return {name: tf.convert_to_tensor(v) for name, v in variables.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, variable in self._named.items():
            variable.assign(state[name])
        for name, B in self.B.items():
            B.assign(state[f"{name}.B"])
        self._steps.assign(state["steps"])


def images_dtype(net: keras.Sequential) -> tf.DType:
    """What type of images the network's step takes."""
    return tf.as_dtype(net.layers[-1].compute_dtype)
