"""A network of burst layers, of any sizes, and the paper's (burstprop, 4.1, 4.2, 4.3).

>>> import torch
>>> from burstprop import BurstLinear, BurstNetwork, BurstUpdate, SigmoidOutput
>>> net = BurstNetwork([BurstLinear(784, 300), BurstLinear(300, 10, units=SigmoidOutput())])
>>> update = BurstUpdate(net, lr=[0.1, 0.01])        # see `update`
>>> images, one_hot = torch.rand(32, 784), torch.eye(10)[torch.arange(32) % 10]
>>> output = net(images)                             # event rates (32, 10)
>>> lesson = net.teach(images, one_hot)              # both phases; no weight has changed yet
>>> update.step(lesson.layers)                       # each layer's weights learn from its own
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from burstprop import fit
from burstprop.layers import BurstConv2d, BurstLayer, BurstLinear
from burstprop.rule import SigmoidOutput
from common.backends import torch_backend
from common.doors.arguments import integer
from common.doors.sizes import integers
from common.doors.torch_labels import rows
from common.errors import ArgumentError

NARROW = (torch.bfloat16, torch.float16)


class Taught(NamedTuple):
    """One layer after both phases: its weights learn from (x, delta), Z from (u, b_pre).

    x input, e event rates; delta, sent, u, b_pre as in `rule.Bursts`; delta_bp: backprop's delta.
    """

    x: Tensor
    e: Tensor
    delta: Tensor
    sent: Tensor | None = None
    u: Tensor | None = None
    b_pre: Tensor | None = None
    delta_bp: Tensor | None = None


class Lesson(NamedTuple):
    """All layers after both phases, first to last, and the output before the update."""

    output: Tensor
    layers: list[Taught]


class BurstNetwork(nn.Module):
    """Burst layers in a row; the last one has output units.

    layers: a list, named fc1, fc2, conv1, ... by kind, or a mapping that names them. ArgumentError
    if it is empty, has output units elsewhere than at its end, or layers and units that do not fit
    each other (`fit`).

    Inputs x are floating-point tensors or arrays (B, ...); they are brought to the network's type,
    arrays to its device too. ArgumentError for others.
    """

    def __init__(self, layers: Sequence[BurstLayer] | Mapping[str, BurstLayer]) -> None:
        super().__init__()
        named = dict(layers) if isinstance(layers, Mapping) else _named(layers)
        fit.check(named)
        for name, layer in named.items():
            if not name or "." in name or name == "names" or hasattr(BurstNetwork, name):
                raise ArgumentError("layers", f"must not have the name {name!r}")
            self.add_module(name, layer)
        self.names = list(named)

    @property
    def layers(self) -> list[BurstLayer]:
        """First to last."""
        return [self._modules[name] for name in self.names]  # type: ignore[misc]

    def forward(self, x: Tensor) -> Tensor:
        """Event rates of the output (or whatever its units make of their potentials)."""
        x = self.accept(x)
        for layer in self.layers:
            x = layer(x)
        return x

    def accept(self, x: Any) -> Tensor:
        """x (B, ...) in the network's type, unless autocast sees to that. ArgumentError for what is
        no floating-point tensor or array, and for a tensor on another device."""
        like = self.layers[0].weight
        if not isinstance(x, Tensor):
            try:
                x = torch.from_numpy(np.ascontiguousarray(x)).to(like.device)
            except (TypeError, ValueError):
                raise ArgumentError(
                    "x", f"(of type {type(x).__name__}) must be a floating-point tensor or array"
                ) from None
        if not x.is_floating_point():
            raise ArgumentError("x", f"({x.dtype}) must be floating-point: scale images first")
        if x.device != like.device:
            raise ArgumentError("x", f"is on {x.device}, and the network on {like.device}")
        if x.dtype == like.dtype or torch_backend.autocasts(x.device):
            return x
        return x.to(like.dtype)

    def trace(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Every layer's input and event rates, first to last."""
        inputs, rates, x = [], [], self.accept(x)
        for layer in self.layers:
            inputs.append(x)
            x = layer(x)
            rates.append(x)
        return inputs, rates

    @torch.no_grad()
    def teach(
        self,
        x: Tensor,
        target: Tensor,
        reference: bool = False,
        then: Callable[[int, Taught], None] | None = None,
    ) -> Lesson:
        """Forward, then baseline and teaching phase from top to bottom; no weight changes.

        x (B, ...); target: labels as `common.doors.torch_labels` takes them, or for sigmoid output
        units rows (B, classes) of any rates from 0 to 1.
        reference: also backprop's deltas, which travel through W (see `backprop`).
        then: called with each layer's index and lesson as soon as no other layer needs its weights,
        which are still in the cache: it may change them.
        ArgumentError for layers above others without feedback weights, for weights narrower than
        float32, and under autocast where units send the rates of both phases, whose difference
        would be rounded away.
        """
        self._check_teaching()
        layers, (inputs, rates) = self.layers, self.trace(x)
        deltas_bp = self._deltas(rates, target) if reference else [None] * len(layers)
        received, taught = target, []
        for i in reversed(range(len(layers))):
            layer = layers[i]
            sent, delta, u, b_pre = layer.bursts(rates[i], received)
            taught.append(Taught(inputs[i], rates[i], delta, sent, u, b_pre, deltas_bp[i]))
            if i:  # nothing below the first layer would listen
                down = layer.transport(sent.flatten(0, 1), layer.weight_fa, rates[i - 1].shape[1:])
                received = down.unflatten(0, (2, -1))
                if layer.units.differences != layers[i - 1].units.differences:
                    sign = -1 if layers[i - 1].units.differences else 1
                    received[1].add_(received[0], alpha=sign)
            if then is not None:
                then(i, taught[-1])
        return Lesson(rates[-1], taught[::-1])

    def _check_teaching(self) -> None:
        for name, layer in zip(self.names, self.layers, strict=True):
            W, units = layer.weight, layer.units
            if layer.weight_fa is None and name != self.names[0]:
                raise ArgumentError("feedback", f"(=None) of {name} must be 'learned' or 'fixed' "
                                    "to teach the layer below")  # fmt: skip
            if W.dtype in NARROW:
                raise ArgumentError("net", f"must not be taught in {W.dtype}, which leaves nothing "
                                    "of its updates: keep its weights in float32")  # fmt: skip
            if torch_backend.autocasts(W.device) and not units.differences:
                dtype = torch.get_autocast_dtype(W.device.type)
                raise ArgumentError("units", f"of {name} (={units!r}) must not be taught under "
                                    f"autocast to {dtype}: the two "
                                    "phases' rates differ by less than it can tell")  # fmt: skip

    @torch.no_grad()
    def backprop(self, x: Tensor, target: Tensor) -> Lesson:
        """The same lesson from backprop: deltas of the error 1/2 sum (e - T)^2, for sigmoid outputs
        and a target as `teach` takes it (5.1.3 to 5.1.6)."""
        inputs, rates = self.trace(x)
        deltas = self._deltas(rates, target)
        return Lesson(
            rates[-1], [Taught(*each) for each in zip(inputs, rates, deltas, strict=True)]
        )

    def _deltas(self, rates: list[Tensor], target: Tensor) -> list[Tensor]:
        target = rows(target, rates[-1], "target", rates=True)
        layers, deltas, arrives = self.layers, [], rates[-1] - target
        for i in reversed(range(len(layers))):
            deltas.append(arrives * layers[i].units.slope(rates[i]))
            if i:
                shape = rates[i - 1].shape[1:]
                arrives = layers[i].transport(deltas[-1], layers[i].weight, shape)
        return deltas[::-1]


