"""SVHN, cropped digits: `train_32x32.mat` and `test_32x32.mat` directly in the root."""

import io
from pathlib import Path

import numpy as np

from common.data.download import Remote, fetch
from common.files.reading import (
    Arrays,
    Contents,
    checked_labels,
    damaged,
    differs,
    md5,
    missing,
    read,
)

HOST = "http://ufldl.stanford.edu/housenumbers"
FILES = {
    name: Remote(name, checksum, (f"{HOST}/{name}",))
    for name, checksum in (
        ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
    )
}
SIZES = {"train_32x32.mat": 73_257, "test_32x32.mat": 26_032}
"""Images of the published files: other contents of that size are a damaged file, of another size
a set of your own."""
CLASSES = tuple("0123456789")


def load(name: str, root: Path, download: bool) -> Contents:
    """Both halves of the set; what is missing is downloaded first.

    Raises UserError when a file is missing (and `download` is false or fails), is damaged, or has
    a published file's size and other contents.
    """
    absent = [file for file in FILES if not (root / file).is_file()]
    if absent and not download:
        raise missing(name, [root / file for file in absent])
    for file in absent:
        fetch(FILES[file], root)
    halves: list[Arrays] = []
    checksums: dict[str, str] = {}
    for file in FILES:
        arrays, checksums[file] = read_mat(root / file)
        halves.append(arrays)
        if checksums[file] != FILES[file].md5 and len(arrays[1]) == SIZES[file]:
            raise differs(root / file, checksums[file], FILES[file].md5)
    unverified = tuple(file for file in FILES if checksums[file] != FILES[file].md5)
    return Contents(halves[0], halves[1], CLASSES, checksums, unverified, root)


def read_mat(path: Path) -> tuple[Arrays, str]:
    """Images and labels of one file (the file's label 10 is the digit 0) and the file's MD5."""
    from scipy.io import loadmat

    data = read(path)
    try:
        content = loadmat(io.BytesIO(data), variable_names=["X", "y"])
    except Exception as error:  # scipy raises a dozen kinds on a damaged file
        raise damaged(path, f"truncated or not a MATLAB file ({error})") from error
    pixels, marks = content.get("X"), content.get("y")
    if pixels is None or marks is None:
        raise damaged(path, "holds no X and y")
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[:3] != (32, 32, 3):
        raise damaged(path, f"X is {pixels.dtype} {pixels.shape}, not uint8 (32, 32, 3, N)")
    marks = marks.reshape(-1)
    if marks.dtype.kind not in "iuf":
        raise damaged(path, f"y is {marks.dtype}, not numbers")
    whole = np.isfinite(marks) & (marks == np.floor(marks)) & (abs(marks) < 2.0**53)
    if not whole.all():
        at = int(np.argmin(whole))
        raise damaged(path, f"label {at} is {marks[at]}, no whole number")
    labels = marks.astype(np.int64)
    if 0 in labels:
        raise damaged(path, f"label {list(labels).index(0)} is 0, outside 1 to 10")
    labels[labels == 10] = 0
    labels = checked_labels(path, labels, pixels.shape[3], len(CLASSES))
    return (np.ascontiguousarray(pixels.transpose(3, 0, 1, 2)), labels), md5(data)
