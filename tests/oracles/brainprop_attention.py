"""The way down written by hand: attention starts at the unit selected and follows the connections.

The way down (brainprop, 5.1.7), for a weight from unit i to unit j:

    fb_s = 1,  fb_j = f'(a_j) sum_k w_jk fb_k,  dw_ij = lr delta x_i fb_j / B

fb_j is attention at unit j, x_i the input that unit i gives. Without batch norm each sample's
attention is its own affair, and delta may multiply at the very end (start = onehot(s)); batch norm
mixes the batch's samples, so there the start carries delta: start = `rule.teaching_signal`.

This is how one would build it, and the check on what `brainprop.step` gets from automatic
differentiation.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from brainprop.layers.forward import WEIGHTED, Passed, Stage, kernel_of
from brainprop.layers.locally_connected import LocallyConnected2D


def send_down(
    passed: Passed, start: tf.Tensor, feedback: Mapping[str, Any] | None = None
) -> dict[str, tf.Tensor]:
    """Attention at every layer's product (f' included), by layer name, from `start` (n, C) at q.

    Batch norms come along, with the attention at their output. feedback: weights B by layer name,
    which then stand for that layer's W on the way down.
    """
    fb, sent = start, {}
    for stage in reversed(passed.stages):
        layer = stage.layer
        fb = tf.cast(tf.reshape(fb, tf.shape(stage.z)), stage.z.dtype)
        if isinstance(layer, WEIGHTED):
            if stage is not passed.stages[-1]:
                fb = fb * _slope(layer, stage.z)
            sent[layer.name] = fb
            if stage is passed.stages[0]:
                break
            fb = _transposed(stage, fb, kernel_of(layer, (feedback or {}).get(layer.name)))
        elif isinstance(layer, keras.layers.BatchNormalization):
            sent[layer.name] = fb
            fb = _through_norm(stage, fb)
        elif isinstance(layer, keras.layers.Dropout):
            if stage.mask is not None:
                fb = fb * tf.cast(stage.mask, fb.dtype) / (1 - layer.rate)
        elif isinstance(layer, keras.layers.MaxPooling2D):
            window, strides = [1, *layer.pool_size, 1], [1, *layer.strides, 1]
            fb = tf.raw_ops.MaxPoolGrad(
                orig_input=stage.x,
                orig_output=stage.z,
                grad=fb,
                ksize=window,
                strides=strides,
                padding=layer.padding.upper(),
            )
        fb = tf.reshape(fb, tf.shape(stage.x))
    return sent


def gradients(
    passed: Passed, start: tf.Tensor, feedback: Mapping[str, Any] | None = None
) -> dict[str, tf.Tensor]:
    """Variable's name ("conv1.kernel", "bn1.gamma") -> its gradient, from `send_down`."""
    fb = send_down(passed, start, feedback)
    result = {}
    for stage in passed.stages:
        name = stage.layer.name
        if isinstance(stage.layer, WEIGHTED):
            result[f"{name}.kernel"] = _outer(stage, fb[name])
        elif isinstance(stage.layer, keras.layers.BatchNormalization):
            axes = list(range(fb[name].shape.rank - 1))
            result[f"{name}.gamma"] = tf.reduce_sum(fb[name] * _standardised(stage)[0], axes)
            result[f"{name}.beta"] = tf.reduce_sum(fb[name], axes)
    return result


def _slope(layer: Any, z: tf.Tensor) -> tf.Tensor:
    """f' of ReLU, 0 at 0."""
    return (
        tf.cast(z > 0, z.dtype) if layer.activation is keras.activations.relu else tf.ones_like(z)
    )


def _transposed(stage: Stage, fb: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """sum_k w_jk fb_k: attention times the transposed kernel, at the layer's input."""
    layer, x = stage.layer, stage.x
    if isinstance(layer, keras.layers.Conv2D):
        padding = layer.padding.upper()
        return tf.nn.conv2d_transpose(fb, kernel, tf.shape(x), layer.strides, padding)
    if not isinstance(layer, LocallyConnected2D):
        return tf.matmul(fb, kernel, transpose_b=True)
    rows = tf.reshape(fb, (-1, kernel.shape[0], kernel.shape[2]))
    patches = tf.einsum("bpf,pkf->bpk", rows, kernel)
    # Every patch back to where it was cut out: the transpose of cutting.
    height, width = layer.kernel_size
    entries = kernel.shape[1]
    cut = tf.reshape(tf.eye(entries, dtype=x.dtype), (height, width, x.shape[-1], entries))
    patches = tf.reshape(patches, (-1, *fb.shape[1:3], entries))
    return tf.nn.conv2d_transpose(patches, cut, tf.shape(x), layer.strides, layer.padding.upper())


def _outer(stage: Stage, fb: tf.Tensor) -> tf.Tensor:
    """Sum over samples (and positions that share weights) of input times attention."""
    layer, x = stage.layer, stage.x
    if isinstance(layer, keras.layers.Conv2D | LocallyConnected2D):
        height, width = layer.kernel_size
        patches = tf.image.extract_patches(
            x, [1, height, width, 1], [1, *layer.strides, 1], [1, 1, 1, 1], layer.padding.upper()
        )
        if isinstance(layer, LocallyConnected2D):
            gathered = tf.einsum("bhwk,bhwf->hwkf", patches, fb)
        else:
            gathered = tf.einsum("bhwk,bhwf->kf", patches, fb)
        return tf.reshape(gathered, layer.kernel.shape)
    return tf.matmul(x, fb, transpose_a=True)


def _standardised(stage: Stage) -> tuple[tf.Tensor, tf.Tensor]:
    """Batch norm's input with mean 0 and variance 1, and 1 / its standard deviation."""
    axes = list(range(stage.x.shape.rank - 1))
    mean, variance = tf.nn.moments(stage.x, axes)
    inverse = tf.math.rsqrt(variance + stage.layer.epsilon)
    return (stage.x - mean) * inverse, inverse


def _through_norm(stage: Stage, fb: tf.Tensor) -> tf.Tensor:
    """The Jacobian of batch norm, its statistics differentiated through."""
    axes = list(range(fb.shape.rank - 1))
    x, inverse = _standardised(stage)
    centred = fb - tf.reduce_mean(fb, axes) - x * tf.reduce_mean(fb * x, axes)
    return tf.cast(tf.convert_to_tensor(stage.layer.gamma), fb.dtype) * inverse * centred
