"""The data of a run as its network reads them; no framework."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from brainprop.recipes import input_shape
from common.data.datasets import Dataset, Split, enlarge, load
from common.errors import ArgumentError
from common.files.paths import data_root


class Task(NamedTuple):
    """A data set as the network reads it; without a hold-out the test set validates."""

    data: Dataset
    train: Split
    val: Split | None
    test: Split
    classes: list[str]


def load_task(options: Any) -> Task:
    """The data that the options name, digits enlarged, with the validation images held out."""
    shape = input_shape(options.dataset, options.architecture)
    data = load(options.dataset, options.data_dir, download=not options.no_download)
    held, training = None, data.train.limit(options.limit_train)
    test = data.test.limit(options.limit_test, "limit_test")
    if options.val_split:
        count = held_out(options.val_split, len(training))
        random = np.random.Generator(np.random.PCG64([options.seed, len(training)]))
        order = random.permutation(len(training))
        held, training = training.take(order[:count]), training.take(order[count:])
    fit = _enlarged(shape)
    classes = list(data.classes)
    relabel = None
    if options.dataset == "tiny_imagenet":
        classes, relabel = tiny_classes(options)
    splits = [
        None if split is None else fit(_relabelled(split, relabel))
        for split in (training, held, test)
    ]
    assert splits[0] is not None and splits[2] is not None
    return Task(data, splits[0], splits[1], splits[2], classes)


def data_name(options: Any) -> str:
    """What the data that the options name are called, before they are read: Tiny ImageNet's name
    says how many classes it has where they are not the official ones."""
    from common.data.tiny_imagenet import inventory, locate, set_name

    if options.dataset != "tiny_imagenet":
        return options.dataset
    folder = locate(data_root(options.data_dir), not options.no_download)
    return set_name(*map(len, inventory(folder)))


def held_out(share: float, images: int) -> int:
    """How many of so many training images val_split holds out. ArgumentError for none or all."""
    count = round(share * images)
    if not 0 < count < images:
        raise ArgumentError("val_split", f"(={share}) holds out {count} of {images} images; it "
                            "must leave some on both sides")  # fmt: skip
    return count


def _enlarged(shape: tuple[int, int, int]) -> Callable[[Split], Split]:
    def fit(split: Split) -> Split:
        return split if split.images.shape[1:] == shape else enlarge(split, shape[0], shape[2])

    return fit


def tiny_classes(options: Any) -> tuple[list[str], np.ndarray | None]:
    """Tiny ImageNet's wnids as numbered, and how our labels become those (brainprop, D13)."""
    from common.data.tiny_imagenet import classes, locate

    folder = locate(data_root(options.data_dir), not options.no_download)
    wnids = list(classes(folder))
    if options.switches.class_order == "wnids":
        return wnids, None
    listed = [name for name in os.listdir(folder / "train") if name in set(wnids)]
    return listed, np.array([listed.index(name) for name in wnids], np.int64)


def _relabelled(split: Split, numbers: np.ndarray | None) -> Split:
    return split if numbers is None else Split(split.images, numbers[split.labels])
