"""Activation sharing in a model that knows nothing of it: who keeps its input for whom.

A layer that serves others puts its input into a slot when it runs; they take it from there. The
slots are emptied before and after each forward pass of the model.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asap import rule
from asap.converting.watch import Call
from asap.layers import FeedbackLinear, SharedConv2d
from common.errors import ArgumentError, unknown


class Slot:
    """The input of layer `name` in the present forward pass; it is neither copied nor stored."""

    def __init__(self, name: str) -> None:
        self.name, self.x = name, None

    x: Tensor | None

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "x": None}


class _Sharing(nn.Module):
    """A layer that keeps its input for others, learns from another's, or both.

    serves    the slot that its input goes into, or None
    learns    the slot that it learns from; None: from its own input
    called    its name in the model
    """

    exact: bool
    serves: Slot | None = None
    learns: Slot | None = None
    called = ""

    def _source(self, x: Tensor) -> Tensor | None:
        """What it learns from in this forward pass, or None for x itself."""
        if self.serves is not None:
            self.serves.x = x
        learning = torch.is_grad_enabled() and not self.exact
        if self.learns is None or self.learns is self.serves or not learning:
            return None
        if self.learns.x is None:
            raise ArgumentError(
                "model",
                f"has layer {self.called}, which learns from the input of "
                f"{self.learns.name}, and that has not run before it in this "
                "forward pass of the model (alone, or again under gradient "
                "checkpointing): call the model",
            )
        return self.learns.x


class SharingConv2d(SharedConv2d, _Sharing):
    """A convolution of a model that `convert` has made share; called as nn.Conv2d is."""

    transport = False

    def forward(self, x: Tensor, s: Tensor | None = None) -> Tensor:
        """x (N, C_in, H, W) -> (N, C_out, H', W'). ArgumentError where the shared one fails."""
        source = self._source(x)
        if source is not None and x.dim() == source.dim() == 4:
            _check(self.called, x.shape, self.learns, source.shape, linear=False)
        return super().forward(x, source)


class SharingLinear(FeedbackLinear, _Sharing):
    """A linear layer of a model that `convert` has made share; called as nn.Linear is."""

    def forward(self, x: Tensor) -> Tensor:
        """x (…, n_in) -> (…, n_out). ArgumentError where the shared one does not fit."""
        source = self._source(x)
        if self.exact:
            return functional.linear(x, self.weight, self.bias)
        if source is not None:
            _check(self.called, x.shape, self.learns, source.shape, linear=True)
        return rule.linear(x, self.weight, self._sending(), self.bias, source)


class Empty:
    """The model's hook, before and behind its forward pass: no slot outlives the pass."""

    def __init__(self, slots: list[Slot], model: nn.Module) -> None:
        self.slots = slots
        self.handles = [model.register_forward_pre_hook(self), model.register_forward_hook(self)]

    def __call__(self, model: nn.Module, *_: Any) -> None:
        for slot in self.slots:
            slot.x = None


def in_order(
    calls: Sequence[Call], chosen: Mapping[str, nn.Module], k: int, linears: bool
) -> dict[str, str]:
    """Layer -> the layer whose input it learns from, by order of execution (asap, 5).

    The first layer, which sees the images, is left out. Of the others, layer 0 learns from its own
    input x_0, layers 1 to k from x_0 too, layers k + 1 to 2 k from x_k, and so on. Layers that read
    the same tensor count as one: a shortcut's convolution goes with its block's first. Where an
    activation cannot be tiled and pooled to a layer's input, the layer learns from its own and the
    count begins anew. k = 1: everyone from its own (Kolen-Pollack).
    """
    if not calls:
        return {}
    stem, last = calls[0].reads, calls[-1].name
    groups: dict[str, str] = {}
    readers: dict[tuple[int, bool], str] = {}
    serving: Call | None = None
    count = 0
    for call in calls:
        kept = isinstance(call.module, nn.Conv2d) or (linears and call.name != last)
        if not kept or call.name not in chosen or call.reads == stem:
            continue
        if call.name in groups:
            raise ArgumentError(
                "model",
                f"has layer {call.name}, which runs more than once in a "
                "forward pass, on several inputs: put it into `skip`",
            )
        tensor = (call.reads, _linear(call.module))
        if tensor in readers and _ready(call):
            groups[call.name] = groups[readers[tensor]]
            continue
        readers[tensor] = call.name
        if k == 1 or serving is None or not (_ready(call) and _fits(serving, call)):
            groups[call.name], serving, count = call.name, call, 0
            continue
        groups[call.name] = serving.name
        count += 1
        if count == k:
            serving, count = call, 0
    return groups


