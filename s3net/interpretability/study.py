"""From folders of photographs, cut-outs and trained networks to saliency maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common.data.image_folder import SUFFIXES
from common.data.pixels import decode
from common.errors import ArgumentError, UserError
from common.files.paths import home
from s3net.interpretability.segmentation import alpha_mask, red_mask
from s3net.tasks import IMAGENET

if TYPE_CHECKING:
    from s3net.tinyimagenet.networks import Opened

TOLERANCE = 1e-4
"""Relative error up to which FullGrad's sum is complete, in float32, as in the original."""


class Photos(NamedTuple):
    """names (file stems) and pixels uint8 (N, size, size, 3)."""

    names: list[str]
    pixels: np.ndarray


class Maps(NamedTuple):
    """What one network says of N photos."""

    model: str
    about: str  # where its weights are from
    saliency: np.ndarray  # (N, size, size), not rescaled
    targets: np.ndarray  # (N,), the class explained: the one with the largest logit
    errors: np.ndarray  # (N,), relative error of completeness


def files(folder: Path, limit: int | None = None) -> list[Path]:
    """The images of a folder, by name. ArgumentError where there are none."""
    folder = home(folder)
    if not folder.is_dir():
        raise ArgumentError("images", f"(={folder}): there is no such folder")
    images = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not images:
        raise ArgumentError("images", f"(={folder}): holds no image")
    return images[:limit]


def photos(paths: Sequence[Path], size: int) -> Photos:
    """Decoded and resized (bilinear, antialiased, aspect not kept: as the original does)."""
    from PIL import Image

    pixels = [
        np.asarray(Image.fromarray(decode(p)).resize((size, size), Image.Resampling.BILINEAR))
        for p in paths
    ]
    return Photos([path.stem for path in paths], np.stack(pixels))


def masks(names: Sequence[str], folder: Path, size: int, original: bool = False) -> np.ndarray:
    """bool (N, size, size): the cut-out of each photo, the file whose name begins with the photo's.

    original: by the original's way through the red channel (`red_mask`). ArgumentError where one
    lacks.
    """
    folder = home(folder)
    if not folder.is_dir():
        raise ArgumentError("masks", f"(={folder}): there is no such folder")
    cut_outs = []
    for name in names:
        paths = sorted(p for p in folder.glob(f"{name}*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise ArgumentError("masks", f"(={folder}): holds no cut-out of {name}")
        cut_outs.append((red_mask if original else alpha_mask)(paths[0], size))
    return np.stack(cut_outs)


def open_model(word: str, size: int | None) -> "Opened":
    """NAME, or NAME=FILE with its weights.

    Without a file: the small networks are here; torchvision's come with the weights of the
    original study (IMAGENET1K_V1), which torchvision downloads and checks.
    """
    from s3net.networks import torchvision_names
    from s3net.tinyimagenet.networks import Opened, open_network
    from s3net.tinyimagenet.recipes import SMALL

    name, _, file = word.partition("=")
    if file or name in SMALL:
        return open_network(name, home(file) if file else None, size)
    if name not in torchvision_names():
        return open_network(name, None, size)  # says which there are
    from torchvision.models import get_model

    try:
        net = get_model(name, weights="IMAGENET1K_V1")
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{word}: torchvision's weights could not be had ({error}); give {name}=FILE"
        ) from None
    return Opened(net.eval(), name, size or 224, None, "torchvision's IMAGENET1K_V1")


def explain(opened: "Opened", pixels: np.ndarray, *, batch: int, device: Any) -> Maps:
    """FullGrad maps of the predicted classes, `batch` photos at a time, in float32."""
    import torch

    from common.backends.torch_layout import from_nhwc
    from s3net.interpretability.rule import fullgrad

    net = opened.net.to(device)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in IMAGENET)
    parts = []
    for part in np.array_split(pixels, range(batch, len(pixels), batch)):
        images = from_nhwc(torch.from_numpy(part.copy()).to(device)).float() / 255
        explained = fullgrad(net, (images - mean) / std)
        parts.append((explained.saliency[:, 0], explained.targets, explained.errors))
    saliency, targets, errors = (torch.cat(p).cpu().numpy() for p in zip(*parts, strict=True))
    return Maps(opened.name, opened.about, saliency, targets, errors)
