"""How far a replay of LRA-E may be from the record, norm-wise (max|difference| / max|value|).

FLOAT64 holds for the small traces. What may exceed it, and by how much, follows from the numbers
themselves, so that other sizes, depths and rates need no new constants:

- The originals compute e = tanh h - tanh(h - beta d): a few roundings of numbers near 1, however
  small e is. Relative to e that is ROUNDINGS units in the last place of 1 over its rms, and every
  error below inherits it.
- AdamW divides an update by its own size: where rounding changes an entry g of the gradient by
  delta, the parameter moves by up to about lr * delta / |g|.

Full-size files are float32 and hold statistics: FLOAT32 of their size, plus the same two effects.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tests.oracles.lra_e_numpy import Array, Net, Update
from tests.oracles.lra_e_settings import Recipe

FLOAT64 = 2e-12
FLOAT32 = 2e-5
FLOAT32_PARAMETERS = 2e-6
ROUNDINGS = 20


def rms(array: Array) -> float:
    """Root of the mean square, in float64."""
    return float(np.sqrt(np.mean(np.square(array.astype("float64")))))


def cancelled(update: Update, dtype: str) -> dict[int, float]:
    """Relative error of e by layer (1..L), computed as a difference of two numbers near 1."""
    layers = len(update.gW)
    lost = dict.fromkeys(range(1, layers + 1), 0.0)
    for layer in range(layers - 1, 0, -1):
        if update.e:
            # A difference can come out as zero everywhere, or one rounding away from it.
            size = max(rms(update.e[layer - 1]), float(np.finfo(dtype).eps))
            lost[layer] = lost[layer + 1] + ROUNDINGS * float(np.finfo(dtype).eps) / size
    return lost


def size_of(array: Array) -> float:
    """What errors of an array are relative to: its largest entry, at least one rounding of 1."""
    return max(float(np.max(np.abs(array))), float(np.finfo("float64").eps))


@dataclass
class Drift:
    """How far our parameters may have moved from the recorded ones: absolute bounds that grow.

    `bounds[name]` is an array like the parameter, for every parameter that was stepped.
    """

    recipe: Recipe
    t: int = 0
    bounds: dict[str, Array] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        """The largest bound of any entry."""
        return max((float(np.max(bound)) for bound in self.bounds.values()), default=0.0)

    def relative(self, net: Net) -> float:
        """The largest bound of a layer in the mean square, relative to that layer's weights."""
        layers = [(f"W{i}", w) for i, w in enumerate(net.W, start=1)]
        layers += [(f"E{i}", e) for i, e in enumerate(net.E, start=2)]
        return max(rms(self.of(name, array)) / rms(array) for name, array in layers)

    def of(self, name: str, parameter: Array) -> Array:
        """The bound of one parameter, zero where it never moved."""
        return self.bounds.get(name, np.zeros_like(parameter, dtype=float))

    def step(self, gradients: Mapping[str, tuple[Array, float]]) -> None:
        """After a step with these gradients, each with the relative error that it may carry."""
        self.t = 1 if self.recipe.rebuilt else self.t + 1
        for name, (gradient, error) in gradients.items():
            self.bounds[name] = self.of(name, gradient) + self._moved(gradient, error)

    def _moved(self, gradient: Array, error: float) -> Array:
        delta = error * rms(gradient)
        if self.recipe.optimiser == "sgd":
            return np.full(gradient.shape, self.recipe.lr * delta)
        floor = self.recipe.eps
        if self.recipe.optimiser == "keras_adamw":
            floor /= np.sqrt(1 - self.recipe.beta2)
        shift = np.sqrt(self.t) * delta / (np.abs(gradient).astype(float) + floor)
        # A gradient of exactly zero (a black pixel) is zero on both sides.
        return np.where(gradient == 0, 0.0, 2 * self.recipe.lr * np.minimum(1.0, shift))
