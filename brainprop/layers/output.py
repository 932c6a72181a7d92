"""BrainProp's output layer, and batch norm as the original had it, for anybody's Keras model.

    >>> import keras, numpy as np
    >>> from brainprop.layers.output import BrainPropLayer
    >>> from brainprop.layers.loss import BrainPropLoss, reward_rate
    >>> model = keras.Sequential([keras.layers.Dense(500, "relu"), BrainPropLayer(10)])
    >>> loss = BrainPropLoss(batch_size=128)
    >>> model.compile(keras.optimizers.SGD(0.1), loss, metrics=[reward_rate])
    >>> images, labels = np.random.rand(256, 784), np.arange(256) % 10  # labels are classes
    >>> seen = model.fit(images, labels, batch_size=128, epochs=2, verbose=0)
    >>> sorted(seen.history)
    ['loss', 'reward_rate']

`fit` differentiates the loss and so trains by the rule; `brainprop.learner` has a faster step.
"""

from typing import Any

import keras
import tensorflow as tf

from brainprop import rule
from common.doors.arguments import integer, number
from common.errors import ArgumentError


@keras.saving.register_keras_serializable(package="brainprop")
class BrainPropLayer(keras.layers.Layer):
    """The output layer: (n, inputs) -> (n, units), linear without bias.

    In training the output is q of the action taken and 0 elsewhere (`rule.select`); the selection
    itself has no gradient. Otherwise it is 1 for the best action and 0 elsewhere.

    units               number of classes, >= 2
    epsilon             how often an action is drawn from softmax(q), in [0, 1]
    zero_is_unselected  (brainprop, D9): a selected action of value exactly 0 looks unselected to
                        the loss, which takes what is not zero for the selection. Else
                        such a value is shown as the smallest positive number.
    seed                of the draws

    Raises ArgumentError for units or epsilon outside these ranges, and for inputs that are not
    (n, inputs).
    """

    def __init__(
        self,
        units: int,
        *,
        epsilon: float = rule.EPSILON,
        zero_is_unselected: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        seed: int | None = None,
        **named: Any,
    ) -> None:
        super().__init__(**named)
        self.units = integer("units", units, least=2)
        self.epsilon = number("epsilon", epsilon, least=0, most=1)
        self.seed = None if seed is None else integer("seed", seed, least=0)
        self.zero_is_unselected = zero_is_unselected
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def build(self, input_shape: Any) -> None:
        """Create the kernel (inputs, units)."""
        if len(input_shape) != 2 or input_shape[1] is None:
            raise ArgumentError("input_shape", f"(={tuple(input_shape)}) must be (n, inputs)")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )

    def draw(self, q: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """u (n,) float32, and the actions (n,) to take where u says so."""
        u = keras.random.uniform(tf.shape(q)[:1], dtype="float32", seed=self.seed_generator)
        noise = keras.random.uniform(tf.shape(q), dtype="float32", seed=self.seed_generator)
        return u, rule.boltzmann(q, noise)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """See the class."""
        q = tf.matmul(inputs, self.kernel)
        if not training:
            return tf.one_hot(tf.argmax(q, 1), self.units, dtype=q.dtype)
        u, drawn = self.draw(tf.stop_gradient(q))
        chosen = tf.one_hot(
            rule.select(q, u, drawn, epsilon=self.epsilon), self.units, dtype=q.dtype
        )
        if self.zero_is_unselected:
            return chosen * q
        # The number that stands for zero is a constant added to q, so that q keeps its gradient.
        tiny = tf.constant(2.0**-14 if q.dtype == tf.float16 else 2.0**-120, q.dtype)
        return chosen * (q + tf.where(q == 0, tiny, tf.zeros_like(q)))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """(n, units)."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return super().get_config() | {
            "units": self.units,
            "epsilon": self.epsilon,
            "zero_is_unselected": self.zero_is_unselected,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "seed": self.seed,
        }


def normalise(
    x: tf.Tensor,
    gamma: tf.Tensor | None,
    beta: tf.Tensor | None,
    epsilon: float,
    unbiased: bool = True,
    mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Batch norm by the batch's own statistics over all axes but the last: output, mean, variance.

    Outputs use the biased variance; the one returned, for the moving average, has N / (N - 1) where
    `unbiased`, as TensorFlow's fused kernel has it (brainprop, D4). mask, without the last axis:
    the values that the statistics are of. No gamma is 1, no beta is 0.
    """
    channels = x.shape[-1]
    gamma = tf.ones(channels, x.dtype) if gamma is None else tf.cast(gamma, x.dtype)
    beta = tf.zeros(channels, x.dtype) if beta is None else tf.cast(beta, x.dtype)
    if x.dtype == tf.float32 and x.shape.rank == 4 and mask is None:
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x, gamma, beta, epsilon=epsilon, is_training=True
        )[:3]
        return y, mean, variance if unbiased else variance / _bessel(x)
    wide = tf.cast(x, tf.float32) if x.dtype.size < 4 else x
    mean, variance, bessel = _moments(wide, mask)
    scale, shift = tf.cast(gamma, wide.dtype), tf.cast(beta, wide.dtype)
    y = tf.nn.batch_normalization(wide, mean, variance, shift, scale, epsilon)
    return tf.cast(y, x.dtype), mean, variance * bessel if unbiased else variance


