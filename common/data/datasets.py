"""The door to the data sets: `load("mnist", root)` gives arrays, from files laid out as
torchvision lays them out, downloaded where they are missing.

    >>> from common.data.datasets import load
    >>> data = load("digits")                  # or load("cifar10", root, download=False)
    >>> data.train.images.dtype, data.train.images.shape
    (dtype('uint8'), (1437, 8, 8, 1))
    >>> data.train.labels.dtype, data.train.labels.shape
    (dtype('int64'), (1437,))

The readers are imported when asked for, so that importing this module costs nothing. Folders of
images too large for memory are `common.data.image_folder.ImageFolder`.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import ArgumentError, UserError, unknown
from common.files.paths import data_root
from common.files.reading import Contents

READERS = {
    "digits": "digits",
    "mnist": "mnist",
    "fashion_mnist": "mnist",
    "svhn": "svhn",
    "cifar10": "cifar",
    "cifar100": "cifar",
    "tiny_imagenet": "tiny_imagenet",
}
"""The module of `common.data` that reads each data set, with `load(name, root, download)`."""

NAMES = tuple(READERS)


@dataclass(frozen=True)
class Split:
    """`images`, uint8 `(N, H, W, C)`, and `labels`, int64 `(N,)`."""

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            given = f"{self.images.dtype} {self.images.shape}"
            raise ArgumentError("images", f"(={given}) must be uint8 (N, H, W, C)")
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            given = f"{self.labels.dtype} {self.labels.shape}"
            raise ArgumentError("labels", f"(={given}) must be int64 ({len(self.images)},)")

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> np.ndarray:
        """The image at `index`, uint8 `(H, W, C)`."""
        return self.images[index]

    def take(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """The images at `indices`, in that order, as copies."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Split(self.images[chosen], self.labels[chosen])

    def limit(self, n: int | None, argument: str = "limit_train") -> "Split":
        """The first `n` images of the permutation that `RandomState(0)` draws; None: all, as is.

        Raises ArgumentError naming `argument` when `n` is not in 1 … N.
        """
        return self if n is None else self.take(limited(n, len(self), argument))


@dataclass(frozen=True)
class Dataset:
    """A training and a test set; `name`, `checksums`, `unverified` and `folder` are those of
    `common.files.reading.Contents`."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    checksums: dict[str, str]
    unverified: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def about(self) -> str:
        """The set in a line: name, classes, images, folder."""
        where = "scikit-learn's package" if self.folder is None else str(self.folder)
        return described(self.name, self.n_classes, len(self.train), len(self.test), where)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.train.images.shape[1:]
        return height, width, channels

    @property
    def n_classes(self) -> int:
        return len(self.classes)


def load(name: str, root: str | Path | None = None, *, download: bool = True) -> Dataset:
    """The data set `name` (one of `NAMES`) from the folder `root` (None: as `data_root`).

    Raises ArgumentError for an unknown name, and UserError when a file is damaged, or is missing
    and `download` is false or fails.
    """
    if name not in NAMES:
        raise unknown("dataset", name, NAMES)
    reader = importlib.import_module(f"common.data.{READERS[name]}")
    contents: Contents = reader.load(name, data_root(root), download)
    return Dataset(
        contents.name or name,
        Split(*contents.train),
        Split(*contents.test),
        contents.classes,
        contents.checksums,
        contents.unverified,
        contents.folder,
    )


def described(name: str, classes: int, train: int | None, test: int, where: str) -> str:
    """What a run says of its data: "mnist: 10 classes, 60,000 training and 10,000 test images of
    data/MNIST". train None: there are none."""
    images = (
        f"{test:,} test images" if train is None else f"{train:,} training and {test:,} test images"
    )
    return f"{name}: {classes} classes, {images} of {where}"


def limited(n: int, size: int, argument: str) -> np.ndarray:
    """The first `n` of the fixed permutation of `size`. Raises ArgumentError."""
    if not 1 <= n <= size:
        raise ArgumentError(argument, f"(={n}) must be from 1 to {size}, the size of the set")
    return np.random.RandomState(0).permutation(size)[:n]


def enlarge(split: Split, size: int, channels: int | None = None) -> Split:
    """`split` as `(N, size, size, channels)`.

    Each pixel becomes a square of the largest whole number that fits, zeros fill the rest evenly
    (the odd row or column at the bottom and right), and grey is repeated over `channels` (None:
    as they are). Raises UserError when the images are larger or their channels do not fit.
    """
    n, height, width, depth = split.images.shape
    channels = channels or depth
    factor = min(size // height, size // width)
    if factor < 1:
        raise UserError(f"images of {height}x{width} do not fit into an input of {size}x{size}")
    if channels != depth and depth != 1:
        raise UserError(f"images of {depth} channels do not fit into an input of {channels}")
    top, left = (size - factor * height) // 2, (size - factor * width) // 2
    images = np.zeros((n, size, size, channels), np.uint8)
    large = split.images.repeat(factor, axis=1).repeat(factor, axis=2)
    images[:, top : top + factor * height, left : left + factor * width] = large
    return Split(images, split.labels)
