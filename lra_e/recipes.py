"""The six programs' constants, and the task that a command line makes of them; no framework."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from common.backends import memory
from common.data.datasets import Dataset, Split
from common.errors import ArgumentError


@dataclass(frozen=True)
class Recipe:
    """The constants of one program (lra_e, 3)."""

    dataset: str
    layers: tuple[int, ...] = (784, 256, 256, 256, 256, 10)
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    adam_eps: float = 1e-8
    beta: float = 0.1
    init: str = "normal"  # or "linear", nn.Linear's default
    std_w: float = 0.1
    std_e: float = 0.1
    reduction: str = "mean"
    hold_out: str = "random"  # which images of the training set are the validation set
    validation: int = 2000


_NEW_TF = Recipe("mnist", weight_decay=0.004, adam_eps=1e-7, std_e=1.0, hold_out="last")
_OLD_TF = Recipe(
    "mnist",
    layers=(784, 256, 256, 256, 10),
    optimizer="sgd",
    weight_decay=0.0,
    std_e=1.0,
    reduction="sum",
    hold_out="first",
    validation=5000,
)


def _fashion(recipe: Recipe, **changes: Any) -> Recipe:
    return Recipe(**{**vars(recipe), "dataset": "fashion_mnist", **changes})


RECIPES = {
    "mnist_torch": Recipe("mnist"),
    "fmnist_torch": Recipe("fashion_mnist", init="linear"),
    "mnist_newTF": _NEW_TF,
    "fmnist_newTF": _fashion(_NEW_TF, lr=2e-4, beta=0.05),
    "mnist": _OLD_TF,
    "fmnist": _fashion(_OLD_TF),
}

# What the paper itself is said to have used; second-hand, its text could not be opened. It stays
# for what differs from the programs (lra_e, D15), and because runs have it in their records.
PAPER = {
    "optimizer": "sgd",
    "lr": 0.01,
    "weight_decay": 0.0,
    "beta": 0.1,
    "init": "normal",
    "std_w": 0.05**0.5,
    "std_e": 0.05**0.5,
}


BYTES = 8 + 3 * 4
"""Of an entry of a weight: as it is drawn, and in float32 itself and two moments."""


class Task(NamedTuple):
    """A data set split for one run."""

    data: Dataset
    train: Split
    val: Split
    test: Split


def load_task(options: Any, split: Callable[[int, int], tuple[np.ndarray, np.ndarray]]) -> Task:
    """The data that the options name, with the validation images held out.

    split(n, n_val) gives the training and the validation indices of the training set. The number
    held out is a fraction: --validation counts images in 60,000.
    """
    from common.data.datasets import enlarge, load

    data = load(options.dataset, options.data_dir, download=not options.no_download)
    train = data.train.limit(options.limit_train)
    test = data.test.limit(options.limit_test, "limit_test")
    n_val = round(len(train) * options.validation / 60_000)
    if not 0 < n_val < len(train):
        raise ArgumentError(
            "validation",
            f"(={options.validation}) holds out {n_val} of {len(train)} "
            "images; it counts images in 60,000 and must leave some on both sides",
        )
    if train.images.shape[1] < 28:
        train, test = enlarge(train, 28), enlarge(test, 28)
    pixels, classes = int(np.prod(train.images.shape[1:])), data.n_classes
    if (options.layers[0], options.layers[-1]) != (pixels, classes):
        raise ArgumentError(
            "layers",
            f"(={'-'.join(map(str, options.layers))}) must begin with {pixels} "
            f"pixels and end with {classes} classes for {options.dataset}",
        )
    memory.check(BYTES * entries(options.layers), "the network's weights and their moments")
    kept, held = split(len(train), n_val)
    return Task(data, train.take(kept), train.take(held), test)


def entries(layers: Sequence[int]) -> int:
    """Of all W and E of a network of such layers."""
    pairs = list(zip(layers, layers[1:], strict=False))
    return sum(a * b for a, b in pairs) + sum(a * b for a, b in pairs[1:])


def split_by(kind: str, seed: int) -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
    """Hold out the "first" or the "last" images of the training set, or "random" ones."""

    def split(n: int, n_val: int) -> tuple[np.ndarray, np.ndarray]:
        indices = np.arange(n)
        if kind == "random":
            indices = np.random.Generator(np.random.PCG64([seed, n])).permutation(n)
        if kind == "first":
            return indices[n_val:], indices[:n_val]
        return indices[: n - n_val], indices[n - n_val :]

    return split


def draw_weights(
    layers: list[int], init: str, std_w: float, std_e: float, seed: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """First weights, float64, the same in both frameworks: W^l (n_{l-1}, n_l), E^l (n_l, n_{l-1}).

    "normal" draws N(0, std^2), "linear" U(-1, 1) / sqrt(width of the layer that the weights read).
    """
    rng = np.random.Generator(np.random.PCG64(seed))

    def draw(rows: int, columns: int, std: float) -> np.ndarray:
        if init == "normal":
            return rng.normal(0.0, std, (rows, columns))
        return rng.uniform(-1.0, 1.0, (rows, columns)) / np.sqrt(rows)

    W, E = [], []
    for below, above in zip(layers, layers[1:], strict=False):
        W.append(draw(below, above, std_w))
        if len(W) > 1:
            E.append(draw(above, below, std_e))
    return W, E
