"""The ImageNet network (burstprop, 4.4): seven rectified convolutions and a linear output."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from burstprop.imagenet.rule import ReLUUnits, SoftmaxOutput
from burstprop.layers import BurstConv2d, BurstLayer, BurstLinear
from burstprop.networks import BurstNetwork
from burstprop.rule import Units
from common.doors.arguments import integer, number
from common.errors import ArgumentError

GEOMETRY = ((9, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 2), (3, 1))
"""Kernel and stride of conv1 to conv7."""

NARROW = (48, 48, 96, 96, 192, 192, 384)
WIDE = (48, 96, 96, 192, 192, 384, 470)
"""Output channels. The wide net, of fixed feedback, has as many trainable numbers as the narrow one
with learned feedback."""

SMALLEST = 193
"""The least side of an image: below it a convolution has no room."""


def make_network(
    classes: int = 1000,
    *,
    feedback: str | None = "learned",
    width: float = 1.0,
    image_size: int = 224,
    weight_fa_std: float = 0.01,
    p_baseline: float = 0.2,
    kappa: float = 1e-5,
    exact: bool = True,
) -> BurstNetwork:
    """The network, drawn: wide where feedback is "fixed", without any Y where it is None.

    width: factor of the channels of all convolutions. weight_fa_std, p_baseline, kappa, exact: as
    in `draw` and `burstprop.imagenet.rule`.
    """
    integer("classes", classes), integer("image_size", image_size)
    number("width", width, above=0), number("weight_fa_std", weight_fa_std)
    widths = [max(1, round(width * n)) for n in (WIDE if feedback == "fixed" else NARROW)]
    convolutions = [
        (n_in, n_out, *shape)
        for n_in, n_out, shape in zip([3, *widths], widths, GEOMETRY, strict=False)
    ]
    side = image_size
    for kernel, stride in GEOMETRY:
        side = (side - kernel) // stride + 1
    if side < 1:
        raise ArgumentError("image_size", f"(={image_size}) must be >= {SMALLEST}")
    sizes = [widths[-1] * side * side, classes]
    how: dict[str, Any] = {"p_baseline": p_baseline, "kappa": kappa, "exact": exact}
    net = rectified(convolutions, sizes, feedback=feedback, **how)
    draw(net, weight_fa_std)
    return net


def rectified(
    convolutions: Sequence[tuple[int, int, int, int]],
    sizes: Sequence[int],
    *,
    feedback: str | None = "learned",
    p_baseline: float = 0.2,
    kappa: float = 1e-5,
    exact: bool = True,
) -> BurstNetwork:
    """Convolutions (in, out, kernel, stride), then fully connected layers through `sizes` (input
    first, classes last); rectified up to the softmax output, kappa undone right below it."""
    count = len(convolutions) + len(sizes) - 2
    units: list[Units] = [ReLUUnits(kappa if i == count - 1 else 1.0, exact) for i in range(count)]
    how: dict[str, Any] = {"feedback": feedback}
    layers: list[BurstLayer] = [
        BurstConv2d(*each, units=unit, **how)
        for each, unit in zip(convolutions, units, strict=False)
    ]
    output = SoftmaxOutput(p_baseline, kappa, exact)
    linear = zip(sizes, sizes[1:], [*units[len(convolutions) :], output], strict=False)
    layers += [BurstLinear(n_in, n_out, units=unit, **how) for n_in, n_out, unit in linear]
    return BurstNetwork(layers)


@torch.no_grad()
def draw(net: BurstNetwork, weight_fa_std: float) -> None:
    """Initial weights (4.5), layer by layer W, then Y: Kaiming normal (fan out) in convolutions,
    N(0, 0.01^2) in linear layers; Y is N(0, weight_fa_std^2), or drawn like W if that is <= 0."""
    for layer in net.layers:
        std = 0.01
        if isinstance(layer, BurstConv2d):
            std = math.sqrt(2 / (layer.weight.shape[0] * layer.weight[0, 0].numel()))
        nn.init.normal_(layer.weight, 0, std)
        layer.bias.zero_()
        if layer.weight_fa is not None:
            nn.init.normal_(layer.weight_fa, 0, weight_fa_std if weight_fa_std > 0 else std)
