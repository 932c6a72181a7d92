"""Burst layers: weights of one geometry (linear, convolutional) around units of one kind.

    BurstLinear(784, 500, recurrent="learned")       hidden, sigmoid, recurrent apical input
    BurstConv2d(3, 64, 5, stride=2, units=ReLUUnits())
    BurstLinear(500, 10, units=SigmoidOutput(0.2))   an output layer

    feedback    "learned": Y is a parameter; "fixed": Y is a buffer; None: there is no Y
    recurrent   "learned", "fixed" or None: the same for Z
    units       see `rule.Units`; sigmoid hidden units if left out

Every tensor has its name in the state dict: weight, bias, weight_fa (Y), weight_r (Z).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from burstprop import rule
from burstprop.rule import Bursts, SigmoidUnits, Units
from common.errors import ArgumentError

HELD = ("learned", "fixed", None)


class BurstLayer(nn.Module, ABC):
    """What linear and convolutional layers have in common. W has `shape`, bias shape[0] entries."""

    weight: nn.Parameter
    bias: nn.Parameter
    weight_fa: Any  # a parameter, a buffer or None
    weight_r: Any

    def __init__(
        self, shape: Sequence[int], feedback: str | None, recurrent: str | None, units: Units | None
    ) -> None:
        super().__init__()
        if min(shape) < 1:
            raise ArgumentError("shape", f"(={tuple(shape)}) must be >= 1 throughout")
        for name, held in (("feedback", feedback), ("recurrent", recurrent)):
            if held not in HELD:
                raise ArgumentError(name, f"(={held!r}) must be 'learned', 'fixed' or None")
        self.units: Units = units or SigmoidUnits()
        self.weight = nn.Parameter(torch.empty(*shape))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self._hold("weight_fa", shape, feedback)
        self._hold("weight_r", (shape[0], shape[0]), recurrent)
        self.draw()

    def _hold(self, name: str, shape: Sequence[int], held: str | None) -> None:
        if held == "learned":
            self.register_parameter(name, nn.Parameter(torch.empty(*shape)))
        else:
            self.register_buffer(name, torch.empty(*shape) if held else None)

    @property
    def learns_feedback(self) -> bool:
        """Whether Y is trained."""
        return isinstance(self.weight_fa, nn.Parameter)

    @property
    def learns_recurrent(self) -> bool:
        """Whether Z is trained."""
        return isinstance(self.weight_r, nn.Parameter)

    @torch.no_grad()
    def draw(
        self,
        gain: float = 1.0,
        feedback_std: float = 1.0,
        recurrent_range: float = 0.01,
        recurrent_normal: bool = False,
    ) -> None:
        """Xavier normal W, zero bias, normal Y, uniform Z (or normal, with that std), in this order
        (specification, 4.5)."""
        nn.init.xavier_normal_(self.weight, gain)
        self.bias.zero_()
        if self.weight_fa is not None:
            self.weight_fa.normal_(0, feedback_std)
        if self.weight_r is not None and recurrent_normal:
            self.weight_r.normal_(0, recurrent_range)
        elif self.weight_r is not None:
            self.weight_r.uniform_(-recurrent_range, recurrent_range)

    def forward(self, x: Tensor) -> Tensor:
        """Event rates."""
        return self.units.rate(self.potential(x))

    def bursts(self, e: Tensor, received: Tensor) -> Bursts:
        """`rule.Units.bursts` with this layer's recurrent weights."""
        return self.units.bursts(e, received, self.weight_r)

    def potential(self, x: Tensor) -> Tensor:
        """Pre-activations y."""
        return self.drive(x, self.bias)

    @abstractmethod
    def drive(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """What x brings about through W, on top of a bias."""

    @abstractmethod
    def transport(self, sent: Tensor, weight: Tensor, shape: Sequence[int]) -> Tensor:
        """Down through `weight` (Y, or W for the reference): (N, *out) -> (N, *shape)."""

    @abstractmethod
    def gradients(self, delta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """G_W, which is also Y's, and G_bias: sums over the batch and over space."""


class BurstLinear(BurstLayer):
    """Fully connected; an input of more dimensions (B, C, H, W) is flattened in that order."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        feedback: str | None = "learned",
        recurrent: str | None = None,
        units: Units | None = None,
    ) -> None:
        super().__init__((n_out, n_in), feedback, recurrent, units)

    def drive(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.linear(x.flatten(1), self.weight, bias)

    def transport(self, sent: Tensor, weight: Tensor, shape: Sequence[int]) -> Tensor:
        return rule.linear_transport(sent, weight).view(-1, *shape)

    def gradients(self, delta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return delta.t() @ x.flatten(1), delta.sum(0)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, units={self.units}"


class BurstConv2d(BurstLayer):
    """Convolution without padding; square kernels; no recurrent input (specification, D15)."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        *,
        feedback: str | None = "learned",
        units: Units | None = None,
    ) -> None:
        if stride < 1:
            raise ArgumentError("stride", f"(={stride}) must be >= 1")
        super().__init__((channels_out, channels_in, kernel, kernel), feedback, None, units)
        self.stride = stride

    def drive(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.conv2d(x, self.weight, bias, self.stride)

    def transport(self, sent: Tensor, weight: Tensor, shape: Sequence[int]) -> Tensor:
        return rule.conv_transport(sent, weight, self.stride, (shape[-2], shape[-1]))

    def gradients(self, delta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return rule.conv_gradients(delta, x, self.weight, self.stride)

    def extra_repr(self) -> str:
        c_out, c_in, k, _ = self.weight.shape
        return f"{c_in}, {c_out}, {k}, stride={self.stride}, units={self.units}"
