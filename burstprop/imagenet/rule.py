"""Burstprop's equations for rectified units and a softmax output (burstprop, 5.4).

A unit of event rate e bursts with probability p without a teacher and with p_t under one. Burst
rates b = p e and b_t = p_t e go down through Y; a unit learns from their difference d = b_t - b, as
delta = -d. The output scales its teaching signal by kappa, so that p_t stays in range, and the
layer right below it undoes that.

There are two forms, equal on paper:

    original   computes b and b_t, sends both, and subtracts. In float32 the difference drowns in
               rounding, the more the deeper a layer: it is kappa times as large as b at the output
               and a quarter of that with every layer further down (burstprop, D11)
    exact      computes and sends b and d, and never subtracts nearly equal numbers

What is sent down is one tensor (2, B, ...), (b, b_t) or (b, d); what arrives is (f, f_t) or
(f, f_t - f), and is overwritten. Of low precision (autocast) only the transport is.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from burstprop.rule import Bursts
from common.backends.torch_backend import wide
from common.doors.arguments import number
from common.doors.torch_labels import classes

EPSILON = 1e-8  # the original's, where it divides by what may be zero
CACHED = 1 << 17  # numbers that are worked on at a time


@dataclass(frozen=True)
class ReLUUnits:
    """Hidden rectified units. kappa: what the layer above has scaled its signal by, > 0."""

    kappa: float = 1.0
    exact: bool = True
    output, recurrent = False, False

    def __post_init__(self) -> None:
        number("kappa", self.kappa, above=0)

    @property
    def differences(self) -> bool:
        """The exact form's."""
        return self.exact

    def rate(self, y: Tensor) -> Tensor:
        return functional.relu(y, inplace=not (y.is_leaf and y.requires_grad))

    def slope(self, e: Tensor) -> Tensor:
        return (e > 0).to(e.dtype)

    def bursts(self, e: Tensor, received: Tensor, Z: Tensor | None = None) -> Bursts:
        hidden = hidden_exact if self.exact else hidden_original
        return Bursts(*hidden(wide(e), wide(received), self.kappa))


@dataclass(frozen=True)
class SoftmaxOutput:
    """Output units whose rates are the logits; softmax is a matter of the rule and of the loss.

    ArgumentError unless 0 < p_baseline <= 1 and kappa > 0.
    """

    p_baseline: float = 0.2
    kappa: float = 1e-5
    exact: bool = True
    output, recurrent = True, False

    def __post_init__(self) -> None:
        number("p_baseline", self.p_baseline, above=0, most=1)
        number("kappa", self.kappa, above=0)

    @property
    def differences(self) -> bool:
        """The exact form's."""
        return self.exact

    def rate(self, y: Tensor) -> Tensor:
        return y

    def slope(self, e: Tensor) -> Tensor:
        return torch.ones_like(e)

    def bursts(self, e: Tensor, received: Tensor, Z: Tensor | None = None) -> Bursts:
        output = output_exact if self.exact else output_original
        return Bursts(*output(wide(e), received, self.p_baseline, self.kappa))


def output_original(
    logits: Tensor, labels: Tensor, p_baseline: float, kappa: float
) -> tuple[Tensor, Tensor]:
    """logits (B, classes), labels (B,) -> sent (b, b_t), delta = -(b_t - b) / kappa."""
    a = logits.softmax(1)
    b = p_baseline * a
    b_t = (p_baseline * (kappa * _pull(a, labels) + 1)).clamp_max_(1.0).mul_(a)
    return torch.stack((b, b_t)), (b_t - b) / -kappa


def output_exact(
    logits: Tensor, labels: Tensor, p_baseline: float, kappa: float
) -> tuple[Tensor, Tensor]:
    """logits (B, classes), labels (B,) -> sent (b, d), delta = -d / kappa.

    Unless p_t reaches 1, delta is p_baseline B times the gradient of the mean cross-entropy.
    """
    a = logits.softmax(1)
    d = (p_baseline * kappa * _pull(a, labels)).clamp_max_(1.0 - p_baseline).mul_(a)
    return torch.stack((p_baseline * a, d)), d / -kappa


def _pull(a: Tensor, labels: Tensor) -> Tensor:
    labels = classes(labels, a)
    return (functional.one_hot(labels, a.shape[1]) - a) / (a + EPSILON)


def hidden_original(e: Tensor, received: Tensor, kappa: float = 1.0) -> tuple[Tensor, Tensor]:
    """Rates e and received (f, f_t) -> sent (b, b_t), delta = -(b_t - b)."""
    f, f_t = received
    if kappa != 1.0:
        f_t.sub_(f).div_(kappa).add_(f)
    sent = received.div_(_per_event(e)).sigmoid_().mul_(e)
    return sent, -(sent[1] - sent[0])


def hidden_exact(e: Tensor, received: Tensor, kappa: float = 1.0) -> tuple[Tensor, Tensor]:
    """Rates e and received (f, f_t - f) -> sent (b, d), delta = -d."""
    delta = torch.empty_like(e)
    for part in _stretches(e):
        rate = e[part]
        u, v = received[:, part].div_(_per_event(rate))
        if kappa != 1.0:
            v.div_(kappa)
        sigmoid_difference(u, v, out=v).mul_(rate)
        u.sigmoid_().mul_(rate)
        torch.neg(v, out=delta[part])
    return received, delta


def _per_event(e: Tensor) -> Tensor:
    """What (e + epsilon) / [e > 0] is: silent units divide by infinity."""
    return functional.threshold(e, 0.0, math.inf).add_(EPSILON)


def _stretches(e: Tensor) -> list[slice]:
    """On the CPU, samples that fill a cache: large intermediate results cost more than their
    arithmetic does."""
    n = len(e)
    step = max(1, CACHED // e[0].numel()) if e.device.type == "cpu" else n
    return [slice(low, low + step) for low in range(0, n, step)]


def sigmoid_difference(u: Tensor, v: Tensor, out: Tensor | None = None) -> Tensor:
    """sigmoid(u + v) - sigmoid(u) to the last digits, however small v is; `out` may be v.

    For v > 0 it is sigmoid(u + v) sigmoid(-u) (1 - exp(-v)); for v < 0 the two ends exchange their
    places, so that no exponential overflows.
    """
    end = u + v
    rises = torch.sigmoid(torch.maximum(u, end))
    rises.mul_(torch.minimum(u, end, out=end).neg_().sigmoid_())
    step = torch.expm1(v.abs().neg_()).copysign_(v)
    return torch.mul(rises, step, out=out)