def _named(layers: Sequence[BurstLayer]) -> dict[str, BurstLayer]:
    counts: dict[str, int] = {}
    found = {}
    for layer in layers:
        kind = "conv" if isinstance(layer, BurstConv2d) else "fc"
        counts[kind] = counts.get(kind, 0) + 1
        found[f"{kind}{counts[kind]}"] = layer
    return found


def stack(
    convolutions: Sequence[tuple[int, int, int, int]],
    sizes: Sequence[int],
    *,
    p_baseline: float = 0.2,
    feedback: str | None = "learned",
    recurrent: str | None = None,
) -> BurstNetwork:
    """Convolutions (in, out, kernel, stride), then fully connected layers through `sizes` (input
    first, output last); all sigmoid, recurrent input in the fully connected hidden ones."""
    if len(integers("sizes", sizes)) < 2:
        raise ArgumentError("sizes", f"(={list(sizes)}) must have an input and an output")
    layers: list[BurstLayer] = [BurstConv2d(*c, feedback=feedback) for c in convolutions]
    how: dict[str, Any] = {"feedback": feedback}
    for n_in, n_out in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers.append(BurstLinear(n_in, n_out, recurrent=recurrent, **how))
    layers.append(BurstLinear(sizes[-2], sizes[-1], units=SigmoidOutput(p_baseline), **how))
    return BurstNetwork(layers)


def mnist(hidden: int = 3, **how: Any) -> BurstNetwork:
    """784, `hidden` times 500, 10 (4.1). how: as in `stack`."""
    integer("hidden", hidden, least=0)
    return stack((), [784, *[500] * hidden, 10], **how)


def mnist_conv(**how: Any) -> BurstNetwork:
    """Two convolutions, two hidden layers of 500 (4.2)."""
    return stack([(1, 8, 4, 2), (8, 16, 3, 2)], [576, 500, 500, 10], **how)


def cifar10(wide: bool = False, **how: Any) -> BurstNetwork:
    """Three convolutions, one hidden layer (4.3). wide: the network of fixed feedback, whose
    trainable weights are about as many as the narrow one's with learned feedback."""
    second, hidden = (256, 1480) if wide else (128, 1024)
    convolutions = [(3, 64, 5, 2), (64, second, 5, 2), (second, 256, 3, 1)]
    return stack(convolutions, [2304, hidden, 10], **how)
