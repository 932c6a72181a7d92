"""What both frameworks share: what a network may be, its first weights, a batch's update."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from common.doors.arguments import integer, number, shown
from common.errors import ArgumentError, unknown

T = TypeVar("T")  # a framework's tensor
Shapes = dict[str, list[tuple[int, ...]]]  # of W, E and, where there are biases, b

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


class Network:
    """A fully connected network that LRA-E trains: what `MLP` is told, the same in both frameworks.

    layer_sizes   widths n_0 .. n_L, at least two
    activation    of the hidden layers: "tanh", "sigmoid", "relu", "linear" or "sign"
    beta          displacement of the targets, > 0
    gamma         scale of E's update; 0 keeps E fixed
    local_loss    "gaussian" (e = z - y, the 2019 scripts) or "cauchy" (the log-penalty of the
                  earlier LRA paper, arXiv 1803.01834: e = 2 (z - y) / (1 + (z - y)^2))
    error_form    "exact" computes z - y without cancellation; "difference" subtracts, as the
                  original does, and loses all digits of float32 after some eight layers
    transposed_e  (lra_e, D1): E of square hidden layers receives its update transposed
    reduction     updates are the batch's "mean" or, as in the old TensorFlow scripts, its "sum"
    normalise     divide each update by its Frobenius norm + 1e-8
    bias          add b^l, starting at zero; train_bias=False keeps it constant
    dtype, device the framework's own, floating; None: float32, and where the framework puts it

    W and E start at N(0, 0.1^2). Raises ArgumentError for a value outside these ranges.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: str = "tanh",
        beta: float = 0.1,
        gamma: float = 1.0,
        bias: bool = False,
        train_bias: bool = True,
        local_loss: str = "gaussian",
        error_form: str = "exact",
        transposed_e: bool = False,
        reduction: str = "mean",
        normalise: bool = False,
        dtype: Any = None,
        device: Any = None,
    ) -> None:
        super().__init__()
        self.layer_sizes = widths(layer_sizes)
        self.beta, self.gamma = number("beta", beta, above=0), number("gamma", gamma, least=0)
        forms = {"local_loss": local_loss, "error_form": error_form, "reduction": reduction}
        for what, value in ({"activation": activation} | forms).items():
            if value not in CHOICES[what]:
                raise unknown(what, value, CHOICES[what])
        self.activation, self.local_loss = activation, local_loss
        self.error_form, self.transposed_e = error_form, transposed_e
        self.reduction, self.normalise, self.train_bias = reduction, normalise, train_bias
        below, above = self.layer_sizes[:-1], self.layer_sizes[1:]
        W, E = zip(below, above, strict=True), zip(above[1:], below[1:], strict=True)
        shapes: Shapes = {"W": [*W], "E": [*E]}
        shapes |= {"b": [(n,) for n in above]} if bias else {}
        self._draw(shapes, dtype, device)

    def _draw(self, shapes: Shapes, dtype: Any, device: Any) -> None:
        """Make W and E, N(0, 0.1^2), and b, 0, of these shapes."""
        raise NotImplementedError


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
