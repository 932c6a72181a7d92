"""What the rule may be set to, in either framework."""

from collections.abc import Iterable, Sequence

from common.doors.arguments import integer, number, shown
from common.errors import ArgumentError, unknown

CHOICES = {
    "activation": ("tanh", "sigmoid", "relu", "linear", "sign"),
    "local_loss": ("gaussian", "cauchy"),
    "error_form": ("exact", "difference"),
    "reduction": ("mean", "sum"),
}


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
    sizes = list(layer_sizes)
    try:
        found = [integer("layer_sizes", n) for n in sizes]
    except ArgumentError:
        found = []
    if len(found) < 2:
        raise ArgumentError("layer_sizes", f"(={shown(sizes)}) must be two or more positive widths")
    return found
