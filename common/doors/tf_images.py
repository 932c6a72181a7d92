"""The door for the images of a rule in TensorFlow whose products autodiff does not make."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from common.errors import ArgumentError


def batch(
    images: Any, dtype: tf.DType, shape: Sequence[int | None], argument: str = "images"
) -> tf.Tensor:
    """Images (B, *shape) in a network's type; None: any size.

    Arrays, lists and tensors of another floating type are converted. Raises ArgumentError for
    another shape and for integers (bytes from 0 to 255 saturate every unit).
    """
    try:
        images = tf.convert_to_tensor(images)
    except (TypeError, ValueError):
        kind = type(images).__name__
        raise ArgumentError(argument, f"({kind}) must be numbers {_shown(shape)}") from None
    if images.dtype != dtype:
        if not images.dtype.is_floating:
            raise ArgumentError(
                argument,
                f"({images.dtype.name}) must be of a floating type; scale bytes to 0 to 1 first",
            )
        images = tf.cast(images, dtype)
    if not images.shape.is_compatible_with((None, *shape)):
        sides = "x".join(map(str, images.shape)) or "()"
        raise ArgumentError(argument, f"(shape {sides}) must be {_shown(shape)}")
    return images


def _shown(shape: Sequence[int | None]) -> str:
    return f"(B, {', '.join('any' if size is None else str(size) for size in shape)})"
