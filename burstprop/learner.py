"""Training a network with burstprop, and with backprop or node perturbation for comparison.

Each learner (see `common.backends.torch_learner`) is made around a `BurstNetwork`, which is on its
device and in its precision already. The loss is the mean over batch and outputs of (e - T)^2; only
backprop uses it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from burstprop.inspection.angles import MeanDeltaAngles
from burstprop.networks import BurstNetwork, LayerResult, PassResult
from burstprop.perturbation.original import OriginalPerturbation
from burstprop.perturbation.rule import Perturbation
from burstprop.update import BurstUpdate
from common.backends import torch_layout
from common.backends.torch_convolution import safe_format
from common.backends.torch_distributed import World
from common.backends.torch_learner import Pairs, TorchLearner
from common.doors import torch_labels
from common.doors.arguments import number


class BurstLearner(TorchLearner[BurstNetwork]):
    """Burstprop, with learned or fixed feedback as the network has it.

    watch    set it to True, and the next step measures `delta_angles` (L - 1,), before its update;
             a step without it costs nothing more
    average  measure them in every step; `delta_angles` is their mean since `forget_angles`
    """

    rule = ""  # its name, for summary.json

    def __init__(self, net: BurstNetwork, update: BurstUpdate, *, average: bool = False) -> None:
        self._angles = MeanDeltaAngles(net)
        super().__init__(net, _format(net), parts=(update, self._angles), loss=_squared_error)
        self.weight_update, self.average, self.watch = update, average, False

    def update(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; the rates (N, classes) before it."""
        then = self.weight_update.learn if self.weight_update.one_by_one else None
        images, watched = self.place(images), self.watch or self.average
        result = self.net.two_phase_pass(images, target(self.net, images, labels), watched, then)
        if watched:
            self._measure(result)
        if then is None:
            self.weight_update.step(result.layers)
        return result.output

    def _measure(self, result: PassResult) -> None:
        if not self.average:
            self._angles.forget()
        self._angles.add(self.net, result)
        self.watch = False

    def look(self, images: Tensor, labels: Tensor) -> None:
        """Measure the delta angles of a batch without learning from it."""
        images = self.place(images)
        self._measure(
            self.net.two_phase_pass(images, target(self.net, images, labels), reference=True)
        )

    @property
    def delta_angles(self) -> Tensor:
        """Degrees, hidden layers first to last."""
        return self._angles.mean

    def forget_angles(self) -> None:
        """Begin a new mean."""
        self._angles.forget()

    def feedback(self) -> Pairs:
        """W beside Y of every layer that sends bursts down."""
        layers = zip(self.net.names[1:], self.net.layers[1:], strict=True)
        return {
            n: (layer.weight, layer.weight_fa) for n, layer in layers if layer.weight_fa is not None
        }

    def credit(self, images: Tensor, labels: Tensor) -> Pairs:
        """For each layer's W, the rule's descent direction and the gradient of the loss."""
        images, T = self.place(images), target(self.net, images, labels)
        return _compared(self.net, images, T, self.net.two_phase_pass(images, T).layers)


class BackpropLearner(TorchLearner[BurstNetwork]):
    """Backprop of the mean squared error, torch's SGD with its decay in the gradient (5.2)."""

    rule, idle = "", True  # feedback and recurrent weights learn nothing here

    def __init__(
        self,
        net: BurstNetwork,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        world: World | None = None,
    ) -> None:
        optimiser = torch.optim.SGD(
            net.parameters(),
            lr=number("lr", lr, least=0),
            momentum=number("momentum", momentum, least=0, most=1),
            weight_decay=number("weight_decay", weight_decay, least=0),
            fused=True,
        )
        super().__init__(net, _format(net), optimiser, loss=_squared_error, world=world)

    def credit(self, images: Tensor, labels: Tensor) -> Pairs:
        """As `BurstLearner.credit`, of a rule whose direction is the gradient's."""
        return _backprop_credit(self, images, labels)


