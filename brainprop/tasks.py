"""The data of a run as its network reads them; no framework."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from brainprop.recipes import input_shape
from common.data.datasets import Dataset, Split, enlarge, load
from common.errors import ArgumentError
from common.files.paths import data_root

EVAL_BATCH = 1024  # about: evaluation depends on no batch


class Task(NamedTuple):
    """A data set as the network reads it; without a hold-out the test set validates.

    classes   their names, in the order in which the network numbers them
    """

    data: Dataset
    train: Split
    val: Split | None
    test: Split
    classes: list[str]

    @property
    def validation(self) -> str:
        """ "val" or "test": by which epochs are judged."""
        return "test" if self.val is None else "val"

    def batches(self, which: str, size: int, *, dtype: Any, seed: int = 0) -> Any:
        """`TFBatches` of "train", shuffled from the seed; of "val" or "test" in large batches, each
        a multiple of the nominal `size`, so that a smaller one is the set's last."""
        from common.data.tf_batches import TFBatches

        if which == "train":
            return TFBatches(self.train, size, shuffle=True, seed=seed, dtype=dtype, layout="NHWC")
        split = self.test if self.val is None or which == "test" else self.val
        size *= max(1, EVAL_BATCH // size)
        return TFBatches(split, size, dtype=dtype, layout="NHWC")


def load_task(
    dataset: str,
    data_dir: Path | None,
    architecture: str,
    *,
    download: bool = True,
    val_split: float = 0.0,
    seed: int = 0,
    limit_train: int | None = None,
    limit_test: int | None = None,
    class_order: str = "wnids",
) -> Task:
    """A data set for an architecture, digits enlarged to fit.

    val_split     the share of the training images that validate, drawn from the seed
    class_order   how Tiny ImageNet's classes are numbered (brainprop, D13): by "wnids", or by the
                  "listing" of their folders

    Raises ArgumentError for a val_split that leaves nothing on one side, and UserError for data
    that are not there.
    """
    height, width, channels = input_shape(dataset, architecture)
    data = load(dataset, data_dir, download=download)
    held, training = None, data.train.limit(limit_train)
    test = data.test.limit(limit_test, "limit_test")
    if val_split:
        count = held_out(val_split, len(training))
        random = np.random.Generator(np.random.PCG64([seed, len(training)]))
        order = random.permutation(len(training))
        held, training = training.take(order[:count]), training.take(order[count:])
    classes, numbers = list(data.classes), None
    if dataset == "tiny_imagenet":
        classes, numbers = tiny_classes(data_dir, class_order, download=download)

    def fitted(split: Split) -> Split:
        if numbers is not None:
            split = Split(split.images, numbers[split.labels])
        fits = split.images.shape[1:] == (height, width, channels)
        return split if fits else enlarge(split, height, channels)

    return Task(
        data, fitted(training), None if held is None else fitted(held), fitted(test), classes
    )


def data_name(dataset: str, data_dir: Path | None, *, download: bool = True) -> str:
    """What the data of a run are called, before they are read: Tiny ImageNet's name says how many
    classes it has where they are not the official ones."""
    from common.data.tiny_imagenet import inventory, locate, set_name

    if dataset != "tiny_imagenet":
        return dataset
    return set_name(*map(len, inventory(locate(data_root(data_dir), download))))


def held_out(share: float, images: int) -> int:
    """How many of so many training images val_split holds out. ArgumentError for none or all."""
    count = round(share * images)
    if not 0 < count < images:
        raise ArgumentError(
            "val_split",
            f"(={share}) holds out {count} of {images} images; it must leave some on both sides",
        )
    return count


def tiny_classes(
    data_dir: Path | None, class_order: str, *, download: bool = True
) -> tuple[list[str], np.ndarray | None]:
    """Tiny ImageNet's wnids as numbered, and how our labels become those (brainprop, D13)."""
    from common.data.tiny_imagenet import classes, locate

    folder = locate(data_root(data_dir), download)
    wnids = list(classes(folder))
    if class_order == "wnids":
        return wnids, None
    listed = [name for name in os.listdir(folder / "train") if name in set(wnids)]
    return listed, np.array([listed.index(name) for name in wnids], np.int64)