def by_name(
    share: Mapping[str, str], chosen: Mapping[str, nn.Module], calls: Sequence[Call]
) -> dict[str, str]:
    """`share` itself, once each of its names and pairs has been found possible."""
    seen = {call.name: (i, call) for i, call in enumerate(calls)}
    for follower, leader in share.items():
        for name in (follower, leader):
            if name not in chosen:
                raise unknown("share", name, chosen)
            if sum(call.name == name for call in calls) > 1:
                raise ArgumentError(
                    "share",
                    f"has layer {name}, which runs more than once in a "
                    "forward pass, on several inputs: leave it out",
                )
        if not _zeros(chosen[follower]):
            raise ArgumentError(
                "share",
                f"has layer {follower}, whose padding is not numbers of "
                "zeros, as a shared input needs it: leave it out",
            )
        if _linear(chosen[follower]) != _linear(chosen[leader]):
            raise ArgumentError(
                "share",
                f"has layer {follower}, which cannot learn from the input "
                f"of {leader}: both must be convolutions or linear",
            )
        if not calls:
            continue
        for name in (follower, leader):
            if name not in seen:
                raise ArgumentError("share", f"has layer {name}, which does not run: leave it out")
        (later, call), (earlier, served) = seen[follower], seen[leader]
        if later < earlier:
            raise ArgumentError(
                "share",
                f"has layer {follower}, which runs before {leader}: "
                "choose a layer that has run by then",
            )
        if served.x is None or call.x is None:
            continue
        _check(follower, call.x, Slot(leader), served.x, linear=_linear(chosen[follower]))
    return dict(share)


def wire(model: nn.Module, chosen: Mapping[str, Any], groups: Mapping[str, str]) -> None:
    """Give the layers of `groups`, which have feedback weights, their slots; the model its hook."""
    pairs = {name: leader for name, leader in groups.items() if name != leader}
    slots = {leader: Slot(leader) for leader in pairs.values()}
    for name in dict.fromkeys([*pairs, *slots]):
        layer = chosen[name]
        layer.__class__ = SharingLinear if _linear(layer) else SharingConv2d
        layer.called, layer.serves = name, slots.get(name)
        layer.learns = slots[pairs[name]] if name in pairs else None
    if slots:
        Empty(list(slots.values()), model)


def unwire(layers: Collection[Any]) -> None:
    """The layers' slots go; what class they are is left to the caller."""
    for layer in layers:
        for name in ("called", "serves", "learns"):
            layer.__dict__.pop(name, None)


def _linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear)


def _zeros(layer: nn.Module) -> bool:
    """Whether a shared input would be padded as its own is."""
    if not isinstance(layer, nn.Conv2d):
        return True
    return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _ready(call: Call) -> bool:
    return call.x is not None and _zeros(call.module)


def _fits(served: Call, call: Call) -> bool:
    if served.x is None or call.x is None or _linear(served.module) != _linear(call.module):
        return False
    try:
        _check(call.name, call.x, Slot(served.name), served.x, linear=_linear(call.module))
    except ArgumentError:
        return False
    return True


def _tiles(s: Sequence[int], x: Sequence[int]) -> bool:
    """Whether copies of a linear layer's `s` make an input of shape `x`."""
    return tuple(s[:-1]) == tuple(x[:-1]) and s[-1] > 0 and x[-1] % s[-1] == 0


def _check(
    name: str, x: Sequence[int], slot: Slot | None, s: Sequence[int], *, linear: bool
) -> None:
    """ArgumentError, in the words of the model, unless s can stand in for x."""
    try:
        if linear and not _tiles(s, x):
            raise ArgumentError("s", f"(shape {tuple(s)}) cannot be tiled to {tuple(x)}")
        if not linear:
            rule.check_match(s, x)
    except ArgumentError as error:
        leader = "another layer" if slot is None else slot.name
        raise ArgumentError(
            "share",
            f"lets layer {name} learn from the input of {leader}, but s "
            f"{error.problem}: choose another layer for it, or leave it out",
        ) from None
