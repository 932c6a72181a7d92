"""Training a network with burstprop, and with backprop or node perturbation for comparison.

A learner (see `common.runs.run`) is made around a `BurstNetwork`, which is on its device and in its
precision already. The loss is the mean over batch and outputs of (e - T)^2; only backprop uses it.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from burstprop.inspection.angles import delta_angles
from burstprop.networks import BurstNetwork, LayerResult, PassResult
from burstprop.perturbation.original import OriginalPerturbation
from burstprop.perturbation.rule import Perturbation
from burstprop.update import BurstUpdate
from common.backends import torch_backend, torch_layout, torch_optim
from common.backends.torch_convolution import safe_format
from common.doors import torch_labels
from common.doors.arguments import number

Result = tuple[Tensor, Tensor]


class Learner(ABC):
    """What all of them have in common. rule: its name, for summary.json."""

    backend = torch_backend
    rule = ""

    def __init__(self, net: BurstNetwork, world: Any = None) -> None:
        self.net, self._world = net, world
        self.format = torch_layout.format_of(net)
        if safe_format(net) == torch.contiguous_format:
            self.format = torch.contiguous_format
            torch_layout.lay(net, self.format)
        like = net.layers[-1].bias
        self._one_hot = torch.eye(len(like), dtype=like.dtype, device=like.device)

    def target(self, labels: Tensor) -> Tensor:
        """T (B, classes)."""
        return torch_labels.rows(labels, self._one_hot[:1].expand(len(labels), -1))

    def train_step(self, images: Tensor, labels: Tensor) -> Result:
        """Learn from images (B, ...), labels (B,); mean loss and number correct before that."""
        target = self._target(images, labels)
        return _figures(self._learn(self.place(images), target), target, labels)

    @abstractmethod
    def _learn(self, images: Tensor, target: Tensor) -> Tensor:
        """Update what learns; the output before that, detached."""

    @torch.no_grad()
    def eval_step(self, images: Tensor, labels: Tensor) -> Result:
        """Mean loss and number correct."""
        return _figures(self.net(self.place(images)), self._target(images, labels), labels)

    def _target(self, images: Tensor, labels: Tensor) -> Tensor:
        """T of labels that are as many as the images."""
        return torch_labels.rows(labels, self._one_hot[:1].expand(len(images), -1))

    def place(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in the order of the network's kernels; others as they are."""
        return torch_layout.laid(images, self.format) if images.dim() == 4 else images

    def credit(self, images: Tensor, labels: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """For each layer's W, the rule's descent direction and the gradient of the loss."""
        target, images = self._target(images, labels), self.place(images)
        true = self.net.backprop(images, target)
        factor = 2 / true.output.numel()  # from 1/2 the sum of squares to their mean
        found = {}
        for name, layer, mine, theirs in zip(
            self.net.names, self.net.layers, self._direction(images, labels), true.layers,
            strict=True,
        ):  # fmt: skip
            gradient = layer.gradients(theirs.delta, theirs.x)[0].mul_(factor)
            if mine is not None:
                found[name] = layer.gradients(mine.delta, mine.x)[0], gradient
        return found

    @abstractmethod
    def _direction(self, images: Tensor, labels: Tensor) -> list[LayerResult | None]:
        """What each layer would learn from; None for one that `credit` is to leave out."""

    def parameters(self) -> int:
        """How many numbers learn."""
        return sum(p.numel() for p in self.net.parameters() if p.requires_grad)

    def state(self) -> dict[str, Any]:
        """The network's tensors by name; they are not copies."""
        return dict(self.net.state_dict())

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, tensor in self.net.state_dict().items():
            tensor.copy_(state[name])


class BurstLearner(Learner):
    """Burstprop, with learned or fixed feedback as the network has it.

    watch    set it to True, and the next step measures `delta_angles` (L - 1,), before its update;
             a step without it costs nothing more
    average  measure them in every step; `delta_angles` is their mean since `forget_angles`
    """

    def __init__(
        self, net: BurstNetwork, update: BurstUpdate, *, average: bool = False, world: Any = None
    ) -> None:
        super().__init__(net, world)
        self.update, self.average, self.watch = update, average, False
        self._angles = torch.zeros_like(self._one_hot[0, :1]).repeat(len(net.names) - 1)
        self._angles, self._angle_steps = self._angles.double(), 0

    def _learn(self, images: Tensor, target: Tensor) -> Tensor:
        then = self.update.learn if self.update.one_by_one else None
        result = self.net.two_phase_pass(images, target, self.watch or self.average, then)
        if self.watch or self.average:
            self._measure(result)
        if then is None:
            self.update.step(result.layers)
        return result.output

    def _measure(self, result: PassResult) -> None:
        if not self.average:
            self.forget_angles()
        self._angles += delta_angles(self.net, result)
        self._angle_steps, self.watch = self._angle_steps + 1, False

    def look(self, images: Tensor, labels: Tensor) -> None:
        """Measure the delta angles of a batch without learning from it."""
        images = self.place(images)
        self._measure(self.net.two_phase_pass(images, self._target(images, labels), reference=True))

    @property
    def delta_angles(self) -> Tensor:
        """Degrees, hidden layers first to last."""
        return self._angles / max(self._angle_steps, 1)

    def forget_angles(self) -> None:
        """Begin a new mean."""
        self._angles.zero_()
        self._angle_steps = 0

    def feedback(self) -> dict[str, tuple[Tensor, Tensor]]:
        """W beside Y of every layer that sends bursts down."""
        layers = zip(self.net.names[1:], self.net.layers[1:], strict=True)
        return {n: (layer.weight, layer.weight_fa) for n, layer in layers
                if layer.weight_fa is not None}  # fmt: skip

    def _direction(self, images: Tensor, labels: Tensor) -> list[LayerResult | None]:
        return [*self.net.two_phase_pass(images, self._target(images, labels)).layers]

    def state(self) -> dict[str, Any]:
        """The network's tensors, the momenta, and the angles of an epoch that has begun."""
        angles = {"angles.sum": self._angles, "angles.steps": self._angle_steps}
        return super().state() | self.update.state() | angles

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        self.update.load_state(state)
        self._angles.copy_(state["angles.sum"])
        self._angle_steps = int(state["angles.steps"])


class BackpropLearner(Learner):
    """Backprop of the mean squared error, torch's SGD with its decay in the gradient (5.2)."""

    def __init__(
        self,
        net: BurstNetwork,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        world: Any = None,
    ) -> None:
        super().__init__(net, world)
        how: dict[str, Any] = {
            "lr": number("lr", lr, least=0),
            "momentum": number("momentum", momentum, least=0, most=1),
            "weight_decay": number("weight_decay", weight_decay, least=0),
            "fused": True,
        }
        self.optimiser = torch.optim.SGD(net.parameters(), **how)
        torch_optim.materialise(self.optimiser)

    def _learn(self, images: Tensor, target: Tensor) -> Tensor:
        output = self.net(images)
        self.optimiser.zero_grad()
        functional.mse_loss(output, target).backward()
        if self._world is not None:
            self._world.average_([p.grad for p in self.net.parameters() if p.grad is not None])
        self.optimiser.step()
        return output.detach()

    def _direction(self, images: Tensor, labels: Tensor) -> list[LayerResult | None]:
        return [*self.net.backprop(images, self._target(images, labels)).layers]

    def state(self) -> dict[str, Any]:
        """The network's tensors and the momenta."""
        return super().state() | torch_optim.state(self.optimiser)

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        torch_optim.load_state(self.optimiser, state)


class MatchedBackpropLearner(Learner):
    """Backprop in everything else like burstprop (burstprop, D12): the output's delta is
    burstprop's, rates, momentum and decay act in the same way; only what hidden layers learn from
    differs."""

    def __init__(
        self, net: BurstNetwork, update: BurstUpdate, p_baseline: float, world: Any = None
    ) -> None:
        super().__init__(net, world)
        self.update = update
        self.p_baseline = number("p_baseline", p_baseline, above=0, most=1)

    def _learn(self, images: Tensor, target: Tensor) -> Tensor:
        result = self.net.backprop(images, target)
        self.update.step([t._replace(delta=t.delta * self.p_baseline) for t in result.layers])
        return result.output

    def _direction(self, images: Tensor, labels: Tensor) -> list[LayerResult | None]:
        return [*self.net.backprop(images, self._target(images, labels)).layers]

    def state(self) -> dict[str, Any]:
        """The network's tensors and the momenta."""
        return super().state() | self.update.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        self.update.load_state(state)


class PerturbationLearner(Learner):
    """Node perturbation; its noise comes from torch's generators, which checkpoints hold."""

    def __init__(
        self,
        net: BurstNetwork,
        update: BurstUpdate,
        perturbation: Perturbation | OriginalPerturbation,
    ) -> None:
        super().__init__(net)
        self.update, self.perturbation = update, perturbation

    def _learn(self, images: Tensor, target: Tensor) -> Tensor:
        output, updates = self.perturbation.updates(images, target)
        for taught in updates:
            self.update.step(taught)
        return output

    def _direction(self, images: Tensor, labels: Tensor) -> list[LayerResult | None]:
        walk = self.perturbation.walk.place
        _, updates = self.perturbation.updates(images, self._target(images, labels))
        found: list[LayerResult | None] = [None] * len(self.net.names)
        for taught in updates:
            found = [a or b for a, b in zip(found, taught, strict=True)]
        self.perturbation.walk.place = walk
        return found

    def state(self) -> dict[str, Any]:
        """The network's tensors, the momenta, the unit whose turn it is."""
        layer, unit = self.perturbation.walk.place
        walk = {"walk.layer": layer, "walk.unit": unit}
        return super().state() | self.update.state() | walk

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        self.update.load_state(state)
        self.perturbation.walk.place = int(state["walk.layer"]), int(state["walk.unit"])


def _figures(output: Tensor, target: Tensor, labels: Tensor) -> Result:
    return functional.mse_loss(output, target), torch_labels.correct(output, labels)
