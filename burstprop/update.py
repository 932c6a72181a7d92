"""Momentum and decay of burst layers (specification, 5.1.8).

    V <- momentum V - lr G_W        W <- (1 - decay) W + V        Y <- (1 - decay) Y + V
    V_bias <- momentum V_bias - lr G_bias                         bias <- bias + V_bias
    Z <- Z - recurrent_lr G_Z

Y has W's gradient, hence W's momentum: one V serves both, and W - Y shrinks by exactly (1 - decay)
a step (Kolen & Pollack 1994). The decay is multiplied by no rate and spares the biases.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from burstprop.layers import BurstLinear
from burstprop.networks import BurstNetwork, Lesson


class BurstUpdate:
    """lr: one rate a layer. by_batch: divide gradients by the batch size (the rule of 2020).

    world: processes that train along (`common.torch_distributed`), whose gradients are summed.
    """

    def __init__(
        self,
        net: BurstNetwork,
        lr: Sequence[float],
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        recurrent_lr: float = 0.0,
        by_batch: bool = False,
        world: Any = None,
    ) -> None:
        if len(lr) != len(net.names):
            raise ValueError(f"lr (={list(lr)}) must have {len(net.names)} entries, one a layer")
        self.net, self.lr, self.momentum, self.decay = net, list(lr), momentum, weight_decay
        self.recurrent_lr, self.by_batch, self.world = recurrent_lr, by_batch, world
        with torch.no_grad():
            self.weights = [torch.zeros_like(layer.weight) for layer in net.layers]
            self.biases = [torch.zeros_like(layer.bias) for layer in net.layers]

    @torch.no_grad()
    def step(self, lesson: Lesson) -> None:
        """One update of everything that learns."""
        layers = self.net.layers
        scale = 1 / len(lesson.output) if self.by_batch else 1.0
        for layer, taught, lr, V, V_bias in zip(
            layers, lesson.layers, self.lr, self.weights, self.biases, strict=True
        ):
            delta, x, rate = taught.bursts.delta, taught.x, -lr * scale
            if isinstance(layer, BurstLinear):
                V.addmm_(delta.t(), x.flatten(1), beta=self.momentum, alpha=rate)
                V_bias.mul_(self.momentum).add_(delta.sum(0), alpha=rate)
            else:
                G, G_bias = layer.gradients(delta, x)
                V.mul_(self.momentum).add_(G, alpha=rate)
                V_bias.mul_(self.momentum).add_(G_bias, alpha=rate)
            if layer.learns_recurrent:
                u, b_pre = taught.bursts.u, taught.bursts.b_pre
                layer.weight_r.addmm_(u.t(), b_pre, alpha=self.recurrent_lr * scale)
        for layer, V, V_bias in zip(layers, self.weights, self.biases, strict=True):
            self._move(layer.weight, V)
            if layer.learns_feedback:
                self._move(layer.weight_fa, V)
            layer.bias.add_(V_bias)

    def _move(self, W: Tensor, V: Tensor) -> None:
        torch.add(V, W, alpha=1 - self.decay, out=W)
