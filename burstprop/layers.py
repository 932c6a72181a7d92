"""Burst layers: weights of one geometry (linear, convolutional) around units of one kind.

    >>> import torch
    >>> from burstprop import BurstConv2d, BurstLinear, BurstNetwork, BurstUpdate, SigmoidOutput
    >>> from common.data.datasets import load
    >>> _ = torch.manual_seed(1)
    >>> net = BurstNetwork([
    ...     BurstConv2d(1, 8, 3),                              # hidden, sigmoid
    ...     BurstLinear(8 * 6 * 6, 50, recurrent="learned"),   # with recurrent apical input
    ...     BurstLinear(50, 10, units=SigmoidOutput(0.2)),     # an output layer
    ... ])
    >>> update = BurstUpdate(net, lr=[0.1, 0.1, 0.01], momentum=0.8, recurrent_lr=1e-4)
    >>> digits = load("digits").train
    >>> images = torch.tensor(digits.images).permute(0, 3, 1, 2) / 255
    >>> targets = torch.eye(10)[torch.tensor(digits.labels)]
    >>> for i in torch.randint(len(images), (1500, 32)):
    ...     update.step(net.two_phase_pass(images[i], targets[i]).layers)
    >>> accuracy = (net(images).argmax(1) == targets.argmax(1)).float().mean()
    >>> bool(accuracy > 0.9)
    True

Rectified units belong under a softmax output, which takes classes; the layer right below it undoes
that output's kappa. Feedback weights must start small: from N(0, 1) these grow past all bounds.

    >>> from burstprop.imagenet.rule import ReLUUnits, SoftmaxOutput
    >>> _ = torch.manual_seed(1)
    >>> net = BurstNetwork([
    ...     BurstConv2d(1, 8, 3, units=ReLUUnits()),
    ...     BurstLinear(8 * 6 * 6, 50, units=ReLUUnits(kappa=1e-5)),
    ...     BurstLinear(50, 10, units=SoftmaxOutput(kappa=1e-5)),
    ... ])
    >>> for layer in net.layers:
    ...     layer.draw(feedback_std=0.1)
    >>> update = BurstUpdate(net, lr=[0.1, 0.01, 0.01], momentum=0.8)
    >>> classes = torch.tensor(digits.labels)
    >>> for i in torch.randint(len(images), (500, 32)):
    ...     update.step(net.two_phase_pass(images[i], classes[i]).layers)
    >>> bool((net(images).argmax(1) == classes).float().mean() > 0.9)
    True

    feedback    "learned": Y is a parameter; "fixed": Y is a buffer; None: there is no Y
    recurrent   "learned", "fixed" or None: the same for Z
    units       see `rule.Units`; sigmoid hidden units if left out

Every tensor has its name in the state dict: weight, bias, weight_fa (Y), weight_r (Z). What
`requires_grad` freezes does not learn, and where W is frozen Y is too. ArgumentError for sizes and
words that cannot be, and for Z beside units that take no recurrent input.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from burstprop import rule
from burstprop.rule import Bursts, SigmoidUnits, Units
from common.doors.arguments import integer, number
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
        for name, held in (("feedback", feedback), ("recurrent", recurrent)):
            if held not in HELD:
                raise ArgumentError(name, f"(={held!r}) must be 'learned', 'fixed' or None")
        self.units: Units = SigmoidUnits() if units is None else units
        wanted = ("output", "recurrent", "differences", "kappa", "rate", "slope", "bursts")
        lacks = [name for name in wanted if not hasattr(self.units, name)]
        if lacks or isinstance(self.units, type):
            raise ArgumentError(
                "units",
                f"(={units!r}) must be an object with {', '.join(wanted)} (burstprop.rule.Units)",
            )
        if recurrent is not None and not self.units.recurrent:
            raise ArgumentError(
                "recurrent",
                f"(={recurrent!r}) must be None: {self.units!r} take no recurrent input",
            )
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
        """Whether Y is trained: never without W, whose gradient it has."""
        return _learns(self.weight_fa) and _learns(self.weight)

    @property
    def learns_recurrent(self) -> bool:
        """Whether Z is trained."""
        return _learns(self.weight_r)

    @torch.no_grad()
    def draw(
        self,
        gain: float = 1.0,
        feedback_std: float = 1.0,
        recurrent_range: float = 0.01,
        recurrent_normal: bool = False,
    ) -> None:
        """Xavier normal W, zero bias, normal Y, uniform Z (or normal, with that std), in this order
        (burstprop, 4.5). ArgumentError for a spread that is none."""
        number("gain", gain, least=0)
        number("feedback_std", feedback_std, least=0)
        number("recurrent_range", recurrent_range, least=0)
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


def _learns(tensor: Tensor | None) -> bool:
    return isinstance(tensor, nn.Parameter) and tensor.requires_grad


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
        shape = integer("n_out", n_out), integer("n_in", n_in)
        super().__init__(shape, feedback, recurrent, units)

    def drive(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        if x.dim() < 2 or x.shape[1:].numel() != self.weight.shape[1]:
            raise ArgumentError(
                "x",
                f"(shape {tuple(x.shape)}) must have a batch's axis and "
                f"{self.weight.shape[1]} numbers an image",
            )
        return functional.linear(x.flatten(1), self.weight, bias)

    def transport(self, sent: Tensor, weight: Tensor, shape: Sequence[int]) -> Tensor:
        return rule.linear_transport(sent, weight).view(-1, *shape)

    def gradients(self, delta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return delta.t() @ x.flatten(1), delta.sum(0)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, units={self.units}"


class BurstConv2d(BurstLayer):
    """Convolution without padding; square kernels; no recurrent input (burstprop, D15)."""

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
        k, step = integer("kernel", kernel), integer("stride", stride)
        channels = integer("channels_out", channels_out), integer("channels_in", channels_in)
        super().__init__((*channels, k, k), feedback, None, units)
        self.stride = step

    def drive(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        _, channels, k, _ = self.weight.shape
        if x.dim() != 4 or x.shape[1] != channels or min(x.shape[2:]) < k:
            raise ArgumentError(
                "x", f"(shape {tuple(x.shape)}) must be (B, {channels}, H, W) with H and W >= {k}"
            )
        return functional.conv2d(x, self.weight, bias, self.stride)

    def transport(self, sent: Tensor, weight: Tensor, shape: Sequence[int]) -> Tensor:
        return rule.conv_transport(sent, weight, self.stride, (shape[-2], shape[-1]))

    def gradients(self, delta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return rule.conv_gradients(delta, x, self.weight, self.stride)

    def extra_repr(self) -> str:
        c_out, c_in, k, _ = self.weight.shape
        return f"{c_in}, {c_out}, {k}, stride={self.stride}, units={self.units}"
