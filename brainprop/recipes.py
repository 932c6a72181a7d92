"""Which network goes with which data, what each pair is trained with, when its learning rate halves
and when training stops; no framework."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from common.doors.arguments import integer, number
from common.errors import ArgumentError, unknown

# Our names of data sets -> the original's, in messages and names of files.
NAMES = {
    "mnist": "MNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "tiny_imagenet": "TinyImageNet",
    "digits": "digits",
}


def original_name(dataset: str) -> str:
    """The original's name of a data set as a run found it: tiny_imagenet_10 is TinyImageNet_10."""
    whole = next(name for name in (dataset, "tiny_imagenet") if name in NAMES)
    return NAMES[whole] + dataset.removeprefix(whole)


ARCHITECTURES = ("dense", "conv", "loccon", "deep")
ALGORITHMS = ("BrainProp", "EBP")
# Rates of dropout in order, standard deviation of the first kernels, l2 of every kernel.
DROPOUT = {"dense": (), "conv": (0.3, 0.3), "loccon": (0.3, 0.3), "deep": (0.3, 0.3, 0.8, 0.3)}
STD = {"dense": 0.01, "conv": 0.005, "loccon": 0.005, "deep": 0.005}
L2 = {"dense": 0.0, "conv": 0.0, "loccon": 0.0, "deep": 5e-4}
# Architectures that the original trains on each; digits stands in for any of them.
PAIRS = {
    "mnist": ("dense", "loccon", "conv"),
    "cifar10": ("loccon", "conv", "deep"),
    "cifar100": ("loccon", "conv", "deep"),
    "tiny_imagenet": ("deep",),
    "digits": ARCHITECTURES,
}
INPUTS = {
    "mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
    "cifar100": (32, 32, 3),
    "tiny_imagenet": (64, 64, 3),
}
# From the images up, without the output layer: kind, width, stride. An "image" layer is 3 x 3, its
# weights shared or not, with a batch norm behind it.
FLAT = [("flatten", 0, 1), ("dense", 500, 1), ("drop", 0, 1)]
POOL = [("pool", 0, 2), ("drop", 0, 1)]
SHALLOW = [("image", 32, 1), ("image", 32, 2), ("drop", 0, 1), *FLAT]
LAYERS: dict[str, list[tuple[str, int, int]]] = {
    "dense": [FLAT[0], *(("dense", width, 1) for width in (1500, 1000, 500))],
    "conv": SHALLOW,
    "loccon": SHALLOW,
    "deep": [("image", 64, 1)] * 2
    + [*POOL, *[("image", 128, 1)] * 2]
    + [*POOL, *[("image", 128, 1)] * 3]
    + [*POOL, *FLAT],
}
WIDTHS = (32, 64, 128, 500, 1000, 1500)  # of all layers that --width scales


@dataclass(frozen=True)
class Recipe:
    """What the original trains a pair with (brainprop, 6)."""

    dataset: str
    architecture: str
    learning_algorithm: str
    batch_size: int
    learning_rate: float = 0.1
    halve_every: int = 100
    epochs: int = 500
    patience: int = 45
    min_delta: float = 0.001
    epsilon: float = 0.02
    std: float = 0.005
    l2: float = 0.0
    seed: int = 1


def recipe(dataset: str, architecture: str, learning_algorithm: str) -> Recipe:
    """The original's recipe of a pair. ArgumentError where it has no such pair."""
    if dataset not in PAIRS:
        raise unknown("dataset", dataset, [NAMES[name] for name in PAIRS])
    if learning_algorithm not in ALGORITHMS:
        raise unknown("learning_algorithm", learning_algorithm, ALGORITHMS)
    if architecture not in PAIRS[dataset]:
        raise ArgumentError(
            "architecture",
            f"(={architecture}) must be one of {', '.join(PAIRS[dataset])} for {NAMES[dataset]}",
        )
    return Recipe(
        dataset,
        architecture,
        learning_algorithm,
        batch_size=32 if architecture == "loccon" else 128,
        std=STD[architecture],
        l2=L2[architecture],
    )


class NetworkSettings(NamedTuple):
    """What a network is built from, in either framework."""

    classes: int
    std: float  # of the kernels
    rates: tuple[float, ...]  # of dropout, from the images up
    padding: str  # of the 3 x 3 kernels
    widths: dict[int, int]  # original width -> the one to use


def network_settings(
    architecture: str,
    classes: int,
    std: float | None,
    dropout: Sequence[float] | None,
    padding: str | None,
    widths: Mapping[int, int] | None,
    variance: str,
) -> NetworkSettings:
    """The arguments of a `make_network`, those left out filled in. ArgumentError for one that
    cannot be."""
    for name, value, allowed in (
        ("architecture", architecture, ARCHITECTURES),
        ("variance", variance, ("unbiased", "biased")),
        ("padding", padding or "same", ("same", "valid")),
    ):
        if value not in allowed:
            message = str(unknown(name, value, allowed))
            raise ArgumentError(name, message.removeprefix(f"{name} "))
    usual = DROPOUT[architecture]
    given = usual if dropout is None else dropout
    rates = tuple(number("dropout", p, least=0, below=1) for p in given)
    if len(rates) != len(usual):
        raise ArgumentError("dropout", f"(={list(rates)}) must be {len(usual)} rates")
    return NetworkSettings(
        integer("classes", classes, least=2),
        number("std", STD[architecture] if std is None else std, least=0),
        rates,
        padding or ("valid" if architecture == "loccon" else "same"),
        {n: integer("widths", width) for n, width in (widths or {}).items()},
    )


def input_shape(dataset: str, architecture: str) -> tuple[int, int, int]:
    """Height, width and channels of what the network reads; digits are enlarged to fit."""
    if dataset == "digits":
        return INPUTS["cifar10"] if architecture == "deep" else INPUTS["mnist"]
    return INPUTS[dataset]


def scaled(width: float) -> dict[int, int]:
    """Original width of a layer -> that of a net `width` times as wide, at least 1."""
    return {} if width == 1 else {n: max(1, round(n * width)) for n in WIDTHS}


def stalled(values: Iterable[float], patience: int = 45, min_delta: float = 0.001) -> bool:
    """Whether training stops after the epochs that had these accuracies (fractions).

    An epoch improves if its value less min_delta is above the best so far; after `patience`
    epochs in a row without improvement it is over, so that one never improving ends after 46.
    """
    best, waited = -math.inf, 0
    for value in values:
        if value - min_delta > best:
            best, waited = value, 0
        else:
            waited += 1
    return waited >= patience
