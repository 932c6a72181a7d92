"""scikit-learn's 8x8 digits, which its package carries: the data set that needs no download."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from common.files.reading import Contents, md5, read

TRAIN = 1437
"""Training images, four fifths of the 1797."""

KNOWN = {
    "digits.csv.gz": "9b335364a7bfd63947c7480a5bd51f2d",
    "digits": "0af20a105e04dcf55c5d1bc47c958850",
}
"""MD5s of the table as scikit-learn has packed it so far, and of its numbers."""


def load(name: str, root: Path, download: bool) -> Contents:
    """The set in the order `RandomState(0).permutation(1797)`, its 0 … 16 spread over 0 … 255.

    Needs neither `root` nor `download`.
    """
    pixels, labels, checksums = _packaged() or _through_sklearn()
    images = np.rint(255 * pixels / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
    order = np.random.RandomState(0).permutation(len(images))
    images, labels = images[order], labels.astype(np.int64)[order]
    train, test = (images[:TRAIN], labels[:TRAIN]), (images[TRAIN:], labels[TRAIN:])
    unverified = tuple(name for name, actual in checksums.items() if actual != KNOWN[name])
    return Contents(train, test, tuple("0123456789"), checksums, unverified)


def _packaged() -> tuple[np.ndarray, np.ndarray, dict[str, str]] | None:
    """The table in scikit-learn's folder; importing scikit-learn would take a second or two."""
    package = importlib.util.find_spec("sklearn")
    folders = package.submodule_search_locations if package else None
    path = Path(folders[0], "datasets", "data", "digits.csv.gz") if folders else None
    if path is None or not path.is_file():
        return None
    data = read(path)
    table = np.array(gzip.decompress(data).replace(b"\n", b",").rstrip(b",").split(b","), float)
    table = table.reshape(-1, 65)
    return table[:, :64], table[:, 64], {path.name: md5(data)}


def _through_sklearn() -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels, labels, {"digits": md5(pixels.tobytes() + labels.tobytes())}
