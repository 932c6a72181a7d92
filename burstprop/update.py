"""Momentum and decay of burst layers (burstprop, 5.1.8).

    V <- momentum V - lr G_W        W <- (1 - decay) W + V        Y <- (1 - decay) Y + V
    V_bias <- momentum V_bias - lr G_bias                         bias <- bias + V_bias
    Z <- Z - recurrent_lr G_Z

Y has W's gradient, hence W's momentum: one V serves both, and W - Y shrinks by exactly (1 - decay)
a step (Kolen & Pollack 1994). The decay is multiplied by no rate and spares the biases. What
`requires_grad` freezes keeps its bits and its momentum; with a W its Y is frozen too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from burstprop.layers import BurstLinear
from burstprop.networks import BurstNetwork, LayerResult
from common.doors.arguments import number
from common.errors import ArgumentError


class BurstUpdate:
    """Moves what a network learns, in place.

    lr             one rate a layer, first to last
    by_batch       divide all gradients by the batch size, as the program of 2020 did
    world          processes that train along (`common.backends.torch_distributed`): their
                   gradients, which are sums over samples, are added up before they are applied

    ArgumentError for numbers out of range, and in a step that finds the network in another type,
    place or shape than the momenta.
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
        self.net, self.lr = net, rates(lr, len(net.names))
        self.momentum = number("momentum", momentum, least=0, most=1)
        self.decay = number("weight_decay", weight_decay, least=0, most=1)
        self.recurrent_lr, self.by_batch = number("recurrent_lr", recurrent_lr, least=0), by_batch
        self._world = world if world is not None and world.size > 1 else None
        self._layers = net.layers
        self._weights = [torch.zeros_like(layer.weight) for layer in self._layers]
        self._biases = [torch.zeros_like(layer.bias) for layer in self._layers]
        first = self._layers[0]
        self._ones = torch.ones_like(first.bias[:1]).detach()

    @property
    def one_by_one(self) -> bool:
        """Whether `learn` may be called layer by layer, instead of `step`."""
        return self._world is None and self._weights[0].device.type == "cpu"

    @torch.no_grad()
    def step(self, results: Sequence[LayerResult | None]) -> None:
        """One update from each layer's result of a pass; None: a layer whose gradient is zero."""
        if not isinstance(results, Sequence) or len(results) != len(self._layers):
            raise ArgumentError(
                "results",
                f"must have {len(self._layers)} entries, one a layer: a result's `layers`",
            )
        if self.one_by_one:
            for i, each in enumerate(results):
                self.learn(i, each)
            return
        batch = next(len(each.x) for each in results if each is not None)
        self._apply(self._gradients(results), self._scale(batch))

    def _apply(self, gradients: Sequence[tuple[Tensor, ...] | None], scale: float) -> None:
        for i, each in enumerate(gradients):
            self._check(i)
            self._add(i, each, scale)
        pairs = [(W, V) for i, V in enumerate(self._weights) for W in self._decaying(i)]
        if pairs:
            weights, momenta = zip(*pairs, strict=True)
            torch._foreach_mul_(weights, 1 - self.decay)
            torch._foreach_add_(weights, momenta)
        moving = [
            (layer.bias, V)
            for layer, V in zip(self._layers, self._biases, strict=True)
            if layer.bias.requires_grad
        ]
        if moving:
            torch._foreach_add_(*map(list, zip(*moving, strict=True)))

    @torch.no_grad()
    def learn(self, i: int, result: LayerResult | None) -> None:
        """The part of `step` that is layer i's."""
        layer, V, V_bias = self._layers[i], self._weights[i], self._biases[i]
        self._check(i)
        scale = self._scale(len(result.x)) if result is not None else 1.0
        if result is not None and isinstance(layer, BurstLinear):
            # No gradient is ever written down: it is added to V as it is made.
            rate, delta = -self.lr[i] * scale, result.delta.to(V.dtype)
            if layer.learns_recurrent and result.u is not None:
                recurrent_rate = self.recurrent_lr * scale
                layer.weight_r.addmm_(result.u.t(), result.b_pre, alpha=recurrent_rate)
            if layer.weight.requires_grad:
                x = result.x.flatten(1).to(V.dtype)
                V.addmm_(delta.t(), x, beta=self.momentum, alpha=rate)
            if layer.bias.requires_grad:
                ones = self._ones.expand(len(delta))
                V_bias.addmv_(delta.t(), ones, beta=self.momentum, alpha=rate)
        else:
            self._add(i, None if result is None else self._gradients_of(i, result), scale)
        for W in self._decaying(i):
            torch.add(V, W, alpha=1 - self.decay, out=W)  # reads and writes W but once
        if layer.bias.requires_grad:
            layer.bias.add_(V_bias)

    def _check(self, i: int) -> None:
        """ArgumentError where a layer is no longer what its momenta were made for."""
        for what, V in (("weight", self._weights[i]), ("bias", self._biases[i])):
            now = getattr(self._layers[i], what)
            if (now.dtype, now.device, now.shape) != (V.dtype, V.device, V.shape):
                was, there = V.dtype, V.device
                raise ArgumentError(
                    "net",
                    f"has {self.net.names[i]}.{what} of {now.dtype} on "
                    f"{now.device} now, and its update was made for {was} on "
                    f"{there}: make the update after that",
                )

    def _scale(self, batch: int) -> float:
        if not batch:
            raise ArgumentError("results", "are of an empty batch; leave such a batch out")
        processes = 1 if self._world is None else self._world.size
        return 1 / (batch * processes) if self.by_batch else 1.0

    def _decaying(self, i: int) -> list[Tensor]:
        """W, and Y if it learns; nothing that is frozen."""
        layer = self._layers[i]
        if not layer.weight.requires_grad:
            return []
        return [layer.weight, layer.weight_fa] if layer.learns_feedback else [layer.weight]

    def _gradients(self, results: Sequence[LayerResult | None]) -> list[tuple[Tensor, ...] | None]:
        """(G_W, G_bias) or (G_W, G_bias, G_Z) of each layer, of all processes together."""
        gradients: list[tuple[Tensor, ...] | None] = []
        for i, (layer, each) in enumerate(zip(self._layers, results, strict=True)):
            if each is None:
                gradients.append(None)
                continue
            own: tuple[Tensor, ...] = self._gradients_of(i, each)
            if layer.learns_recurrent and each.u is not None and each.b_pre is not None:
                own += (-each.u.t() @ each.b_pre,)
            gradients.append(own)
        if self._world is not None:
            self._world.sum_([G for each in gradients if each is not None for G in each])
        return gradients

    def _gradients_of(self, i: int, result: LayerResult) -> tuple[Tensor, Tensor]:
        """G_W and G_bias, in the type of the momenta: under autocast x is in another."""
        dtype = self._weights[i].dtype
        return self._layers[i].gradients(result.delta.to(dtype), result.x.to(dtype))

    def _add(self, i: int, gradients: tuple[Tensor, ...] | None, scale: float) -> None:
        """Gradients into momenta, and Z's into Z; not where W, bias or Z is frozen."""
        layer, rate = self._layers[i], -self.lr[i] * scale
        for W, V, G in zip(
            (layer.weight, layer.bias),
            (self._weights[i], self._biases[i]),
            (gradients or (None, None))[:2],
            strict=True,
        ):
            if not W.requires_grad:
                continue
            V.mul_(self.momentum)
            if G is not None:
                V.add_(G, alpha=rate)
        for G in (gradients or ())[2:]:
            layer.weight_r.add_(G, alpha=-self.recurrent_lr * scale)

    def state(self) -> dict[str, Any]:
        """The momenta by name; tensors are not copies."""
        state: dict[str, Any] = {}
        for name, V, V_bias in zip(self.net.names, self._weights, self._biases, strict=True):
            state |= {f"opt.{name}.weight": V, f"opt.{name}.bias": V_bias}
        return state

    @torch.no_grad()
    def load_state(self, saved: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, V in self.state().items():
            V.copy_(saved[name])


def rates(lr: Any, layers: int) -> list[float]:
    """One learning rate a layer. ArgumentError for a single number, another count, a rate < 0."""
    given = lr.tolist() if hasattr(lr, "tolist") else lr
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != layers:
        raise ArgumentError("lr", f"(={given!r}) must have {layers} entries, one a layer")
    return [number("lr", rate, least=0) for rate in given]
