"""What the rule may be set to, in either framework."""

from collections.abc import Sequence

from common.errors import ArgumentError, unknown

CHOICES = {
    "activation": ("tanh", "sigmoid", "relu", "linear", "sign"),
    "local_loss": ("gaussian", "cauchy"),
    "error_form": ("exact", "difference"),
    "reduction": ("mean", "sum"),
}


def checked(layer_sizes: Sequence[int], beta: float, gamma: float, **chosen: str) -> list[int]:
    """The layer sizes as a list; ArgumentError naming the argument whose value cannot be."""
    sizes = [int(n) for n in layer_sizes]
    if len(sizes) < 2 or min(sizes) < 1:
        raise ArgumentError("layer_sizes", f"(={sizes}) must be two or more positive widths")
    if not beta > 0:
        raise ArgumentError("beta", f"(={beta}) must be > 0")
    if not gamma >= 0:
        raise ArgumentError("gamma", f"(={gamma}) must be >= 0")
    for what, value in chosen.items():
        if value not in CHOICES[what]:
            raise unknown(what, value, CHOICES[what])
    return sizes
