"""Training the ImageNet network: hand-made gradients of burstprop, or autograd's, in torch's SGD or
Adam (burstprop, 5.4.5, 5.4.6).

The decay is in the gradient, so biases and learned feedback decay too; what has no gradient (fixed
feedback, and what `requires_grad` freezes) does not. Y gets W's gradient, hence W - Y depends on
nothing but its beginning.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from burstprop.layers import BurstLayer
from burstprop.networks import BurstNetwork
from burstprop.update import rates
from common.backends import torch_backend
from common.backends.protocols import State
from common.backends.torch_convolution import safe_format
from common.backends.torch_distributed import World
from common.backends.torch_learner import Pairs, TorchLearner
from common.doors import torch_labels
from common.doors.arguments import number

MakeOptimiser = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


class Learner(TorchLearner[BurstNetwork]):
    """A learner (see `common.backends.torch_learner`): cross-entropy, top-1 and top-5.

    net             on its device and in its precision; rectified, with a softmax output. Burstprop
                    trains it if it has feedback weights, backprop otherwise
    lr              one rate a layer
    make_optimiser  parameter groups -> torch optimiser: `sgd` or `adam` below
    precision       "bfloat16": convolutions and products in bfloat16, the equations in float32
    world           processes that train along (`common.backends.torch_distributed`)
    """

    counts = ("top5",)

    def __init__(
        self,
        net: BurstNetwork,
        lr: list[float],
        make_optimiser: MakeOptimiser,
        *,
        precision: str = "float32",
        world: World | None = None,
    ) -> None:
        last = net.layers[-1]
        self.bursts, self.rule = last.weight_fa is not None, "backprop"
        groups: list[dict[str, Any]] = [{"params": list(net.parameters())}]  # as the original has
        if self.bursts:
            self.rule = "burstprop" if last.learns_feedback else "feedback_alignment"
            groups = [{"params": list(layer.parameters())} for layer in net.layers]
        super().__init__(
            net,
            safe_format(net),
            make_optimiser(groups),
            precision=precision,
            world=None if self.bursts else world,
        )
        self._together = world  # whose gradients of burstprop are added up
        self.best = 0.0  # top-1 accuracy in percent, of any epoch so far
        self.set_lr(lr)

    def update(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; the logits (N, classes) before it."""
        if not self.bursts:
            return super().update(images, labels)
        logits = self._differentiate_bursts(images, labels)
        self.optimiser.step()
        return logits

    @torch.no_grad()
    def _differentiate_bursts(self, images: Tensor, labels: Tensor) -> Tensor:
        logits, gradients = self.gradients(images, labels)
        if self._together is not None:
            self._together.sum_(list(gradients.values()))
        for name, layer in zip(self.net.names, self.net.layers, strict=True):
            for what, W in (("weight", layer.weight), ("bias", layer.bias)):
                W.grad = gradients[f"{name}.{what}"] if W.requires_grad else None
            if layer.learns_feedback:
                layer.weight_fa.grad = layer.weight.grad
            elif isinstance(layer.weight_fa, nn.Parameter):  # frozen, itself or with its W
                layer.weight_fa.grad = None
        return logits

    def gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Burstprop's: logits (B, classes), and by layer G_W and G_bias as `conv1.weight`, sums
        over the batch; G_Y is G_W."""
        outputs = self.net.layers[-1].bias.detach().expand(len(images), -1)
        labels = torch_labels.classes(labels, outputs)
        with torch.no_grad(), torch_backend.autocast(self.device, self.precision):
            result = self.net.two_phase_pass(self.place(images), labels)
            gradients: dict[str, Tensor] = {}
            for name, layer, each in zip(
                self.net.names, self.net.layers, result.layers, strict=True
            ):
                G_W, G_bias = self._layer_gradients(layer, each.delta, each.x)
                gradients |= {f"{name}.weight": G_W, f"{name}.bias": G_bias}
        return result.output, gradients

    def _layer_gradients(self, layer: BurstLayer, delta: Tensor, x: Tensor) -> list[Tensor]:
        if self.precision == "bfloat16":  # autocast does not know the gradient of a convolution
            delta, x = delta.bfloat16(), x.bfloat16()
        dtype = layer.weight.dtype
        return [gradient.to(dtype) for gradient in layer.gradients(delta, x)]

    def place(self, images: Tensor) -> Tensor:
        """Images as the network takes them."""
        images = super().place(images)
        return images.bfloat16() if self.precision == "bfloat16" else images

    def credit(self, images: Tensor, labels: Tensor) -> Pairs:
        """For each layer's W, the rule's descent direction and the gradient of the summed
        cross-entropy: at the output, the first is p_baseline times the second."""
        weights = [layer.weight for layer in self.net.layers]
        loss = self.loss(self.outputs(images), labels) * len(images)
        true = dict(zip(self.net.names, torch.autograd.grad(loss, weights), strict=True))
        if not self.bursts:
            return {name: (g, g) for name, g in true.items()}
        _, mine = self.gradients(images, labels)
        return {name: (mine[f"{name}.weight"], g) for name, g in true.items()}

    def feedback(self) -> Pairs:
        """W beside Y, of every layer; nobody hears the first one's."""
        layers = zip(self.net.names, self.net.layers, strict=True)
        return {
            name: (layer.weight, layer.weight_fa)
            for name, layer in layers
            if layer.weight_fa is not None
        }

    def set_lr(self, lr: float | Sequence[float]) -> None:
        """The rates of the steps that follow, one a layer; with backprop the last one is all's."""
        each = rates(lr, len(self.net.names))
        super().set_lr(each if self.bursts else each[-1:])

    def state(self) -> State:
        """As `TorchLearner.state`, and the best accuracy."""
        return super().state() | {"best": self.best}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        self.best = state["best"]


def sgd(momentum: float = 0.9, weight_decay: float = 1e-4) -> MakeOptimiser:
    """torch's SGD, fused, decay in the gradient. ArgumentError out of range."""
    number("momentum", momentum, least=0, most=1)
    number("weight_decay", weight_decay, least=0)
    return lambda groups: torch.optim.SGD(
        groups, lr=0.0, momentum=momentum, weight_decay=weight_decay, fused=True
    )


def adam() -> MakeOptimiser:
    """torch's Adam, fused, with the original's constants and without decay."""
    return lambda groups: torch.optim.Adam(groups, lr=0.0, betas=(0.9, 0.99), eps=0.1, fused=True)