class MatchedBackpropLearner(TorchLearner[BurstNetwork]):
    """Backprop in everything else like burstprop (burstprop, D12): the output's delta is
    burstprop's, rates, momentum and decay act in the same way; only what hidden layers learn from
    differs."""

    rule = ""

    def __init__(self, net: BurstNetwork, update: BurstUpdate, p_baseline: float) -> None:
        super().__init__(net, _format(net), parts=(update,), loss=_squared_error)
        self.weight_update = update
        self.p_baseline = number("p_baseline", p_baseline, above=0, most=1)

    def update(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; the rates (N, classes) before it."""
        images = self.place(images)
        result = self.net.backprop(images, target(self.net, images, labels))
        self.weight_update.step(
            [t._replace(delta=t.delta * self.p_baseline) for t in result.layers]
        )
        return result.output

    def credit(self, images: Tensor, labels: Tensor) -> Pairs:
        """As `BackpropLearner.credit`."""
        return _backprop_credit(self, images, labels)


class PerturbationLearner(TorchLearner[BurstNetwork]):
    """Node perturbation; its noise comes from torch's generators, which checkpoints hold."""

    rule = ""

    def __init__(
        self,
        net: BurstNetwork,
        update: BurstUpdate,
        perturbation: Perturbation | OriginalPerturbation,
    ) -> None:
        parts = (update, perturbation.walk)
        super().__init__(net, _format(net), parts=parts, loss=_squared_error)
        self.weight_update, self.perturbation = update, perturbation

    def update(self, images: Tensor, labels: Tensor) -> Tensor:
        """One batch's updates; the rates (N, classes) before them."""
        images = self.place(images)
        T = target(self.net, images, labels)
        output, updates = self.perturbation.updates(images, T)
        for results in updates:
            self.weight_update.step(results)
        return output

    def credit(self, images: Tensor, labels: Tensor) -> Pairs:
        """As `BurstLearner.credit`, of the layers that this batch perturbs."""
        images, T = self.place(images), target(self.net, images, labels)
        walk = self.perturbation.walk.place
        _, updates = self.perturbation.updates(images, T)
        perturbed: list[LayerResult | None] = [None] * len(self.net.names)
        for results in updates:
            perturbed = [a or b for a, b in zip(perturbed, results, strict=True)]
        self.perturbation.walk.place = walk
        return _compared(self.net, images, T, perturbed)


Learner = BurstLearner | BackpropLearner | MatchedBackpropLearner | PerturbationLearner


def target(net: BurstNetwork, images: Tensor, labels: Tensor) -> Tensor:
    """T (N, classes) of labels that are as many as the images."""
    return torch_labels.rows(labels, net.layers[-1].bias.detach().expand(len(images), -1))


def _squared_error(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean over batch and outputs (N, C) of (e - T)^2."""
    return functional.mse_loss(outputs, torch_labels.rows(labels, outputs))


def _backprop_credit(learner: TorchLearner[BurstNetwork], images: Tensor, labels: Tensor) -> Pairs:
    """What `_compared` says of backprop itself."""
    net, images = learner.net, learner.place(images)
    T = target(net, images, labels)
    return _compared(net, images, T, net.backprop(images, T).layers)


def _compared(
    net: BurstNetwork, images: Tensor, T: Tensor, results: Sequence[LayerResult | None]
) -> Pairs:
    """For each layer's W, the descent direction of its result (None: left out), and the
    gradient of the loss."""
    true = net.backprop(images, T)
    factor = 2 / true.output.numel()  # from 1/2 the sum of squares to their mean
    pairs = {}
    for name, layer, mine, theirs in zip(net.names, net.layers, results, true.layers, strict=True):
        if mine is not None:
            gradient = layer.gradients(theirs.delta, theirs.x)[0].mul_(factor)
            pairs[name] = layer.gradients(mine.delta, mine.x)[0], gradient
    return pairs


def _format(net: BurstNetwork) -> torch.memory_format:
    """The network's own, unless it would corrupt memory."""
    if safe_format(net) == torch.contiguous_format:
        return torch.contiguous_format
    return torch_layout.format_of(net)
