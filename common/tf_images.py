"""The door for the images of a rule in TensorFlow whose products autodiff does not make."""

from typing import Any

import tensorflow as tf

from common.errors import ArgumentError


def rows(images: Any, dtype: tf.DType, width: int, argument: str = "images") -> tf.Tensor:
    """Images (B, width) in a network's type.

    Arrays, lists and tensors of another floating type are converted. Raises ArgumentError for
    another shape and for integers (bytes from 0 to 255 saturate every unit).
    """
    try:
        images = tf.convert_to_tensor(images)
    except (TypeError, ValueError):
        kind = type(images).__name__
        raise ArgumentError(argument, f"({kind}) must be numbers (B, {width})") from None
    if images.dtype != dtype:
        if not images.dtype.is_floating:
            raise ArgumentError(
                argument,
                f"({images.dtype.name}) must be of a floating type; scale bytes to 0 to 1 first",
            )
        images = tf.cast(images, dtype)
    if images.shape.rank is not None and not images.shape.is_compatible_with((None, width)):
        shape = "x".join(map(str, images.shape)) or "()"
        raise ArgumentError(argument, f"(shape {shape}) must be (B, {width})")
    return images
