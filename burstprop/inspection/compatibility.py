"""Which layers and units go together. Units are asked, so that those of anybody's are found out.

A hidden unit that hears of a small change g of what arrives learns from

    delta = -sigmoid'(u) g slope / kappa

which is backprop's delta, a quarter as large where u is small: if `slope` is the derivative of
`rate`, if `bursts` works with that slope, and if kappa is what the layer above has scaled its
bursts by (burstprop, 5.1.5, 5.4.4). Whether the two send and expect differences of bursts or
bursts does not matter: the network turns the one into the other.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch

from burstprop.layers import BurstConv2d, BurstLayer, BurstLinear
from burstprop.rule import Units
from common.errors import ArgumentError

SMALL = 1e-6


def check(layers: Mapping[str, BurstLayer]) -> None:
    """ArgumentError, in one sentence, where layers in a row would not learn what they should."""
    for name, layer in layers.items():
        if not isinstance(layer, BurstLayer):
            raise ArgumentError(
                "layers", f"hold {name} of type {type(layer).__name__}: they must be burst layers"
            )
    if [layer.units.output for layer in layers.values()] != [False] * (len(layers) - 1) + [True]:
        raise ArgumentError(
            "layers", "must end with one whose units are output units, and only one"
        )
    if len({id(layer) for layer in layers.values()}) < len(layers):
        raise ArgumentError("layers", "must be different ones: each learns once a step")
    for name, layer in layers.items():
        check_units(name, layer.units)
    for (low, below), (high, above) in pairwise(layers.items()):
        _check_sizes(low, below, high, above)
        _check_scale(low, below.units, high, above.units)


def check_units(name: str, units: Units) -> None:
    """ArgumentError unless units have a slope that is their rate's, and learn by it."""
    y = torch.linspace(-3, 3, 60, dtype=torch.float64, device="cpu")  # without 0: a ReLU's corner
    e, step = units.rate(y.clone()), 1e-6
    slope = units.slope(e)
    measured = (units.rate(y + step) - units.rate(y - step)) / (2 * step)
    if not torch.allclose(slope, measured, rtol=1e-3, atol=1e-6):
        raise _wrong(name, units, "have a slope that is not the derivative of their rate")
    if units.output:
        return
    if not (e >= 0).all():
        raise _wrong(name, units, "have negative event rates: nothing fires less than never")
    g = SMALL * units.kappa * torch.linspace(1, 2, 60, dtype=y.dtype, device="cpu")
    delta = units.bursts(e[None], torch.stack((torch.zeros_like(g), g))[:, None]).delta[0]
    expected = -g * slope
    if not delta @ expected > 0.999 * delta.norm() * expected.norm() > 0:
        raise _wrong(
            name, units, "do not learn by their slope: their bursts belong to another rate"
        )


def _wrong(name: str, units: Units, problem: str) -> ArgumentError:
    return ArgumentError("units", f"of {name} (={units!r}) {problem}")


def _check_scale(low: str, below: Units, high: str, above: Units) -> None:
    scale = above.kappa if above.output else 1.0
    if not math.isclose(below.kappa, scale, rel_tol=1e-6):
        raise ArgumentError(
            "kappa",
            f"of {low} (={below.kappa:g}, {below!r}) must be {scale:g}, by which {high} "
            f"(={above!r}) scales its bursts' difference",
        )


def _check_sizes(low: str, below: Any, high: str, above: Any) -> None:
    has, takes = below.weight.shape[0], above.weight.shape[1]
    if isinstance(below, BurstLinear) and isinstance(above, BurstConv2d):
        raise ArgumentError(
            "layers", f"must not have the convolution {high} above the linear {low}"
        )
    maps = isinstance(below, BurstConv2d) and isinstance(above, BurstLinear)
    if takes % has if maps else takes != has:
        raise ArgumentError(
            "layers",
            f"do not fit: {high} takes {takes} inputs, and {low} has "
            f"{has} {'maps' if maps else 'outputs'}",
        )
