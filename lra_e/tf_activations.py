"""The activations that LRA-E's rule knows, in TensorFlow."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Activation(NamedTuple):
    """phi, its derivative from (h, z), and phi(h) - phi(h - s) written without cancellation."""

    phi: Callable[[tf.Tensor], tf.Tensor]
    derivative: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    displaced: Callable[..., tuple[tf.Tensor, tf.Tensor]]  # h, z, s -> y, z - y


def _tanh_displaced(h: tf.Tensor, z: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # tanh a - tanh b = tanh(a - b) (1 - tanh a tanh b)
    y = tf.tanh(h - s)
    return y, tf.tanh(s) * (1 - z * y)


def _sigmoid_displaced(h: tf.Tensor, z: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    y = tf.sigmoid(h - s)
    return y, tf.tanh(s / 2) * (1 - (2 * z - 1) * (2 * y - 1)) / 2


def _relu_displaced(h: tf.Tensor, z: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    y = tf.nn.relu(h - s)
    return y, tf.where((z > 0) & (y > 0), s, z - y)


def _sign_displaced(h: tf.Tensor, z: tf.Tensor, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    y = tf.sign(h - s)
    return y, z - y


ACTIVATIONS = {
    "tanh": Activation(tf.tanh, lambda h, z: 1 - z * z, _tanh_displaced),
    "sigmoid": Activation(tf.sigmoid, lambda h, z: z * (1 - z), _sigmoid_displaced),
    "relu": Activation(tf.nn.relu, lambda h, z: tf.cast(h > 0, h.dtype), _relu_displaced),
    "linear": Activation(
        lambda h: h, lambda h, z: tf.ones_like(h), lambda h, z, s: (h - s, tf.identity(s))
    ),
    # The rule needs no derivative, so it also trains units that have none.
    "sign": Activation(tf.sign, lambda h, z: tf.zeros_like(h), _sign_displaced),
}
