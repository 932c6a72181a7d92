"""A network of burst layers, of any sizes, and the paper's (burstprop, 4.1, 4.2, 4.3).

>>> import torch
>>> from burstprop import BurstLinear, BurstNetwork, BurstUpdate, SigmoidOutput
>>> net = BurstNetwork([BurstLinear(784, 300), BurstLinear(300, 10, units=SigmoidOutput())])
>>> update = BurstUpdate(net, lr=[0.1, 0.01])        # see `update`
>>> images, one_hot = torch.rand(32, 784), torch.eye(10)[torch.arange(32) % 10]
>>> output = net(images)                             # event rates (32, 10)
>>> result = net.two_phase_pass(images, one_hot)     # no weight has changed yet
>>> update.step(result.layers)                       # each layer's weights learn from its own
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from burstprop.inspection import compatibility
from burstprop.layers import BurstConv2d, BurstLayer, BurstLinear
from burstprop.rule import SigmoidOutput
from common.backends import torch_backend
from common.doors.arguments import integer
from common.doors.sizes import integers
from common.doors.torch_labels import rows
from common.errors import ArgumentError, unknown

NARROW = (torch.bfloat16, torch.float16)


class LayerResult(NamedTuple):
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


class PassResult(NamedTuple):
    """All layers after both phases, first to last, and the output before the update."""

    output: Tensor
    layers: list[LayerResult]


class BurstNetwork(nn.Module):
    """Burst layers in a row; the last one has output units.

    layers: a list, named fc1, fc2, conv1, ... by kind, or a mapping that names them. ArgumentError
    if it is empty, has output units elsewhere than at its end, or layers and units that do not fit
    each other (`inspection.compatibility`).

    Inputs x are floating-point tensors or arrays (B, ...); they are brought to the network's type,
    arrays to its device too. ArgumentError for others.
    """

    def __init__(self, layers: Sequence[BurstLayer] | Mapping[str, BurstLayer]) -> None:
        super().__init__()
        named = dict(layers) if isinstance(layers, Mapping) else _named(layers)
        compatibility.check(named)
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
    def two_phase_pass(
        self,
        x: Tensor,
        target: Tensor,
        reference: bool = False,
        then: Callable[[int, LayerResult], None] | None = None,
    ) -> PassResult:
        """Forward, then baseline and teaching phase from top to bottom; no weight changes.

        x (B, ...); target: labels as `common.doors.torch_labels` takes them, or for sigmoid output
        units rows (B, classes) of any rates from 0 to 1.
        reference: also backprop's deltas, which travel through W (see `backprop`).
        then: called with each layer's index and result as soon as no other layer needs its weights,
        which are still in the cache: it may change them.
        ArgumentError for layers above others without feedback weights, for weights narrower than
        float32, and under autocast where units send the rates of both phases, whose difference
        would be rounded away.
        """
        self._check_trainable()
        layers, (inputs, rates) = self.layers, self.trace(x)
        deltas_bp = self._deltas(rates, target) if reference else [None] * len(layers)
        received, results = target, []
        for i in reversed(range(len(layers))):
            layer = layers[i]
            sent, delta, u, b_pre = layer.bursts(rates[i], received)
            results.append(LayerResult(inputs[i], rates[i], delta, sent, u, b_pre, deltas_bp[i]))
            if i:  # nothing below the first layer would listen
                down = layer.transport(sent.flatten(0, 1), layer.weight_fa, rates[i - 1].shape[1:])
                received = down.unflatten(0, (2, -1))
                if layer.units.differences != layers[i - 1].units.differences:
                    sign = -1 if layers[i - 1].units.differences else 1
                    received[1].add_(received[0], alpha=sign)
            if then is not None:
                then(i, results[-1])
        return PassResult(rates[-1], results[::-1])

    def _check_trainable(self) -> None:
        for name, layer in zip(self.names, self.layers, strict=True):
            W, units = layer.weight, layer.units
            if layer.weight_fa is None and name != self.names[0]:
                raise ArgumentError(
                    "feedback",
                    f"(=None) of {name} must be 'learned' or 'fixed' to teach the layer below",
                )
            if W.dtype in NARROW:
                raise ArgumentError(
                    "net",
                    f"must not be taught in {W.dtype}, which leaves nothing "
                    "of its updates: keep its weights in float32",
                )
            if torch_backend.autocasts(W.device) and not units.differences:
                dtype = torch.get_autocast_dtype(W.device.type)
                raise ArgumentError(
                    "units",
                    f"of {name} (={units!r}) must not be taught under "
                    f"autocast to {dtype}: the two "
                    "phases' rates differ by less than it can tell",
                )

    @torch.no_grad()
    def backprop(self, x: Tensor, target: Tensor) -> PassResult:
        """The same result from backprop: deltas of the error 1/2 sum (e - T)^2, for sigmoid outputs
        and a target as `two_phase_pass` takes it (5.1.3 to 5.1.6)."""
        inputs, rates = self.trace(x)
        deltas = self._deltas(rates, target)
        return PassResult(
            rates[-1], [LayerResult(*each) for each in zip(inputs, rates, deltas, strict=True)]
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
    named = {}
    for layer in layers:
        kind = "conv" if isinstance(layer, BurstConv2d) else "fc"
        counts[kind] = counts.get(kind, 0) + 1
        named[f"{kind}{counts[kind]}"] = layer
    return named


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
    layers: list[BurstLayer] = [BurstConv2d(*shape, feedback=feedback) for shape in convolutions]
    for n_in, n_out in zip(sizes[:-2], sizes[1:-1], strict=True):
        layers.append(BurstLinear(n_in, n_out, feedback=feedback, recurrent=recurrent))
    output = SigmoidOutput(p_baseline)
    return BurstNetwork([*layers, BurstLinear(*sizes[-2:], feedback=feedback, units=output)])


def make_network(
    name: str,
    *,
    hidden: int = 3,
    p_baseline: float = 0.2,
    feedback: str | None = "learned",
    recurrent: str | None = None,
) -> BurstNetwork:
    """One of the paper's; the rest is as in `stack`. ArgumentError for another name.

    mnist         784, `hidden` times 500, 10 (4.1)
    mnist_conv    two convolutions, two hidden layers of 500 (4.2)
    cifar10       three convolutions, one hidden layer (4.3)
    cifar10_wide  the same for fixed feedback: its trainable weights are about as many as those of
                  `cifar10` with learned feedback
    """
    integer("hidden", hidden, least=0)
    plans: dict[str, tuple[list[tuple[int, int, int, int]], list[int]]] = {
        "mnist": ([], [784, *[500] * hidden, 10]),
        "mnist_conv": ([(1, 8, 4, 2), (8, 16, 3, 2)], [576, 500, 500, 10]),
        "cifar10": ([(3, 64, 5, 2), (64, 128, 5, 2), (128, 256, 3, 1)], [2304, 1024, 10]),
        "cifar10_wide": ([(3, 64, 5, 2), (64, 256, 5, 2), (256, 256, 3, 1)], [2304, 1480, 10]),
    }
    if name not in plans:
        raise unknown("name", name, [*plans])
    return stack(*plans[name], p_baseline=p_baseline, feedback=feedback, recurrent=recurrent)
