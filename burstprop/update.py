"""Momentum and decay of burst layers (specification, 5.1.8).

    V <- momentum V - lr G_W        W <- (1 - decay) W + V        Y <- (1 - decay) Y + V
    V_bias <- momentum V_bias - lr G_bias                         bias <- bias + V_bias
    Z <- Z - recurrent_lr G_Z

Y has W's gradient, hence W's momentum: one V serves both, and W - Y shrinks by exactly (1 - decay)
a step (Kolen & Pollack 1994). The decay is multiplied by no rate and spares the biases.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from burstprop.layers import BurstLayer, BurstLinear
from burstprop.networks import BurstNetwork, Taught


class BurstUpdate:
    """Moves what a network learns, in place.

    lr             one rate a layer, first to last
    by_batch       divide all gradients by the batch size, as the program of 2020 did
    world          processes that train along (`common.torch_distributed`): their gradients, which
                   are sums over samples, are added up before they are applied
    """

    def __init__(
        self,
        net: BurstNetwork,
        lr: Sequence[float],
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        recurrent_lr: float = 0.0,
        by_batch: bool = False,
        world: Any = None,
    ) -> None:
        if len(lr) != len(net.names):
            raise ValueError(f"lr (={list(lr)}) must have {len(net.names)} entries, one a layer")
        self.net, self.lr, self.momentum, self.decay = net, list(lr), momentum, weight_decay
        self.recurrent_lr, self.by_batch = recurrent_lr, by_batch
        self._world = world if world is not None and world.size > 1 else None
        self._weights = [torch.zeros_like(layer.weight) for layer in net.layers]
        self._biases = [torch.zeros_like(layer.bias) for layer in net.layers]
        decaying, momenta = [], []
        for layer, V in zip(net.layers, self._weights, strict=True):
            both = [layer.weight, *([layer.weight_fa] if layer.learns_feedback else [])]
            decaying += both
            momenta += [V] * len(both)
        self._decaying, self._momenta = decaying, momenta

    @torch.no_grad()
    def step(self, taught: Sequence[Taught | None]) -> None:
        """One update from what each layer was taught; None: a layer whose gradient is zero."""
        batch = next(len(each.x) for each in taught if each is not None)
        layers = self.net.layers
        recurrent = [layer.weight_r if layer.learns_recurrent else None for layer in layers]
        if self._world is None:
            scale = 1 / batch if self.by_batch else 1.0
            rates = [-lr * scale for lr in self.lr]
            places = list(zip(self._weights, self._biases, recurrent, strict=True))
            _add_gradients(layers, taught, places, self.momentum, rates, -self.recurrent_lr * scale)
        else:
            self._sum_over_processes(taught, recurrent, batch)
        if self._decaying[0].device.type == "cpu":
            for W, V in zip(self._decaying, self._momenta, strict=True):
                torch.add(V, W, alpha=1 - self.decay, out=W)  # reads and writes W but once
        else:
            torch._foreach_mul_(self._decaying, 1 - self.decay)
            torch._foreach_add_(self._decaying, self._momenta)
        torch._foreach_add_([layer.bias for layer in layers], self._biases)

    def _sum_over_processes(
        self, taught: Sequence[Taught | None], recurrent: Sequence[Tensor | None], batch: int
    ) -> None:
        """As in one process, from gradients that are whole before they are applied."""
        held = list(zip(self._weights, self._biases, recurrent, strict=True))
        found: list[Place] = [
            (torch.zeros_like(V), torch.zeros_like(b), None if Z is None else torch.zeros_like(Z))
            for V, b, Z in held
        ]
        _add_gradients(self.net.layers, taught, found, 0.0, [1.0] * len(found), 1.0)
        self._world.sum_([G for place in found for G in place if G is not None])
        scale = 1 / (batch * self._world.size) if self.by_batch else 1.0
        for (V, V_bias, Z), (G, G_bias, G_Z), lr in zip(held, found, self.lr, strict=True):
            V.mul_(self.momentum).add_(G, alpha=-lr * scale)
            V_bias.mul_(self.momentum).add_(G_bias, alpha=-lr * scale)
            if Z is not None and G_Z is not None:
                Z.add_(G_Z, alpha=-self.recurrent_lr * scale)

    def state(self) -> dict[str, Tensor]:
        """The momenta by name; they are not copies."""
        found = {}
        for name, V, V_bias in zip(self.net.names, self._weights, self._biases, strict=True):
            found |= {f"opt.{name}.weight": V, f"opt.{name}.bias": V_bias}
        return found

    def load_state(self, saved: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, V in self.state().items():
            V.copy_(saved[name])


Place = tuple[Tensor, Tensor, Tensor | None]  # what gradients of W, bias and Z are added to


def _add_gradients(
    layers: Sequence[BurstLayer],
    taught: Sequence[Taught | None],
    places: Sequence[Place],
    keep: float,
    rates: Sequence[float],
    recurrent_rate: float,
) -> None:
    """V <- keep V + rate G for weights and biases, Z <- Z + recurrent_rate G_Z, without a copy of
    any gradient of a linear layer."""
    for layer, each, (V, V_bias, Z), rate in zip(layers, taught, places, rates, strict=True):
        if each is None:
            V.mul_(keep)
            V_bias.mul_(keep)
            continue
        if isinstance(layer, BurstLinear):
            V.addmm_(each.delta.t(), each.x.flatten(1), beta=keep, alpha=rate)
            V_bias.mul_(keep).add_(each.delta.sum(0), alpha=rate)
        else:
            G, G_bias = layer.gradients(each.delta, each.x)
            V.mul_(keep).add_(G, alpha=rate)
            V_bias.mul_(keep).add_(G_bias, alpha=rate)
        if Z is not None and each.u is not None and each.b_pre is not None:
            Z.addmm_(each.u.t(), each.b_pre, alpha=-recurrent_rate)  # G_Z = -u^T b_pre
