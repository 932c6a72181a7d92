"""Thresholded maps, ground truth from cut-outs, and how well the two overlap (Dice)."""

from pathlib import Path

import numpy as np

from s3net.tasks import IMAGENET

PERCENTILES = tuple(range(99, 79, -1))
"""Of the Dice curve: 99, 98, ..., 80."""
BACK = (4.3668, 4.4643, 4.4444)
"""The original's rounded 1 / IMAGENET.std: its way back from normalised to plain pixels."""


def segment(saliency: np.ndarray, percentiles: np.ndarray) -> np.ndarray:
    """bool `(P, N, H, W)`: the positive part of maps `(N, H, W)` at or above its percentiles."""
    positive = np.maximum(saliency, 0)
    limits = np.percentile(positive.reshape(len(positive), -1), percentiles, axis=1)
    return (positive >= limits[..., None, None]) & (positive > 0)


def dice(saliency: np.ndarray, masks: np.ndarray, percentiles: np.ndarray) -> np.ndarray:
    """2 |S and M| / (|S| + |M|), `(P, N)`, of maps and bool masks `(N, H, W)`; 0 / 0 is 0."""
    chosen = segment(saliency, percentiles)
    both = (chosen & masks).sum((2, 3))
    size = chosen.sum((2, 3)) + masks.sum((1, 2))
    return 2 * both / np.maximum(size, 1)


def centre(size: int) -> np.ndarray:
    """A map `(size, size)` that knows nothing but that objects are in the middle: the control."""
    side = np.linspace(-1, 1, size)
    return np.exp(-(side[:, None] ** 2 + side[None, :] ** 2))


def alpha_mask(path: str | Path, size: int) -> np.ndarray:
    """bool `(size, size)`: where a cut-out is more than half opaque, resized with nearest.

    A cut-out without alpha: where any colour is above 0. Raises UserError naming the file.
    """
    from PIL import Image

    image = _open(path)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        shown = np.asarray(image.convert("RGBA"))[..., 3] > 127
    else:
        shown = np.asarray(image.convert("RGB")).max(-1) > 0
    small = Image.fromarray(shown.astype(np.uint8)).resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(small) > 0


def red_mask(path: str | Path, size: int) -> np.ndarray:
    """bool `(size, size)`: the original's ground truth (see `red_round_trip`) of a cut-out."""
    from PIL import Image

    small = _open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return red_round_trip(np.asarray(small))


def red_round_trip(pixels: np.ndarray) -> np.ndarray:
    """bool `(H, W)` of uint8 `(H, W, 3)`: red above 0 after normalising and, by rounded
    constants, back again; in float32, as the original. Object pixels without red are lost."""
    mean, std = IMAGENET.mean[0], IMAGENET.std[0]
    red = pixels[..., 0].astype(np.float32) / np.float32(255)
    normal = (red - np.float32(mean)) / np.float32(std)
    # The way back is a Normalize of mean -mean/std and deviation 1/std.
    there = (normal + np.float32(mean / std)) / np.float32(BACK[0])
    return there > 0


def _open(path: str | Path):
    """The decoded PIL image, alpha kept."""
    from common.data.pixels import opened
    from common.files.reading import read

    return opened(read(path), path)
