"""What both frameworks share: what a network may be, its first weights, a batch's update."""

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from common.doors.arguments import integer, number, shown
from common.errors import ArgumentError, unknown

T = TypeVar("T")  # a framework's tensor

RULES = ("lra_e", "bp", "fixed_e")
CHOICES = {
    "activation": ("tanh", "sigmoid", "relu", "linear", "sign"),
    "local_loss": ("gaussian", "cauchy"),
    "error_form": ("exact", "difference"),
    "reduction": ("mean", "sum"),
}


class Activation(NamedTuple, Generic[T]):
    """phi, its derivative from (h, z), and phi(h) - phi(h - s) written without cancellation."""

    phi: Callable[[T], T]
    derivative: Callable[[T, T], T]
    change: Callable[[T, T, T], T]  # of h, z = phi(h), s


class Update(NamedTuple, Generic[T]):
    """One batch's errors and descent directions; every list is in layer order."""

    loss: T  # () mean cross-entropy before the update
    logits: T  # (B, n_L)
    e: list[T]  # errors, layers 1..L
    d: list[T] | None  # displacements arriving at hidden layers 1..L-1, before beta
    y: list[T] | None  # targets of hidden layers 1..L-1
    gW: list[T]  # descent directions of W, layers 1..L
    gE: list[T] | None  # of E, layers 2..L; None where E does not learn
    gb: list[T] | None  # of b; None without trained biases


def checked(layer_sizes: Sequence[int], beta: float, gamma: float, **chosen: str) -> list[int]:
    """The layer sizes as a list; ArgumentError naming the argument whose value cannot be."""
    sizes = widths(layer_sizes)
    number("beta", beta, above=0)
    number("gamma", gamma, least=0)
    for what, value in chosen.items():
        if value not in CHOICES[what]:
            raise unknown(what, value, CHOICES[what])
    return sizes


def widths(layer_sizes: Sequence[int]) -> list[int]:
    """Two or more positive integers as a list, else ArgumentError."""
    if isinstance(layer_sizes, str) or not isinstance(layer_sizes, Iterable):
        layer_sizes = [layer_sizes]
    given = list(layer_sizes)
    try:
        sizes = [integer("layer_sizes", n) for n in given]
    except ArgumentError:
        sizes = []
    if len(sizes) < 2:
        raise ArgumentError("layer_sizes", f"(={shown(given)}) must be two or more positive widths")
    return sizes


def entries(layers: Sequence[int]) -> int:
    """How many numbers all W and E of a network of such layers have."""
    pairs = list(zip(layers, layers[1:], strict=False))
    return sum(a * b for a, b in pairs) + sum(a * b for a, b in pairs[1:])


def draw_weights(
    layers: Sequence[int], init: str, std_w: float, std_e: float, seed: int
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
