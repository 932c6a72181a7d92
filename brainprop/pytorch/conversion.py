"""Separate feedback weights for the layers of any torch model, put in and taken out.

>>> import torch
>>> from brainprop.pytorch import BrainPropLoss, convert
>>> model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
>>> B = convert(model, "separate", skip=["0"])     # nothing learns below the lowest layer
>>> learning = [*model.parameters()]               # B is among them, as `2.B`
>>> optimiser = torch.optim.SGD(learning, lr=0.1, weight_decay=1e-3)
>>> BrainPropLoss()(model(torch.rand(8, 64)), torch.arange(8)).backward()
>>> optimiser.step()
>>> convert(model, "shared")                       # the plain model again
[]
"""

from collections.abc import Collection
from typing import Any

import torch
from torch import nn
from torch.nn.modules import conv, lazy, rnn
from torch.nn.utils import parametrize

from brainprop.pytorch.separate import SeparateConv2d, SeparateLinear
from common.doors.arguments import number
from common.errors import ArgumentError, unknown

FEEDBACK = ("shared", "separate")
TWINS: dict[type, type] = {nn.Linear: SeparateLinear, nn.Conv2d: SeparateConv2d}
PLAIN = {ours: plain for plain, ours in TWINS.items()}
# Layers with connections that have no twin. Norms and embeddings weigh without mixing units.
OTHERS = (conv._ConvNd, rnn.RNNBase, rnn.RNNCellBase, nn.MultiheadAttention, nn.Bilinear, nn.Linear)


def convert(
    model: nn.Module,
    feedback: str = "separate",
    *,
    skip: Collection[str] = (),
    std: float | None = None,
    generator: torch.Generator | None = None,
) -> list[nn.Parameter]:
    """Give, in place, every nn.Linear and nn.Conv2d feedback weights B; the new B's, in order.

    feedback   "separate": errors go down through B, which gets W's gradient; "shared": through W
               again, and B is gone
    skip       names of modules, with all that is in them, whose errors go on through W; put the
               lowest layer here, whose B would carry nothing
    std        of the normal distribution that B is drawn from; None: each layer's root mean square
               of W, so that B is as large as W

    Layers stay the objects that they are, so do W and bias under their names, and the forward pass
    keeps its bits; an optimiser and hooks go on. B is a parameter beside them, `<layer>.B`: an
    optimiser that was made before needs `add_param_group` for the B's returned, with W's decay.
    Layers that share one W share one B. The B of a frozen W is frozen and not returned. A layer
    that has a B keeps it.

    Raises ArgumentError for an unknown `feedback`, a name in `skip` that is not there, a `std`
    that is not above 0, and, naming it, for a layer that cannot be converted and is not in `skip`:
    subclasses, other kinds with connections, weights that are computed, not made yet, or not real.
    Nothing has been changed then.
    """
    if feedback not in FEEDBACK:
        raise unknown("feedback", feedback, FEEDBACK)
    if std is not None:
        std = number("std", std, above=0)
    if not isinstance(model, nn.Module):
        raise ArgumentError("model", f"(of type {type(model).__name__}) must be an nn.Module")
    layers: dict[str, Any] = dict(model.named_modules())
    if isinstance(skip, str):
        raise ArgumentError("skip", f"(={skip}) must be a list of names")
    for name in skip:
        if name not in layers:
            raise unknown("skip", name, layers)
    chosen = {name: layer for name, layer in layers.items() if not _below(name, skip)}
    if feedback == "shared":
        for layer in chosen.values():
            if type(layer) in PLAIN:
                del layer.B
                layer.__class__ = PLAIN[type(layer)]
        return []
    for name, layer in chosen.items():
        _check(name, layer)
    return _separate(chosen, std, generator)


def _separate(
    layers: dict[str, Any], std: float | None, generator: torch.Generator | None
) -> list[nn.Parameter]:
    known = {id(layer.weight): layer.B for layer in layers.values() if type(layer) in PLAIN}
    plain = [layer for layer in layers.values() if type(layer) in TWINS]
    if not (plain or known):
        raise ArgumentError("model", "has no nn.Linear and no nn.Conv2d to convert")
    new = []
    for layer in plain:
        W = layer.weight
        if id(W) not in known:
            drawn = torch.empty_like(W, requires_grad=False).normal_(generator=generator)
            size = W.detach().square().mean().sqrt() if std is None else std
            known[id(W)] = nn.Parameter(drawn * size, requires_grad=W.requires_grad)
            new.append(known[id(W)])
        layer.__class__ = TWINS[type(layer)]
        layer.B = known[id(W)]
    return [B for B in new if B.requires_grad]


def _below(name: str, skip: Collection[str]) -> bool:
    """Whether a module is one of those named, or within one."""
    return any(not top or name == top or name.startswith(f"{top}.") for top in skip)


def _check(name: str, layer: nn.Module) -> None:
    """ArgumentError for a layer with connections whose way down we could not replace."""
    if type(layer) in PLAIN or not isinstance(layer, OTHERS):
        return
    kind, advice = type(layer).__name__, "or put it into `skip`: its errors then go through W"
    if isinstance(layer, lazy.LazyModuleMixin):
        problem = f"has layer {name} ({kind}) without weights: run the model once, {advice}"
    elif parametrize.is_parametrized(layer) or (
        type(layer) in TWINS and "weight" not in layer._parameters
    ):
        problem = f"has layer {name} with a computed weight: remove its parametrisation, {advice}"
    elif type(layer) not in TWINS:
        problem = (
            f"has layer {name} ({kind}), no plain nn.Linear or nn.Conv2d: replace it, {advice}"
        )
    else:
        W: Any = layer.weight
        if W.dtype.is_floating_point and W.numel():
            return
        shape = tuple(W.shape)
        problem = (
            f"has layer {name} with weights {shape} of {W.dtype}, which cannot learn: {advice}"
        )
    raise ArgumentError("model", problem.replace(": or put", ": put"))
