"""Tiny ImageNet in its official layout:

    ROOT/tiny-imagenet-200/wnids.txt                     one class a line, in order
                           words.txt                     class <tab> its names
                           train/<class>/images/*.JPEG
                           val/images/*.JPEG, val/val_annotations.txt

A folder of the same layout under another name (a subset) is taken when it is the only one. Pixels
are decoded once and kept in ROOT/<folder>-decoded (`common.decoded`).
"""

import os
from pathlib import Path

import numpy as np

from common.decoded import decoded
from common.download import Remote, fetch_folder
from common.errors import UserError
from common.files import Arrays, Contents, damaged, md5, read

FOLDER = "tiny-imagenet-200"
COUNTS = (100_000, 10_000)
"""Images of the official set, train and val: a folder of its name with fewer is half unpacked."""

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
    checksums: dict[str, str] = {}
    wnids, train, val = inventory(folder, checksums)
    halves: list[Arrays] = []
    for half, listed in (("train", train), ("val", val)):
        cache = root / f"{folder.name}-decoded" / f"{half}.safetensors"
        images, checksums[f"{folder.name}/{half}"] = decoded([path for path, _ in listed], cache)
        halves.append((images, np.array([label for _, label in listed], np.int64)))
    if halves[0][0].shape[1:] != halves[1][0].shape[1:]:
        raise damaged(folder, "training and validation images differ in size")
    return halves[0], halves[1], _names(folder, wnids, checksums), checksums


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
    checksums = {} if checksums is None else checksums
    wnids = tuple(_text(folder / "wnids.txt", checksums).split())
    if not wnids or len(set(wnids)) < len(wnids):
        raise damaged(folder / "wnids.txt", "holds no classes or one of them twice")
    train, val = _train_files(folder, wnids), _val_files(folder, wnids, checksums)
    if folder.name == FOLDER:
        if (len(train), len(val)) != COUNTS:
            found = f"{len(train)} training and {len(val)} validation images"
            raise damaged(folder, f"holds {found}, not the official {COUNTS[0]} and {COUNTS[1]}")
        for wnid, count in zip(wnids, np.bincount([label for _, label in train]), strict=True):
            if count * len(wnids) != len(train):
                each = len(train) // len(wnids)
                raise damaged(folder / "train" / wnid, f"holds {count} images, not {each}")
    return wnids, train, val


def locate(root: Path, download: bool) -> Path:
    """The folder of the set under `root`, downloaded where there is none."""
    official = root / FOLDER
    if official.is_dir():
        return official
    others = sorted(path.parent for path in root.glob("*/wnids.txt"))
    if len(others) > 1:
        names = ", ".join(path.name for path in others)
        raise UserError(f"{root}: no {FOLDER}, and several folders of its layout ({names})")
    return others[0] if others else fetch_folder(ARCHIVE, root, FOLDER, download)


def _text(path: Path, checksums: dict[str, str]) -> str:
    data = read(path)
    checksums[path.name] = md5(data)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise damaged(path, f"is not text ({error})") from error


def _listing(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(".JPEG"))
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
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    present = set(_listing(images))
    listed = []
    for number, line in enumerate(_text(annotations, checksums).splitlines(), start=1):
        name, wnid = (line.split("\t") + [""])[:2]
        if wnid not in labels:
            raise damaged(annotations, f"line {number} has no class of wnids.txt ({wnid!r})")
        if name not in present:
            raise damaged(images / name, f"is missing ({annotations.name} line {number})")
        listed.append((images / name, labels[wnid]))
    if not listed or len(listed) != len(present):
        raise damaged(annotations, f"labels {len(listed)} images where {len(present)} are there")
    return listed


def _names(folder: Path, wnids: tuple[str, ...], checksums: dict[str, str]) -> tuple[str, ...]:
    """The first name of each class in words.txt; the class itself where it has none."""
    path = folder / "words.txt"
    lines = _text(path, checksums).splitlines() if path.is_file() else []
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return tuple(words.get(wnid, wnid).split(",")[0].strip() for wnid in wnids)
