"""Node perturbation: the baseline that learns from noise on its own units (burstprop, 5.3).

Noise xi ~ N(mean, std^2) is added to pre-activations, E and E' are the errors (mean over outputs)
without and with it, and a layer learns from delta = (E' - E) xi / std^2. Which units get noise:

    all      every unit of every layer, in each batch
    layers   one layer after the other, in each batch
    units    one unit a batch, all samples of it; the next one in the next batch

`Perturbation` is what the paper means: noise reaches the output through the layers above it, every
sample has its own error difference, each batch makes one update. What the program does instead is
in `perturbation.original` (burstprop, D7, D8, D9).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from burstprop.networks import BurstNetwork, LayerResult
from burstprop.rule import SigmoidOutput, SigmoidUnits
from common.doors.arguments import number
from common.doors.torch_labels import rows
from common.errors import ArgumentError, unknown

MODES = ("all", "layers", "units")
Draw = Callable[[Sequence[int], Tensor], Tensor]  # shape, like -> noise


class Noise:
    """Draws N(mean, std^2) from torch's generator of the device."""

    def __init__(self, mean: float = 0.0, std: float = 0.001) -> None:
        self.mean, self.std = number("xi_mean", mean), number("xi_std", std, above=0)

    def __call__(self, shape: Sequence[int], like: Tensor) -> Tensor:
        where: dict[str, Any] = {"dtype": like.dtype, "device": like.device}
        if len(shape) == 4:  # in the memory order of convolutions here
            noise = torch.empty([shape[i] for i in (0, 2, 3, 1)], **where)
            return noise.normal_(self.mean, self.std).permute(0, 3, 1, 2)
        return torch.empty(tuple(shape), **where).normal_(self.mean, self.std)


class Walk:
    """Where the mode `units` stands: layer and flat unit of the next batch."""

    def __init__(self) -> None:
        self.place = 0, 0

    def advance(self, units: Sequence[int]) -> None:
        """To the next unit of layers with so many units; after the last one, to the first."""
        layer, unit = self.place
        at_end = unit + 1 == units[layer]
        self.place = ((layer + 1) % len(units), 0) if at_end else (layer, unit + 1)

    def state(self) -> dict[str, Any]:
        """The unit whose turn it is."""
        layer, unit = self.place
        return {"walk.layer": layer, "walk.unit": unit}

    def load_state(self, saved: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        self.place = int(saved["walk.layer"]), int(saved["walk.unit"])


class Clean(NamedTuple):
    """A pass without noise: every layer's input, potentials and event rates."""

    inputs: list[Tensor]
    potentials: list[Tensor]
    rates: list[Tensor]


def clean_pass(net: BurstNetwork, x: Tensor) -> Clean:
    """Forward, keeping everything. ArgumentError for units that are not sigmoid: a subclass with
    another rate is not."""
    clean, x = Clean([], [], []), net.accept(x)
    for layer in net.layers:
        if type(layer.units).rate not in (SigmoidUnits.rate, SigmoidOutput.rate):
            raise ArgumentError(
                "units", f"(={layer.units!r}) must be sigmoid units for node perturbation"
            )
        y = layer.potential(x)
        clean.inputs.append(x)
        clean.potentials.append(y)
        x = layer.units.rate(y)
        clean.rates.append(x)
    return clean


class Perturbation:
    """What each layer learns from, of every mode, with noise that reaches the output.

    differences  carry e' - e upward, sigmoid(y + v) - sigmoid(y) = e' (1 - e) (1 - exp(-v)), which
                 keeps all digits of E' - E (burstprop, D9); else e' less e, as accurate as e is
    """

    def __init__(
        self, net: BurstNetwork, mode: str, draw: Draw, std: float, differences: bool = True
    ) -> None:
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
        self.net, self.mode, self.draw = net, mode, draw
        self.std = number("std", std, above=0)
        self.differences, self.walk = differences, Walk()

    @torch.no_grad()
    def updates(self, x: Tensor, target: Tensor) -> tuple[Tensor, list[list[LayerResult | None]]]:
        """The clean output, and one update: a result for each layer, None for nothing."""
        clean = clean_pass(self.net, x)
        target = rows(target, clean.rates[-1], "target", rates=True)
        results: list[LayerResult | None] = [None] * len(clean.rates)
        for noise in self._noises(clean.rates):
            factors = self._factors(clean, noise, target)
            for i, xi in noise.items():
                delta = xi * factors.view(-1, *[1] * (xi.dim() - 1))
                results[i] = LayerResult(clean.inputs[i], clean.rates[i], delta)
        return clean.rates[-1], [results]

    def _noises(self, rates: list[Tensor]) -> Iterator[dict[int, Tensor]]:
        """The noise of each perturbed pass, by layer."""
        if self.mode == "units":
            i, unit = self.walk.place
            xi = torch.zeros_like(rates[i])
            xi.flatten(1)[:, unit] = self.draw(rates[i].shape[:1], xi)
            self.walk.advance([e[0].numel() for e in rates])
            yield {i: xi}
            return
        each = ({i: self.draw(e.shape, e)} for i, e in enumerate(rates))
        if self.mode == "layers":
            yield from each
        else:
            yield {i: xi for one in each for i, xi in one.items()}

    def _factors(self, clean: Clean, noise: dict[int, Tensor], target: Tensor) -> Tensor:
        """(E' - E) / (std^2 B) of every sample, (B,): their mean error is what is to fall."""
        change = None  # e' - e of the layer below
        for i in range(min(noise), len(clean.rates)):
            v = noise.get(i)
            if change is not None:
                risen = self.net.layers[i].drive(change)
                v = risen if v is None else risen.add_(v)
            assert v is not None
            change = self._change(clean.potentials[i], clean.rates[i], v)
        assert change is not None
        gap = (change * (2 * (clean.rates[-1] - target) + change)).mean(1)
        return gap / (self.std**2 * len(gap))

    def _change(self, y: Tensor, e: Tensor, v: Tensor) -> Tensor:
        """sigmoid(y + v) - e, where e = sigmoid(y)."""
        noisy = (y + v).sigmoid_()
        if not self.differences:
            return noisy.sub_(e)
        return noisy.mul_(e - 1).mul_(v.neg().expm1_())
