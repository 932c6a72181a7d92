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

from burstprop.layers import BurstLinear
from burstprop.networks import BurstNetwork, Taught
from common.errors import ArgumentError


class BurstUpdate:
    """Moves what a network learns, in place.

    lr             one rate a layer, first to last
    by_batch       divide all gradients by the batch size, as the program of 2020 did
    world          processes that train along (`common.torch_distributed`): their gradients, which
                   are sums over samples, are added up before they are applied

    Nobody hears the first layer's Y while a network is trained, and it follows from W: it is put
    where it belongs by `settle`, which `state` calls, not in every step.
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
            raise ArgumentError(
                "lr", f"(={list(lr)}) must have {len(net.names)} entries, one a layer"
            )
        self.net, self.lr, self.momentum, self.decay = net, list(lr), momentum, weight_decay
        self.recurrent_lr, self.by_batch = recurrent_lr, by_batch
        self._world = world if world is not None and world.size > 1 else None
        self._layers = net.layers
        self._weights = [torch.zeros_like(layer.weight) for layer in self._layers]
        self._biases = [torch.zeros_like(layer.bias) for layer in self._layers]
        first = self._layers[0]
        self._ones = torch.ones_like(first.bias[:1]).detach()
        self._kept = 1.0  # (1 - decay)^steps, of W - Y
        self._difference: Tensor | None = None
        if first.learns_feedback:
            self._difference = (first.weight - first.weight_fa).detach()

    @property
    def one_by_one(self) -> bool:
        """Whether `learn` may be called layer by layer, instead of `step`."""
        return self._world is None and self._weights[0].device.type == "cpu"

    @torch.no_grad()
    def step(self, taught: Sequence[Taught | None]) -> None:
        """One update from what each layer was taught; None: a layer whose gradient is zero."""
        if self.one_by_one:
            for i, each in enumerate(taught):
                self.learn(i, each)
            return
        batch = next(len(each.x) for each in taught if each is not None)
        self._apply(self._gradients(taught), self._scale(batch))

    def _apply(self, gradients: Sequence[tuple[Tensor, ...] | None], scale: float) -> None:
        for i, each in enumerate(gradients):
            self._add(i, each, scale)
        pairs = [(W, V) for i, V in enumerate(self._weights) for W in self._decaying(i)]
        weights, momenta = zip(*pairs, strict=True)
        torch._foreach_mul_(weights, 1 - self.decay)
        torch._foreach_add_(weights, momenta)
        torch._foreach_add_([layer.bias for layer in self._layers], self._biases)
        self._kept *= 1 - self.decay

    @torch.no_grad()
    def learn(self, i: int, taught: Taught | None) -> None:
        """The part of `step` that is layer i's."""
        layer, V, V_bias = self._layers[i], self._weights[i], self._biases[i]
        scale = self._scale(len(taught.x)) if taught is not None else 1.0
        if taught is not None and isinstance(layer, BurstLinear):
            # No gradient is ever written down: it is added to V as it is made.
            rate, delta = -self.lr[i] * scale, taught.delta
            if layer.learns_recurrent and taught.u is not None:
                recurrent_rate = self.recurrent_lr * scale
                layer.weight_r.addmm_(taught.u.t(), taught.b_pre, alpha=recurrent_rate)
            V.addmm_(delta.t(), taught.x.flatten(1), beta=self.momentum, alpha=rate)
            ones = self._ones.expand(len(delta))
            V_bias.addmv_(delta.t(), ones, beta=self.momentum, alpha=rate)
        else:
            self._add(i, None if taught is None else layer.gradients(taught.delta, taught.x), scale)
        for W in self._decaying(i):
            torch.add(V, W, alpha=1 - self.decay, out=W)  # reads and writes W but once
        layer.bias.add_(V_bias)
        if i == 0:
            self._kept *= 1 - self.decay

    def _scale(self, batch: int) -> float:
        processes = 1 if self._world is None else self._world.size
        return 1 / (batch * processes) if self.by_batch else 1.0

    def _decaying(self, i: int) -> list[Tensor]:
        """W, and Y if a step moves it."""
        layer = self._layers[i]
        return [layer.weight, layer.weight_fa] if i and layer.learns_feedback else [layer.weight]

    def _gradients(self, taught: Sequence[Taught | None]) -> list[tuple[Tensor, ...] | None]:
        """(G_W, G_bias) or (G_W, G_bias, G_Z) of each layer, of all processes together."""
        found: list[tuple[Tensor, ...] | None] = []
        for layer, each in zip(self._layers, taught, strict=True):
            if each is None:
                found.append(None)
                continue
            gradients: tuple[Tensor, ...] = layer.gradients(each.delta, each.x)
            if layer.learns_recurrent and each.u is not None and each.b_pre is not None:
                gradients += (-each.u.t() @ each.b_pre,)
            found.append(gradients)
        if self._world is not None:
            self._world.sum_([G for each in found if each is not None for G in each])
        return found

    def _add(self, i: int, gradients: tuple[Tensor, ...] | None, scale: float) -> None:
        """Gradients into momenta, and Z's into Z."""
        V, V_bias, rate = self._weights[i], self._biases[i], -self.lr[i] * scale
        V.mul_(self.momentum)
        V_bias.mul_(self.momentum)
        if gradients is None:
            return
        V.add_(gradients[0], alpha=rate)
        V_bias.add_(gradients[1], alpha=rate)
        for G in gradients[2:]:
            self._layers[i].weight_r.add_(G, alpha=-self.recurrent_lr * scale)

    @torch.no_grad()
    def settle(self) -> None:
        """Put the first layer's Y where its updates have brought it: W - Y is known."""
        if self._difference is not None:
            first = self._layers[0]
            torch.sub(first.weight, self._difference, alpha=self._kept, out=first.weight_fa)

    def state(self) -> dict[str, Any]:
        """The momenta by name, and what is left of W - Y; tensors are not copies."""
        self.settle()
        found: dict[str, Any] = {"opt.kept": self._kept}
        for name, V, V_bias in zip(self.net.names, self._weights, self._biases, strict=True):
            found |= {f"opt.{name}.weight": V, f"opt.{name}.bias": V_bias}
        if self._difference is not None:
            found["opt.difference"] = self._difference
        return found

    @torch.no_grad()
    def load_state(self, saved: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self._kept = float(saved["opt.kept"])
        for name, V in self.state().items():
            if isinstance(V, Tensor):
                V.copy_(saved[name])
