"""ImageNet's transforms for `TorchStream`: PIL image in, uint8 pixels out (torchvision's)."""

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

Transform = Callable[[Image.Image], Tensor]


def random_crop(size: int) -> Transform:
    """A random part (8 to 100 % of the area, 3:4 to 4:3) resized to size x size, mirrored half of
    the time."""
    return v2.Compose([v2.RandomResizedCrop(size), v2.RandomHorizontalFlip(), v2.PILToTensor()])


def centre_crop(size: int, resize: int | None = None) -> Transform:
    """The short side to `resize` (None: size x 256/224), then the centre."""
    return v2.Compose([v2.Resize(_side(size, resize)), v2.CenterCrop(size), v2.PILToTensor()])


def ten_crop(size: int, resize: int | None = None) -> Transform:
    """The short side to `resize`; corners, centre and their mirror images: (10, C, H, W)."""
    return v2.Compose([v2.Resize(_side(size, resize)), v2.TenCrop(size), v2.PILToTensor(), _stack])


def _stack(crops: tuple[Tensor, ...]) -> Tensor:
    return torch.stack(tuple(crops))


def _side(size: int, resize: int | None) -> int:
    return round(size * 256 / 224) if resize is None else resize
