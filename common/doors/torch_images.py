"""The door for the images of a rule in PyTorch whose products autograd does not make."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import ArgumentError


def batch(
    images: Any, like: Tensor, shape: Sequence[int | None], argument: str = "images"
) -> Tensor:
    """Images (B, *shape) in the type of a network's weights `like`; None: any size.

    Arrays, lists and tensors of another floating type are converted. Raises ArgumentError for
    another shape, for integers (bytes from 0 to 255 saturate every unit) and for another device.
    """
    if not isinstance(images, Tensor):
        try:
            images = torch.tensor(np.asarray(images))
        except (TypeError, ValueError, RuntimeError):
            kind = type(images).__name__
            raise ArgumentError(argument, f"({kind}) must be numbers {_shown(shape)}") from None
        images = images.to(like.device)
    if images.dtype != like.dtype:
        if not images.is_floating_point():
            kind = str(images.dtype).removeprefix("torch.")
            raise ArgumentError(
                argument, f"({kind}) must be of a floating type; scale bytes to 0 to 1 first"
            )
        images = images.to(like.dtype)
    sizes = images.shape[1:]
    fits = images.dim() == len(shape) + 1 and all(
        wanted in (None, size) for wanted, size in zip(shape, sizes, strict=True)
    )
    if not fits:
        sides = "x".join(map(str, images.shape)) or "()"
        raise ArgumentError(argument, f"(shape {sides}) must be {_shown(shape)}")
    if images.device != like.device:
        raise ArgumentError(
            argument, f"(on {images.device}) must be on {like.device}, with the weights"
        )
    return images


def _shown(shape: Sequence[int | None]) -> str:
    return f"(B, {', '.join('any' if size is None else str(size) for size in shape)})"
