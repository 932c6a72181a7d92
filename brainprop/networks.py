"""The four networks: dense, conv, loccon and deep, each with either output layer.

No biases; ReLU; batch norm behind it; dropout. Layers are named as the traces name them (conv1,
lc1, bn1, pool1, drop1, dense1, out1), so that `conv1.kernel` is what it seems. All are ordinary
Keras models; `brainprop.learner` trains them with its own step.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from brainprop import rule
from brainprop.layers.locally_connected import LocallyConnected2D
from brainprop.layers.output import BatchNormalization, BrainPropLayer
from brainprop.recipes import ALGORITHMS, L2, LAYERS, network_settings
from common.backends import memory
from common.doors.arguments import number
from common.errors import ArgumentError, unknown

COPIES = 2  # of a weight: itself and its update


def make_network(
    architecture: str,
    input_shape: Sequence[int],
    classes: int,
    algorithm: str = "BrainProp",
    *,
    std: float | None = None,
    l2: float | None = None,
    dropout: Sequence[float] | None = None,
    padding: str | None = None,
    widths: Mapping[int, int] | None = None,
    variance: str = "unbiased",
    epsilon: float = rule.EPSILON,
    zero_is_unselected: bool = False,
    shared_initialiser: bool = False,
    seed: int = 0,
    dtype: Any = None,
) -> keras.Sequential:
    """A network for images `input_shape` (H, W, C), its kernels drawn from N(0, std^2).

    std, l2, dropout    None: the architecture's own (`recipes`); l2 0: none
    padding             of the 3 x 3 kernels; None: "valid" for loccon, else "same"
    widths              original width -> the one to use, for narrow nets
    variance            of batch norm's moving average (brainprop, D4)
    shared_initialiser  (brainprop, D3): kernels of equal shape start equal
    dtype               a Keras dtype or policy; the output layer is at least float32

    Raises ArgumentError for an unknown architecture or algorithm, images too small for it, and a
    number out of its range.
    """
    if algorithm not in ALGORITHMS:
        raise unknown("algorithm", algorithm, ALGORITHMS)
    how = network_settings(architecture, classes, std, dropout, padding, widths, variance)
    classes, l2 = how.classes, number("l2", L2[architecture] if l2 is None else l2, least=0)
    maker = _Maker(
        how.std,
        l2 or None,
        how.padding,
        how.widths,
        list(how.rates),
        variance,
        None if shared_initialiser else seed,
        dtype,
    )
    images = "float64" if dtype == "float64" else "float32"
    layers: list[Any] = [keras.Input(tuple(input_shape), dtype=images)]
    unshared = architecture == "loccon"
    for kind, units, stride in LAYERS[architecture]:
        layers += (
            maker.image(units, stride, unshared) if kind == "image" else [maker.make(kind, units)]
        )
    layers.append(maker.output(classes, algorithm, epsilon, zero_is_unselected))
    try:
        memory.check(COPIES * 4 * entries(layers), "the network's weights and their updates")
        return keras.Sequential(layers, name=architecture)
    except ArgumentError:  # a ValueError too, of a layer's own, and no question of size
        raise
    except ValueError as error:
        raise ArgumentError(
            "input_shape", f"(={tuple(input_shape)}): images are too small for {architecture}"
        ) from error


def policy(precision: str) -> str:
    """The Keras dtype policy of a --precision."""
    return {"bfloat16": "mixed_bfloat16"}.get(precision, precision)


def entries(layers: Sequence[Any]) -> int:
    """Of all kernels that layers will have, the first the input, before any is built."""
    total, shape = 0, tuple(layers[0].shape)
    for layer in layers[1:]:
        below = shape
        shape = tuple(layer.compute_output_shape(shape))
        if hasattr(layer, "kernel_size"):
            positions = shape[1] * shape[2] if isinstance(layer, LocallyConnected2D) else 1
            total += positions * math.prod(layer.kernel_size) * below[-1] * shape[-1]
        elif hasattr(layer, "units"):
            total += below[-1] * shape[-1]
    return total


class _Maker:
    """Makes layers and numbers them by kind."""

    def __init__(
        self,
        std: float,
        l2: float | None,
        padding: str,
        widths: Mapping[int, int],
        rates: list[float],
        variance: str,
        seed: int | None,
        dtype: Any,
    ) -> None:
        self.std, self.l2, self.padding, self.widths = std, l2, padding, widths
        self.rates, self.variance, self.seed, self.dtype = rates, variance, seed, dtype
        self.counts: dict[str, int] = {}

    def named(self, kind: str) -> dict[str, Any]:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return {"name": f"{kind}{self.counts[kind]}", "dtype": self.dtype}

    def stream(self) -> int:
        """A seed of its own for every layer: one for all draws equal kernels (brainprop, D3)."""
        self.counts["stream"] = number = self.counts.get("stream", 0) + 1
        key = [0, 0] if self.seed is None else [self.seed, number]
        return int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)

    def kernel(self) -> dict[str, Any]:
        return {
            "kernel_initializer": keras.initializers.RandomNormal(0.0, self.std, self.stream()),
            "kernel_regularizer": keras.regularizers.L2(self.l2) if self.l2 else None,
        }

    def weights(self) -> dict[str, Any]:
        return {"activation": "relu", "use_bias": False, **self.kernel()}

    def image(self, n: int, stride: int, unshared: bool) -> list[Any]:
        """A 3 x 3 layer and its batch norm."""
        layer = LocallyConnected2D if unshared else keras.layers.Conv2D
        named = self.named("lc" if unshared else "conv")
        norm = {"momentum": 0.99, "epsilon": 1e-3, "variance": self.variance, **self.named("bn")}
        kernel = layer(self.widths.get(n, n), 3, stride, self.padding, **self.weights(), **named)
        return [kernel, BatchNormalization(**norm)]

    def make(self, kind: str, n: int) -> Any:
        """A layer of another kind."""
        named = self.named(kind)
        if kind == "dense":
            return keras.layers.Dense(self.widths.get(n, n), **self.weights(), **named)
        if kind == "drop":
            rate = self.rates[self.counts["drop"] - 1]
            return keras.layers.Dropout(rate, seed=self.stream(), **named)
        return (
            keras.layers.MaxPooling2D(2, **named)
            if kind == "pool"
            else keras.layers.Flatten(**named)
        )

    def output(self, classes: int, algorithm: str, epsilon: float, zero: bool) -> Any:
        """BrainProp's layer, or dense and softmax; of at least float32."""
        named = self.named("out")
        if "16" in str(self.dtype):
            named["dtype"] = "float32"
        if algorithm == "EBP":
            return keras.layers.Dense(
                classes, activation="softmax", use_bias=False, **self.kernel(), **named
            )
        return BrainPropLayer(
            classes,
            epsilon=epsilon,
            zero_is_unselected=zero,
            seed=self.stream(),
            **self.kernel(),
            **named,
        )
