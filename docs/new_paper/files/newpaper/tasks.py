"""Data sets as the paper prepares them: pixels in [0, 1], flat. No framework."""

from pathlib import Path
from typing import NamedTuple

from common.data.datasets import Dataset, Split, load

DATASETS = ("mnist", "fashion_mnist", "cifar10")


class Task(NamedTuple):
    """A data set as one run sees it."""

    data: Dataset
    train: Split
    test: Split

    @property
    def pixels(self) -> int:
        """Numbers in an image."""
        return self.train.images[0].size

    @property
    def classes(self) -> int:
        """How many there are."""
        return self.data.n_classes


def load_task(
    dataset: str,
    data_dir: str | Path | None = None,
    *,
    download: bool = True,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Task:
    """The data set of this name. UserError where it is missing or damaged."""
    data = load(dataset, data_dir, download=download)
    return Task(data, data.train.limit(limit_train), data.test.limit(limit_test, "limit_test"))
