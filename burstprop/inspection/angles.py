"""Angles in degrees (burstprop, 5.5): of W and Y, and of the rule's delta and backprop's."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from burstprop.networks import BurstNetwork, PassResult
from common.errors import ArgumentError

EPSILON = 1e-8  # a norm counts as at least this much: a zero vector makes an angle of 90 degrees


def angles(a: Tensor, b: Tensor) -> Tensor:
    """Between rows: (n, m) and (n, m) -> (n,). The cosine is clamped: rounding may exceed 1."""
    norms = a.norm(dim=1).clamp_min(EPSILON) * b.norm(dim=1).clamp_min(EPSILON)
    return torch.rad2deg(torch.arccos(((a * b).sum(1) / norms).clamp(-1, 1)))


@torch.no_grad()
def weight_angles(net: BurstNetwork, first: int = 1) -> Tensor:
    """W against Y, layer by layer (L - first,); without the first layer, whose Y nobody hears."""
    layers = net.layers[first:]
    pairs = [(layer.weight, layer.weight_fa) for layer in layers if layer.weight_fa is not None]
    return _stack([angles(W.reshape(1, -1), Y.reshape(1, -1))[0] for W, Y in pairs], net)


def delta_angles(net: BurstNetwork, result: PassResult) -> Tensor:
    """The hidden layers' delta against backprop's, a mean over the samples: (L - 1,).

    The result must have been made with reference=True; ArgumentError otherwise.
    """
    means = []
    for layer in result.layers[:-1]:
        if layer.delta_bp is None:
            raise ArgumentError("result", "must be made with reference=True for delta angles")
        means.append(angles(layer.delta.flatten(1), layer.delta_bp.flatten(1)).mean())
    return _stack(means, net)


class MeanDeltaAngles:
    """The mean of `delta_angles` over two-phase passes: a part of a learner's state."""

    def __init__(self, net: BurstNetwork) -> None:
        like = net.layers[-1].bias.detach()
        self._sum = torch.zeros_like(like[:1]).repeat(len(net.names) - 1).double()
        self._passes = 0

    def add(self, net: BurstNetwork, result: PassResult) -> None:
        """Those of one more pass; the result as in `delta_angles`."""
        self._sum += delta_angles(net, result)
        self._passes += 1

    def forget(self) -> None:
        """Begin a new mean."""
        self._sum.zero_()
        self._passes = 0

    @property
    def mean(self) -> Tensor:
        """Degrees, hidden layers first to last (L - 1,); zero before the first pass."""
        return self._sum / max(self._passes, 1)

    def state(self) -> dict[str, Any]:
        """The angles of an epoch that has begun."""
        return {"angles.sum": self._sum, "angles.steps": self._passes}

    def load_state(self, saved: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self._sum.copy_(saved["angles.sum"])
        self._passes = int(saved["angles.steps"])


def _stack(values: list[Tensor], net: BurstNetwork) -> Tensor:
    return torch.stack(values) if values else next(net.parameters()).new_empty(0)
