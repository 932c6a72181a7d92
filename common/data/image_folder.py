"""ImageNet layout: `ROOT/train/<class>/…` and `ROOT/val/<class>/…`, decoded as it is asked for.

Names that begin with a dot are never images nor folders of images: they are what operating systems
and editors leave behind. `common.data.pixels` says how a file becomes pixels.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.data.datasets import described, limited
from common.data.pixels import decode
from common.files.paths import home
from common.files.reading import damaged, md5, missing

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".ppm", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class FolderSplit:
    """Paths of N images and their labels, int64 `(N,)`."""

    paths: tuple[str, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> np.ndarray:
        """The image at `index`, decoded: uint8 `(H, W, 3)`."""
        return decode(self.paths[index])

    def take(self, indices: Sequence[int] | np.ndarray) -> "FolderSplit":
        """The images at `indices`, in that order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return FolderSplit(tuple(self.paths[i] for i in chosen), self.labels[chosen])

    def limit(self, n: int | None, argument: str = "limit_train") -> "FolderSplit":
        """As `common.data.datasets.Split.limit`."""
        return self if n is None else self.take(limited(n, len(self), argument))


class ImageFolder:
    """The two halves of an image folder, listed and not read.

    `train`, `val`: FolderSplit; `classes`: folder names of train, sorted; `checksums`: for each
    half the MD5 of its sorted relative paths (reading a million images to hash them would cost
    more than the listing is worth).

    Raises UserError when a folder is missing or empty, or when train and val differ in classes.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = home(root)
        halves = {name: self.root / name for name in ("train", "val")}
        absent = [folder for folder in halves.values() if not folder.is_dir()]
        if absent:
            raise missing("image folder", absent)
        self.classes = _classes(halves["train"])
        odd = set(self.classes) ^ set(_classes(halves["val"]))
        if odd:
            raise damaged(self.root, f"class folder {min(odd)} is not in both train and val")
        self.checksums: dict[str, str] = {}
        self.train = self._list("train")
        self.val = self._list("val")

    @property
    def about(self) -> str:
        """The set in a line: classes, images, folder."""
        counts = len(self.classes), len(self.train), len(self.val)
        return described("image folder", *counts, str(self.root))

    def _list(self, half: str) -> FolderSplit:
        split = _split(self.root / half, self.classes)
        self.checksums[half] = _listing(split, self.root)
        return split


def one_half(folder: Path) -> tuple[FolderSplit, tuple[str, ...], str]:
    """The images below FOLDER/<class>/…, the names of the classes, sorted, and the MD5 of the
    sorted paths relative to the folder. UserError where a folder is missing or empty."""
    folder = home(folder)
    if not folder.is_dir():
        raise missing("image folder", [folder])
    classes = _classes(folder)
    split = _split(folder, classes)
    return split, classes, _listing(split, folder)


def _split(folder: Path, classes: Sequence[str]) -> FolderSplit:
    paths: list[str] = []
    counts = []
    for name in classes:
        images = _images(folder / name)
        if not images:
            raise damaged(folder / name, "holds no image")
        paths += images
        counts.append(len(images))
    labels = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return FolderSplit(tuple(paths), labels)


def _listing(split: FolderSplit, root: Path) -> str:
    return md5(os.fsencode("\n".join(os.path.relpath(path, root) for path in split.paths)))


def _classes(folder: Path) -> tuple[str, ...]:
    folders = (entry.name for entry in os.scandir(folder) if _is_folder(entry))
    names = sorted(name for name in folders if not name.startswith("."))
    if not names:
        raise damaged(folder, "holds no class folder")
    return tuple(names)


def _images(folder: Path) -> list[str]:
    return sorted(_walk(folder, set()))


def _walk(folder: str | Path, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Images in a folder and below it, in the order of their names, each folder once: links are
    followed, but not back to where they lead from, whose images may be of other classes."""
    try:
        about = os.stat(folder)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise damaged(folder, f"cannot be read ({error.strerror or error})") from error
    if (about.st_dev, about.st_ino) in seen:
        return
    seen.add((about.st_dev, about.st_ino))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            if not (entry.is_symlink() and _leads_back(entry.path)):
                yield from _walk(entry.path, seen)
        elif entry.name.lower().endswith(SUFFIXES):
            yield entry.path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _leads_back(link: str) -> bool:
    target, here = os.path.realpath(link), os.path.realpath(os.path.dirname(link))
    return os.path.commonpath([target, here]) == target