def _moments(x: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean, variance and N / (N - 1) of all x, or of those that a mask leaves."""
    axes = list(range(x.shape.rank - 1))
    if mask is None:
        return *tf.nn.moments(x, axes), _bessel(x)
    weight = tf.cast(mask, x.dtype)[..., None] * tf.ones_like(x[..., :1])
    count = tf.reduce_sum(weight)
    mean = tf.math.divide_no_nan(tf.reduce_sum(weight * x, axes), count)
    squares = tf.reduce_sum(weight * tf.square(x - mean), axes)
    return mean, tf.math.divide_no_nan(squares, count), count / tf.maximum(count - 1, 1)


def _bessel(x: tf.Tensor) -> tf.Tensor:
    """N / (N - 1) for N values a channel, as TensorFlow's fused kernel: 1 where N is 1."""
    count = tf.cast(tf.size(x) // tf.shape(x)[-1], x.dtype)
    return count / tf.maximum(count - 1, 1)


@keras.saving.register_keras_serializable(package="brainprop")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch norm whose moving variance is unbiased, as in TensorFlow 2.

    variance   "unbiased" (N / (N - 1)), or "biased" as Keras 3 and the float64 traces have it

    Keras' own arguments mean what they mean there, `axis`, `center`, `scale` and the mask of a call
    included. Raises ArgumentError for those that it does not have here (`renorm`, `synchronized`)
    and for values out of their range.
    """

    def __init__(self, *, variance: str = "unbiased", **named: Any) -> None:
        for name in ("renorm", "synchronized"):
            if named.get(name):
                raise ArgumentError(name, f"(={named[name]}) must be False in this batch norm")
        super().__init__(**named)
        if variance not in ("unbiased", "biased"):
            raise ArgumentError("variance", f"(={variance}) must be unbiased or biased")
        number("momentum", self.momentum, least=0, most=1)
        number("epsilon", self.epsilon, least=0)
        self.variance = variance

    def call(self, inputs: tf.Tensor, training: bool = False, mask: Any = None) -> tf.Tensor:
        """As in Keras, which does the rest when not training."""
        if not training or not self.trainable:
            return super().call(inputs, training=False, mask=mask)
        y, mean, variance = normalise_by(self, inputs, mask)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            old = tf.convert_to_tensor(moving)
            moving.assign(old + (tf.cast(batch, old.dtype) - old) * (1 - self.momentum))
        return y

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return super().get_config() | {"variance": self.variance}


def normalise_by(
    layer: keras.layers.BatchNormalization, x: tf.Tensor, mask: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`normalise` as a batch norm has it: its gamma, beta, epsilon, axis and kind of variance."""
    unbiased = getattr(layer, "variance", "biased") == "unbiased"
    last, axis = x.shape.rank - 1, layer.axis % x.shape.rank
    if mask is not None and (axis != last or len(mask.shape) != last):
        # No ArgumentError: Keras makes a new exception of what a call raises, from its text alone.
        raise ValueError(
            f"mask (shape {mask.shape}) must be the inputs' without the last axis, which must be "
            "the layer's"
        )
    if axis == last:
        return normalise(x, layer.gamma, layer.beta, layer.epsilon, unbiased, mask)
    order = [i for i in range(last + 1) if i != axis] + [axis]
    turned = tf.transpose(x, order)
    y, mean, variance = normalise(turned, layer.gamma, layer.beta, layer.epsilon, unbiased)
    return tf.transpose(y, [order.index(i) for i in range(last + 1)]), mean, variance
