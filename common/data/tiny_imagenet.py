"""Tiny ImageNet in its official layout:

    ROOT/tiny-imagenet-200/wnids.txt                     one class a line, in order
                           words.txt                     class <tab> its names
                           train/<class>/images/*.JPEG
                           val/images/*.JPEG, val/val_annotations.txt

ROOT may be that folder itself. A folder of the same layout under another name (a subset) is taken
when it is the only one, and is called tiny_imagenet_<classes>: only the official set is
tiny_imagenet. Pixels are decoded once and kept beside the folder, in <folder>-decoded
(`common.data.image_cache`).
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.data.download import Remote, fetch_folder
from common.data.image_cache import decode_once
from common.errors import UserError
from common.files.paths import home
from common.files.reading import Arrays, Contents, damaged, md5, read

FOLDER = "tiny-imagenet-200"
COUNTS = (100_000, 10_000)
"""Images of the official set, train and val: a folder of its name with fewer is half unpacked."""
CLASSES = 200
"""Of the official set."""

ARCHIVE = Remote(
    f"{FOLDER}.zip",
    "90528d7ca1a48142e341f4ef8d21d0de",
    (f"http://cs231n.stanford.edu/{FOLDER}.zip",),
)


def load(name: str, root: Path, download: bool) -> Contents:
    """Train and val (which has the labels; the official test set has none), decoded to RGB.

    Raises UserError when the folder is missing (and `download` is false or fails), or when
    anything in it is missing or damaged.
    """
    folder = locate(root, download)
    name = folder.name
    checksums: dict[str, str] = {}
    wnids, train, val = inventory(folder, checksums)
    halves: list[Arrays] = []
    for half, listed in (("train", train), ("val", val)):
        cache = folder.parent / f"{name}-decoded" / f"{half}.safetensors"
        images, checksums[f"{name}/{half}"] = decode_once([path for path, _ in listed], cache)
        halves.append((images, np.array([label for _, label in listed], np.int64)))
    if halves[0][0].shape[1:] != halves[1][0].shape[1:]:
        raise damaged(folder, "training and validation images differ in size")
    names = _names(folder, wnids, checksums)
    # What the archive's MD5 says of its files is unknown: nobody published one of theirs.
    unverified, called = tuple(checksums), set_name(len(wnids), len(train), len(val))
    return Contents(halves[0], halves[1], names, checksums, unverified, folder, called)


def set_name(classes: int, train: int, val: int) -> str:
    """What a set of so many classes and images is called in runs, rows and tables."""
    official = (classes, train, val) == (CLASSES, *COUNTS)
    return "tiny_imagenet" if official else f"tiny_imagenet_{classes}"


Listed = list[tuple[Path, int]]
"""Image files with their labels."""


def inventory(
    folder: Path, checksums: dict[str, str] | None = None
) -> tuple[tuple[str, ...], Listed, Listed]:
    """Classes, training and validation files of a folder; no image is opened. The MD5 of what is
    read goes to `checksums`.

    Raises UserError when anything is missing or contradicts another file, and where the official
    set has not 200 classes of 500 images each and 10,000 validation images.
    """
    folder = home(folder)
    checksums = {} if checksums is None else checksums
    wnids = classes(folder, checksums)
    if not wnids or len(set(wnids)) < len(wnids):
        raise damaged(folder / "wnids.txt", "holds no classes or one of them twice")
    train, val = _train_files(folder, wnids), _val_files(folder, wnids, checksums)
    if folder.name == FOLDER:
        if (len(train), len(val)) != COUNTS:
            counted = f"{len(train)} training and {len(val)} validation images"
            raise damaged(folder, f"holds {counted}, not the official {COUNTS[0]} and {COUNTS[1]}")
        for wnid, count in zip(wnids, np.bincount([label for _, label in train]), strict=True):
            if count * len(wnids) != len(train):
                each = len(train) // len(wnids)
                raise damaged(folder / "train" / wnid, f"holds {count} images, not {each}")
    return wnids, train, val


def classes(folder: Path, checksums: dict[str, str] | None = None) -> tuple[str, ...]:
    """The classes of a folder in the order of its wnids.txt. UserError where that is no text."""
    return tuple(_text(folder / "wnids.txt", {} if checksums is None else checksums).split())


def locate(root: Path, download: bool) -> Path:
    """The folder of the set: `root` itself or under it, downloaded where there is none."""
    root = home(root)
    if (root / "wnids.txt").is_file():
        return Path(os.path.abspath(root))  # "." has no name
    official = root / FOLDER
    if official.is_dir():
        return official
    folders = (path.parent for path in root.glob("*/wnids.txt"))
    others = sorted(path for path in folders if not path.name.startswith("."))
    if len(others) > 1:
        names = ", ".join(path.name for path in others)
        raise UserError(f"{root}: no {FOLDER}, and several folders of its layout ({names})")
    return others[0] if others else fetch_folder(ARCHIVE, root, FOLDER, download)


def _text(path: Path, checksums: dict[str, str]) -> str:
    data = read(path)
    checksums[path.name] = md5(data)
    if b"\0" in data:  # what a crash leaves of a file; no name has it
        raise damaged(path, "is not text (it holds NUL bytes)")
    try:
        return data.decode("utf-8-sig")  # editors of Windows put a mark before the first word
    except UnicodeDecodeError as error:
        raise damaged(path, f"is not text ({error})") from error


def _listing(folder: Path) -> list[str]:
    """Names of the images; those that begin with a dot are an operating system's, never images."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
        return [name for name in names if name.endswith(".JPEG") and not name.startswith(".")]
    except OSError as error:
        raise damaged(folder, f"cannot be read ({error.strerror or error})") from error


