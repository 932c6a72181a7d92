"""The door for the images of a rule in PyTorch whose products autograd does not make."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import ArgumentError


def rows(images: Any, like: Tensor, width: int, argument: str = "images") -> Tensor:
    """Images (B, width) in the type of a network's weights `like`.

    Arrays, lists and tensors of another floating type are converted. Raises ArgumentError for
    another shape, for integers (bytes from 0 to 255 saturate every unit) and for another device.
    """
    if not isinstance(images, Tensor):
        try:
            images = torch.tensor(np.asarray(images))
        except (TypeError, ValueError, RuntimeError):
            kind = type(images).__name__
            raise ArgumentError(argument, f"({kind}) must be numbers (B, {width})") from None
        images = images.to(like.device)
    if images.dtype != like.dtype:
        if not images.is_floating_point():
            kind = str(images.dtype).removeprefix("torch.")
            raise ArgumentError(
                argument, f"({kind}) must be of a floating type; scale bytes to 0 to 1 first"
            )
        images = images.to(like.dtype)
    if images.dim() != 2 or images.shape[1] != width:
        shape = "x".join(map(str, images.shape)) or "()"
        raise ArgumentError(argument, f"(shape {shape}) must be (B, {width})")
    if images.device != like.device:
        raise ArgumentError(argument, f"(on {images.device}) must be on {like.device}, with W")
    return images
