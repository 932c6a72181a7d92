"""The MD5 of a file's arrays, kept in the file: HDF5 and safetensors have none of their own, and a
flipped bit in a weight is a number like any other."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.files.reading import damaged

KEY = "md5"
"""The entry of a file's metadata that holds it."""


def seal(arrays: Mapping[str, np.ndarray]) -> str:
    """MD5 of names, types, shapes and contents, whatever the order of the names."""
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def finite(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """UserError where a weight is NaN or infinite: a network of it answers every image alike."""
    for name in sorted(arrays):
        array = arrays[name]
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise damaged(path, f"{name} holds NaN or infinity: its run diverged, or it is damaged")


def verified(path: Path, arrays: Mapping[str, np.ndarray], about: dict[str, Any]) -> bool:
    """Take the MD5 out of `about` and compare; False where there is none: the file of another
    program. Raises UserError where the arrays are not those that were written."""
    known = about.pop(KEY, None)
    if known is None:
        return False
    if (actual := seal(arrays)) != known:
        raise damaged(path, f"MD5 of the weights is {actual}, not {known} as written: damaged")
    return True