def _train_files(folder: Path, wnids: tuple[str, ...]) -> Listed:
    listed = []
    for label, wnid in enumerate(wnids):
        images = folder / "train" / wnid / "images"
        names = _listing(images)
        if not names:
            raise damaged(images, "holds no .JPEG")
        listed += [(images / name, label) for name in names]
    return listed


def _val_files(folder: Path, wnids: tuple[str, ...], checksums: dict[str, str]) -> Listed:
    annotations, images = folder / "val" / "val_annotations.txt", folder / "val" / "images"
    _refuse_sorted(folder / "val", wnids)
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    present = set(_listing(images))
    listed = []
    for number, line in enumerate(_text(annotations, checksums).splitlines(), start=1):
        if not line.strip():
            continue
        name, wnid = (line.split("\t") + [""])[:2]
        if wnid not in labels:
            raise damaged(annotations, f"line {number} has no class of wnids.txt ({wnid!r})")
        if name not in present:
            raise damaged(images / name, f"is missing ({annotations.name} line {number})")
        listed.append((images / name, labels[wnid]))
    if not listed or len(listed) != len(present):
        raise damaged(annotations, f"labels {len(listed)} images where {len(present)} are there")
    return listed


def _refuse_sorted(val: Path, wnids: Sequence[str]) -> None:
    """UserError where a script has sorted the validation images into a folder a class."""
    sorted_into = [wnid for wnid in wnids if (val / wnid).is_dir()]
    images = val / "images"
    as_published = (val / "val_annotations.txt").is_file() and images.is_dir() and _listing(images)
    if sorted_into and not as_published:
        raise damaged(
            val,
            f"is sorted into {len(sorted_into)} class folders ({sorted_into[0]}, ...), not as "
            "published (images/ and val_annotations.txt): unpack the archive anew",
        )


def _names(folder: Path, wnids: tuple[str, ...], checksums: dict[str, str]) -> tuple[str, ...]:
    """The first name of each class in words.txt; the class itself where it has none."""
    path = folder / "words.txt"
    lines = _text(path, checksums).splitlines() if path.is_file() else []
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return tuple(words.get(wnid, wnid).split(",")[0].strip() for wnid in wnids)
