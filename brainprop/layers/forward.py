"""One pass up through a network, with every random number given, for a step that is compiled whole.

`forward` applies the layers of a `brainprop.networks` model as Keras would in training, but takes
dropout masks as arguments, returns batch norm's statistics instead of assigning them, and stops at
q, the output layer's product. Errors come down by automatic differentiation of that, through

    W^T     the forward weights (the paper's symmetric case), or
    B       feedback weights of their own, in the layout of W: error_below = dz B^T, and the
            gradient of B is that of W (both ends of the connection know the same two numbers)
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from brainprop import rule
from brainprop.layers.locally_connected import LocallyConnected2D, locally_connected
from brainprop.layers.output import BrainPropLayer, normalise_by
from common.errors import ArgumentError

NORM = keras.layers.BatchNormalization
WEIGHTED = (keras.layers.Dense, keras.layers.Conv2D, LocallyConnected2D, BrainPropLayer)


class Stage(NamedTuple):
    """What a layer saw: enough to send errors down it."""

    layer: Any
    x: tf.Tensor  # its input
    z: tf.Tensor  # its product before the activation, or its output where it has no kernel
    mask: tf.Tensor | None  # of dropout, bool
    statistics: tuple[tf.Tensor, tf.Tensor] | None  # mean and variance for the moving averages


class Passed(NamedTuple):
    """q (n, C), and the stages from the images up."""

    q: tf.Tensor
    stages: list[Stage]

    @property
    def statistics(self) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Name of each batch norm -> its batch's mean and variance (unbiased or not, as it is)."""
        return {s.layer.name: s.statistics for s in self.stages if s.statistics is not None}


def forward(
    net: keras.Sequential,
    images: tf.Tensor,
    masks: Sequence[tf.Tensor] | None = None,
    feedback: Mapping[str, Any] | None = None,
) -> Passed:
    """Images (n, H, W, C) up to q (n, C).

    masks     in training: which entries each dropout layer keeps, bool, in order; None: evaluation
    feedback  layer's name -> B, for those layers that have feedback weights of their own
    """
    x = tf.cast(images, net.layers[0].compute_dtype)
    left, stages = list(masks or ()), []
    for layer in net.layers:
        mask = statistics = None
        below = x = tf.cast(x, layer.compute_dtype)
        if isinstance(layer, WEIGHTED):
            z = _product(layer, x, (feedback or {}).get(layer.name))
            x = z if layer is net.layers[-1] else layer.activation(z)
        elif _by_the_batch(layer) and masks is not None:
            x, mean, variance = normalise_by(layer, x)
            z, statistics = x, (mean, variance)
        elif isinstance(layer, keras.layers.Dropout):
            if masks is not None:
                mask = left.pop(0)
                x = tf.where(mask, x * tf.constant(1 / (1 - layer.rate), x.dtype), tf.zeros_like(x))
            z = x
        elif isinstance(layer, NORM | keras.layers.MaxPooling2D | keras.layers.Flatten):
            z = x = layer(x, training=False) if isinstance(layer, NORM) else layer(x)
        else:
            raise ArgumentError(
                "net",
                f"has layer {layer.name} ({type(layer).__name__}), which is none of brainprop's",
            )
        stages.append(Stage(layer, below, z, mask, statistics))
    return Passed(x, stages)


def _by_the_batch(layer: Any) -> bool:
    """Whether it is a batch norm that learns: a frozen one keeps and uses its moving statistics."""
    return isinstance(layer, NORM) and layer.trainable


def product(layer: Any, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The layer's product of x with a kernel, its own or another of its shape."""
    if isinstance(layer, keras.layers.Conv2D):
        return tf.nn.conv2d(x, kernel, layer.strides, layer.padding.upper())
    if isinstance(layer, LocallyConnected2D):
        return locally_connected(x, kernel, layer.kernel_size, layer.strides, layer.padding)
    return tf.matmul(x, kernel)


def kernel_of(layer: Any, kernel: Any = None) -> tf.Tensor:
    """The layer's kernel, or another, in the type that the layer computes in."""
    chosen = layer.kernel if kernel is None else kernel
    return tf.cast(tf.convert_to_tensor(chosen), layer.compute_dtype)


def _product(layer: Any, x: tf.Tensor, feedback: Any) -> tf.Tensor:
    if feedback is None:
        return product(layer, x, kernel_of(layer))
    own = partial(product, layer)
    return rule.asymmetric(own, x, kernel_of(layer), kernel_of(layer, feedback))
