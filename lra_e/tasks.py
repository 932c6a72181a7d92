"""The data sets as the six programs prepare them (lra_e, 6); no framework."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.backends import memory
from common.data.datasets import Dataset, Split, enlarge, load
from common.errors import ArgumentError
from lra_e.networks import entries

SIDE = 28  # pixels; smaller images are enlarged
BYTES = 8 + 3 * 4
"""Memory of an entry of a weight: as it is drawn, and in float32 itself and two moments."""


class Task(NamedTuple):
    """A data set for one run; `held_out` images of `train` are to validate."""

    data: Dataset
    train: Split
    test: Split
    held_out: int


def load_task(
    dataset: str,
    data_dir: Path | None,
    layers: Sequence[int],
    validation: int,
    *,
    download: bool = True,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Task:
    """The data for a network of such layers. The number held out is a fraction: `validation`
    counts images in 60,000. ArgumentError where it leaves none, or where the layers do not fit."""
    data = load(dataset, data_dir, download=download)
    train = data.train.limit(limit_train)
    test = data.test.limit(limit_test, "limit_test")
    held_out = round(len(train) * validation / 60_000)
    if not 0 < held_out < len(train):
        raise ArgumentError(
            "validation",
            f"(={validation}) holds out {held_out} of {len(train)} "
            "images; it counts images in 60,000 and must leave some on both sides",
        )
    if train.images.shape[1] < SIDE:
        train, test = enlarge(train, SIDE), enlarge(test, SIDE)
    pixels, classes = int(np.prod(train.images.shape[1:])), data.n_classes
    if (layers[0], layers[-1]) != (pixels, classes):
        raise ArgumentError(
            "layers",
            f"(={'-'.join(map(str, layers))}) must begin with {pixels} "
            f"pixels and end with {classes} classes for {dataset}",
        )
    memory.check(BYTES * entries(layers), "the network's weights and their moments")
    return Task(data, train, test, held_out)


def hold_out(kind: str, count: int, held_out: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images to train on and of those that validate: the "first" or the "last" of
    the training set, or "random" ones."""
    indices = np.arange(count)
    if kind == "random":
        indices = np.random.Generator(np.random.PCG64([seed, count])).permutation(count)
    if kind == "first":
        return indices[held_out:], indices[:held_out]
    return indices[: count - held_out], indices[count - held_out :]
