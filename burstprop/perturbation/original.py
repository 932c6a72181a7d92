"""Node perturbation as the original program does it (burstprop, 5.3, D7, D8, D9).

Every layer is perturbed around its own clean potentials, so that noise of a hidden layer hardly
reaches the output; E and E' are means over the batch, while the noise is each sample's own; in the
sequential modes every pass makes an update of all layers, from potentials that are out of date.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from burstprop.layers import BurstConv2d
from burstprop.networks import BurstNetwork, LayerResult
from burstprop.perturbation.rule import MODES, Clean, Draw, Walk, clean_pass
from common.doors.arguments import number
from common.doors.torch_labels import rows
from common.errors import unknown


class OriginalPerturbation:
    """The modes of `perturbation.Perturbation`, with the same arguments. It is asked for the passes
    of a batch one at a time, because each one sees the weights that the last one left behind."""

    def __init__(self, net: BurstNetwork, mode: str, draw: Draw, std: float) -> None:
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
        self.net, self.mode, self.draw, self.walk = net, mode, draw, Walk()
        self.std = number("std", std, above=0)
        self.errors: tuple[Tensor, Tensor] | None = None  # E and E' of the last pass

    @torch.no_grad()
    def updates(
        self, x: Tensor, target: Tensor
    ) -> tuple[Tensor, Iterator[list[LayerResult | None]]]:
        """The clean output, and the updates, each to be applied before the next is asked for."""
        clean = clean_pass(self.net, x)
        target = rows(target, clean.rates[-1], "target", rates=True)
        return clean.rates[-1], self._passes(clean, target)

    @torch.no_grad()
    def _passes(self, clean: Clean, target: Tensor) -> Iterator[list[LayerResult | None]]:
        if self.mode == "all":
            yield self._all_at_once(clean, target)
        elif self.mode == "layers":
            for i, e in enumerate(clean.rates):
                yield self._one(clean, target, i, self.draw(e.shape, e))
        elif (place := self._next_unit(clean.rates)) is not None:
            i, unit = place
            e = clean.rates[i]
            xi = torch.zeros_like(e)
            shape = (len(e), 1) if e.dim() == 2 else (len(e),)
            xi.flatten(1)[:, unit] = self.draw(shape, e).flatten()
            yield self._one(clean, target, i, xi)

    def _next_unit(self, rates: list[Tensor]) -> tuple[int, int] | None:
        """None: a batch without an update, at the end of every layer. The units of a convolution
        are counted as C + H + W."""
        layer, unit = self.walk.place
        if layer == len(rates):
            self.walk.place = 0, 0
        elif unit == sum(rates[layer].shape[1:]):
            self.walk.place = layer + 1, 0
        else:
            self.walk.place = layer, unit + 1
            return layer, unit
        return None

    def _all_at_once(self, clean: Clean, target: Tensor) -> list[LayerResult | None]:
        noise = [self.draw(e.shape, e) for e in clean.rates]
        noisy = torch.sigmoid(clean.potentials[-1] + noise[-1])
        factor = self._factor(clean.rates[-1], noisy, target)
        parts = zip(clean.inputs, clean.rates, noise, strict=True)
        return [LayerResult(x, e, xi * factor) for x, e, xi in parts]

    def _one(
        self, clean: Clean, target: Tensor, noisy: int, xi: Tensor
    ) -> list[LayerResult | None]:
        """A pass in which one layer is perturbed; it overwrites the potentials of all others."""
        running = clean.inputs[0]
        for i, layer in enumerate(self.net.layers):
            if i == noisy:
                running = torch.sigmoid(clean.potentials[i] + xi)
                continue
            own = isinstance(layer, BurstConv2d)  # it takes its clean input, not what arrives
            clean.potentials[i] = layer.potential(clean.inputs[i] if own else running)
            running = torch.sigmoid(clean.potentials[i])
        delta = xi * self._factor(clean.rates[-1], running, target)
        results: list[LayerResult | None] = [None] * len(clean.rates)
        results[noisy] = LayerResult(clean.inputs[noisy], clean.rates[noisy], delta)
        return results

    def _factor(self, e: Tensor, noisy: Tensor, target: Tensor) -> Tensor:
        self.errors = ((e - target) ** 2).mean(), ((noisy - target) ** 2).mean()
        return (self.errors[1] - self.errors[0]) / self.std**2
