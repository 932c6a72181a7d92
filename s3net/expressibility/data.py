"""Regression data of the study: diabetes (bundled), Boston (from a file of the user's), digits."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import ArgumentError, UsageError
from common.files.paths import home
from s3net.expressibility.kernel import Array

DATASETS = ("diabetes", "boston", "digits")
TEST_SHARE = 0.1


def depths_of(text: str) -> list[int]:
    """ "2:8" or "2,4,8" -> numbers of blocks or neurons. UsageError otherwise."""
    try:
        if ":" in text:
            first, last = (int(word) for word in text.split(":"))
            depths = list(range(first, last + 1))
        else:
            depths = [int(word) for word in text.split(",")]
    except ValueError:
        depths = []
    if not depths or min(depths) < 1:
        raise UsageError(
            f"option --depths (={text}) must be such as 2:8 or 2,4,8, whole numbers >= 1"
        )
    return depths


class Data(NamedTuple):
    """x (N, d); y (N, outputs), for classes one-hot minus its mean."""

    name: str
    x: Array
    y: Array
    classes: bool = False


def load(name: str, boston: Path | None = None) -> Data:
    """A data set; ArgumentError for Boston without a file.

    Boston housing left scikit-learn: one of its columns encodes race. `boston` is a csv or npz with
    13 feature columns and the price last (npz: arrays x, y). ArgumentError where it is
    another thing.
    """
    from sklearn import datasets

    if name == "diabetes":
        x, y = datasets.load_diabetes(return_X_y=True)
        return Data(name, x, y[:, None])
    if name == "digits":
        x, labels = datasets.load_digits(return_X_y=True)
        return Data(name, x / 16, np.eye(10)[labels] - 0.1, True)
    if boston is None:
        raise ArgumentError(
            "boston",
            "is missing: dataset boston needs a file (csv or npz with 13 features and the price); "
            "no library ships it",
        )
    x, y = _read_boston(boston)
    return Data(name, x, y)


def indices(count: int, seed: int = 13) -> tuple[np.ndarray, np.ndarray]:
    """(train, test): a tenth of so many points for the test, drawn by scikit-learn; seed 13 is the
    notebook's."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(np.arange(count), test_size=TEST_SHARE, random_state=seed)
    return train, test


def standardised(data: Data) -> Data:
    """Every feature with mean 0 and variance 1 over all points; constant ones become 0."""
    deviation = data.x.std(0)
    return data._replace(x=(data.x - data.x.mean(0)) / np.where(deviation > 0, deviation, 1.0))


def _read_boston(path: Path) -> tuple[Array, Array]:
    path = home(path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                x, y = np.asarray(file["x"], float), np.asarray(file["y"], float).reshape(-1, 1)
        else:
            rows = path.read_text(encoding="utf-8").strip().splitlines()
            if not rows:
                raise ValueError("it is empty")
            skip = 0 if _numeric(rows[0]) else 1
            table = np.loadtxt(rows[skip:], delimiter="," if "," in rows[-1] else None, ndmin=2)
            x, y = table[:, :-1], table[:, -1:]
    except Exception as error:  # numpy and zipfile raise a dozen kinds on a damaged file
        raise ArgumentError("boston", f"(={path}): cannot be read ({error})") from None
    finite = np.isfinite(x).all() and np.isfinite(y).all()
    if x.ndim != 2 or x.shape[1] != 13 or len(x) != len(y) or not finite:
        raise ArgumentError(
            "boston",
            f"(={path}): must hold 13 features and the price a row, finite numbers all, not "
            f"{x.shape}",
        )
    return x, y


def _numeric(line: str) -> bool:
    try:
        [float(word) for word in line.replace(",", " ").split()]
    except ValueError:
        return False
    return True
