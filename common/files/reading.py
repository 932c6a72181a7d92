"""What the data-set readers share: reading a file whole, its MD5, and the error that names it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import UserError
from common.files.paths import home

Arrays = tuple[np.ndarray, np.ndarray]
"""Images, uint8 `(N, H, W, C)`, and labels, int64 `(N,)`."""


class Contents(NamedTuple):
    """What a reader returns.

    checksums    MD5 of every file (or folder of files) that was read, by its name
    unverified   those names whose MD5 could be compared with none that is known
    folder       where it was read; None: a package carries it
    name         of the set, where what lies there is not the one that was asked for but a part
    """

    train: Arrays
    test: Arrays
    classes: tuple[str, ...]
    checksums: dict[str, str]
    unverified: tuple[str, ...] = ()
    folder: Path | None = None
    name: str | None = None


def read(path: str | Path) -> bytes:
    """The bytes of the file. Raises UserError when it cannot be read."""
    try:
        return home(path).read_bytes()
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror or error})") from error


def md5(data: bytes | memoryview) -> str:
    """MD5 in hexadecimal: it recognises a published file, it is no protection against forgery."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def differs(path: str | Path, actual: str, known: str) -> UserError:
    """The error for a file of a published set whose contents are not the published ones."""
    why = f"MD5 of the contents is {actual}, not the published {known}: truncated or changed"
    return damaged(path, f"{why}; move it away to have it downloaded again")


def damaged(path: str | Path, why: str) -> UserError:
    """The error for a file that is there but is not what it should be."""
    return UserError(f"{path}: {why}")


def missing(what: str, paths: Sequence[str | Path]) -> UserError:
    """The error for data that is neither there nor to be downloaded; `paths`: where it looked."""
    return UserError(
        f"{what} is missing and not downloaded; looked at {', '.join(map(str, paths))}"
    )


def checked_labels(path: str | Path, labels: np.ndarray, images: int, classes: int) -> np.ndarray:
    """`labels` as int64 `(images,)`.

    Raises UserError naming `path` when there is not one label an image or when a label is not
    in 0 … `classes` - 1.
    """
    if labels.shape != (images,):
        raise damaged(path, f"holds {labels.size} labels for {images} images")
    if images == 0:
        raise damaged(path, "holds no labels")
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        at = int(np.argmax(outside))
        raise damaged(path, f"label {at} is {labels[at]}, outside 0 to {classes - 1}")
    return labels.astype(np.int64)
