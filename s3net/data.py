"""Data of the trainers; digits in their place for a quick look."""

from typing import Any, NamedTuple

from common.data.datasets import Dataset, Split, enlarge, load


class Task(NamedTuple):
    """A data set as one run sees it."""

    data: Dataset
    train: Split
    test: Split


def load_task(options: Any) -> Task:
    """The data that the options name; digits become colour images of 32 x 32."""
    data = load(options.dataset, options.data_dir, download=not options.no_download)
    train = data.train.limit(getattr(options, "limit_train", None))
    test = data.test.limit(options.limit_test, "limit_test")
    if options.dataset == "digits":
        train, test = enlarge(train, 32, 3), enlarge(test, 32, 3)
    return Task(data, train, test)
