"""Burstprop's equations for sigmoid units, and what every burst layer does with its weights.

    x   a layer's input                  W, bias   forward weights
    e   event rates, sent upward         Y         feedback weights, shaped like W
    b   burst rates, sent downward       Z         recurrent weights of the dendrites (n, n)
    p   burst probability, b = p e       delta     -(b_teacher - b): W learns from (x, delta)

There are two phases: a baseline and, once a teacher acts on the output, a teaching phase. What is
sent down for the one and the other lies in one tensor (2, B, ...), so that it travels through Y in
one product. Nothing here is differentiated, nothing is divided by the batch size, and none of these
functions knows a module or a file. Payeur et al. 2021 (burstprop, 5.1). ReLU units have a file of
their own, `imagenet.rule`.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from common.backends import torch_convolution
from common.doors.arguments import number
from common.doors.torch_labels import rows


class Bursts(NamedTuple):
    """What units make of what they receive.

    sent    (2, B, ...)  goes down through Y: the burst rates (b, b_teacher), or, as transport is
                         linear, what the units below can tell them from
    delta   (B, ...)     b - b_teacher
    u       (B, n)       apical potential of the baseline, where there is recurrent input
    b_pre   (B, n)       burst rates before the recurrent input acts, likewise
    """

    sent: Tensor
    delta: Tensor
    u: Tensor | None = None
    b_pre: Tensor | None = None


class Units(Protocol):
    """The units of a layer: hidden ones read what arrives from above, output ones the target.

    Which of them go together `inspection.compatibility` finds out, from these and by asking them
    for bursts.
    """

    @property
    def output(self) -> bool:
        """Whether `bursts` takes the target (rows or classes), and not (2, B, ...) from Y."""
        ...

    @property
    def recurrent(self) -> bool:
        """Whether `bursts` makes use of Z."""
        ...

    @property
    def differences(self) -> bool:
        """Whether of the two parts that travel the second is b_teacher - b, and not b_teacher."""
        ...

    @property
    def kappa(self) -> float:
        """What output units scale their b_teacher - b by, and what hidden ones take that of the
        layer above to be scaled by; their own is as it is."""
        ...

    def rate(self, y: Tensor) -> Tensor:
        """Event rates of pre-activations."""
        ...

    def slope(self, e: Tensor) -> Tensor:
        """The derivative of `rate`, from its value; for the reference of backprop."""
        ...

    def bursts(self, e: Tensor, received: Tensor, Z: Tensor | None = None) -> Bursts:
        """Bursts of units with event rates e; may overwrite `received`, unless it is a target."""
        ...


@dataclass(frozen=True)
class SigmoidUnits:
    """Hidden sigmoid units: p = sigmoid(u), u = f (1 - e), less the recurrent input c = b_pre Z^T.

    b_pre = sigmoid(f) e has no factor (1 - e), and the baseline's c acts in both phases (5.1.5).
    Z learns from G_Z = -u^T b_pre, which drives u to 0, where p is 1/2 and most linear (5.1.7).

    (1 - e) is slope / e: with it and b = p e a unit learns from its slope. A subclass with a `rate`
    and a `slope` of its own therefore has u = f slope(e) / e.
    """

    output, recurrent, differences, kappa = False, True, False, 1.0

    def rate(self, y: Tensor) -> Tensor:
        return torch.sigmoid(y)

    def slope(self, e: Tensor) -> Tensor:
        return e * (1 - e)

    def bursts(self, e: Tensor, received: Tensor, Z: Tensor | None = None) -> Bursts:
        if Z is None:
            sent = self._potentials(received, e).sigmoid_().mul_(e)
            return Bursts(sent, sent[0] - sent[1])
        b_pre = torch.sigmoid(received[0]).mul_(e)
        potentials = self._potentials(received, e).sub_(b_pre @ Z.t())
        sent = torch.sigmoid(potentials).mul_(e)
        return Bursts(sent, sent[0] - sent[1], potentials[0], b_pre)

    def _potentials(self, received: Tensor, e: Tensor) -> Tensor:
        """f slope(e) / e, in place."""
        if type(self).slope is SigmoidUnits.slope:
            return _by_slope(received, e)
        return received.mul_(_slope_per_event(self, e))


def _by_slope(received: Tensor, e: Tensor) -> Tensor:
    """f (1 - e) = f - f e in place, in one pass and without a tensor of its own for 1 - e."""
    return received.addcmul_(received, e, value=-1)


def _slope_per_event(units: Units, e: Tensor) -> Tensor:
    """slope(e) / e, and 0 where nothing fires."""
    return torch.where(e > 0, units.slope(e) / e, 0.0)


@dataclass(frozen=True)
class SigmoidOutput:
    """Sigmoid output units: p is p_baseline, and the teacher makes it
    p_baseline ((T - e)(1 - e) + 1), which is not clamped (5.1.3).

    As in `SigmoidUnits`, a subclass with another rate has slope(e) / e for (1 - e). ArgumentError
    unless 0 < p_baseline <= 1.
    """

    p_baseline: float = 0.2
    output, recurrent, differences, kappa = True, False, False, 1.0

    def __post_init__(self) -> None:
        number("p_baseline", self.p_baseline, above=0, most=1)

    def rate(self, y: Tensor) -> Tensor:
        return torch.sigmoid(y)

    def slope(self, e: Tensor) -> Tensor:
        return e * (1 - e)

    def bursts(self, e: Tensor, received: Tensor, Z: Tensor | None = None) -> Bursts:
        p, target = self.p_baseline, rows(received, e, "target", rates=True)
        if type(self).slope is SigmoidOutput.slope:
            p_teacher = (target - e).mul_(1 - e)
        else:
            p_teacher = (target - e).mul_(_slope_per_event(self, e))
        p_teacher.add_(1).mul_(p)
        sent = torch.stack((p * e, p_teacher.mul_(e)))
        return Bursts(sent, sent[0] - sent[1])


# -- weights: linear and convolutional, for all units ---------------------------------------------


def linear_transport(sent: Tensor, Y: Tensor) -> Tensor:
    """Down through Y: sent (N, n_out), Y (n_out, n_in) -> (N, n_in)."""
    return sent @ Y


def conv_transport(sent: Tensor, Y: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """Down through Y: sent (N, C_out, h, w), Y (C_out, C_in, k, k) -> (N, C_in, *size).

    The gradient of the convolution with respect to its input; rows and columns of the input that
    the last stride leaves over receive nothing.
    """
    if Y.numel() <= SMALL_KERNEL and sent.device.type == "cpu":
        return _small_transport(sent, Y, stride, size)
    extra = [n - (h - 1) * stride - Y.shape[-1] for n, h in zip(size, sent.shape[2:], strict=True)]
    return functional.conv_transpose2d(sent, Y, stride=stride, output_padding=extra)


SMALL_KERNEL = 4096  # numbers; up to about here the library's transport costs twice the one below


def _small_transport(sent: Tensor, Y: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """As `conv_transport`: one product for all places of the kernel, then a sum of shifted images,
    `stride` rows and columns of the kernel at a time."""
    n, _, h, w = sent.shape
    channels, k = Y.shape[1], Y.shape[-1]
    rows = sent.permute(0, 2, 3, 1).reshape(n * h * w, -1)
    parts = (rows @ Y.permute(0, 2, 3, 1).reshape(len(Y), -1)).view(n, h, w, k, k, channels)
    reach = -(-k // stride)  # how many strides the kernel covers
    high, wide = (max(a + reach - 1, -(-b // stride)) for a, b in zip((h, w), size, strict=True))
    spread = rows.new_empty(n, high, stride, wide, stride, channels)
    if k < stride:
        spread.zero_()
    spread[:, h:], spread[:, :h, :, w:] = 0, 0  # what the first part leaves over
    for i in range(0, k, stride):
        for j in range(0, k, stride):
            part = parts[:, :, :, i : i + stride, j : j + stride].permute(0, 1, 3, 2, 4, 5)
            y, x = i // stride, j // stride
            window = spread[:, y : y + h, : part.shape[2], x : x + w, : part.shape[4]]
            window.add_(part) if i or j else window.copy_(part)
    whole = spread.view(n, high * stride, wide * stride, channels)[:, : size[0], : size[1]]
    return whole.permute(0, 3, 1, 2)


@torch.no_grad()
def conv_gradients(delta: Tensor, x: Tensor, W: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Weight and bias gradients of a convolution without padding: delta (B, C_out, h, w),
    x (B, C_in, H, W), W for its shape alone -> (C_out, C_in, k, k), (C_out,)."""
    _, weight, bias = torch_convolution.backward(
        delta, x, W.to(x.dtype), stride=(stride, stride), wanted=(False, True, True)
    )
    assert weight is not None and bias is not None
    return weight, bias
