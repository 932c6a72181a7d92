"""Training the ImageNet network: hand-made gradients of burstprop, or autograd's, in torch's SGD or
Adam (burstprop, 5.4.5, 5.4.6).

The decay is in the gradient, so biases and learned feedback decay too; what has no gradient (fixed
feedback, and what `requires_grad` freezes) does not. Y gets W's gradient, hence W - Y depends on
nothing but its beginning.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from burstprop.imagenet.rule import wide
from burstprop.layers import BurstLayer
from burstprop.networks import BurstNetwork
from burstprop.update import rates
from common.backends import torch_backend, torch_layout, torch_optim
from common.backends.torch_convolution import safe_format
from common.doors import torch_labels
from common.doors.arguments import number

MakeOptimiser = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


class Learner:
    """A learner (see `common.runs.run`): cross-entropy, top-1 and top-5.

    net             on its device and in its precision; rectified, with a softmax output. Burstprop
                    trains it if it has feedback weights, backprop otherwise
    lr              one rate a layer
    make_optimiser  parameter groups -> torch optimiser: `sgd` or `adam` below
    precision       "bfloat16": convolutions and products in bfloat16, the equations in float32
    world           processes that train along (`common.backends.torch_distributed`)
    """

    backend = torch_backend
    counts = ("top5",)

    def __init__(
        self,
        net: BurstNetwork,
        lr: list[float],
        make_optimiser: MakeOptimiser,
        *,
        precision: str = "float32",
        world: Any = None,
    ) -> None:
        self.net, self.format = net, safe_format(net)
        torch_layout.lay(net, self.format)
        self.precision, self._world = precision, world
        self.device = net.layers[0].weight.device
        last = net.layers[-1]
        self.bursts = last.weight_fa is not None
        self.rule = "backprop"
        if self.bursts:
            self.rule = "burstprop" if last.learns_feedback else "feedback_alignment"
        self.best = 0.0  # top-1 accuracy in percent, of any epoch so far
        if self.bursts:
            groups = [{"params": list(layer.parameters())} for layer in net.layers]
        else:  # as the original has them
            groups = [{"params": list(net.parameters())}]
        self.optimiser = make_optimiser(groups)
        self.set_lr(lr)
        torch_optim.materialise(self.optimiser)

    def train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """One update from images (B, 3, H, W), labels (B,); mean loss and hits before it."""
        labels = self._labels(images, labels)
        logits = (self._burst if self.bursts else self._backprop)(images, labels)
        self.optimiser.step()
        return self._figures(logits.detach(), labels)

    @torch.no_grad()
    def eval_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Mean loss, number correct, number whose class is among the five best."""
        return self._figures(self._forward(images), self._labels(images, labels))

    def _labels(self, images: Tensor, labels: Tensor) -> Tensor:
        """Classes (B,) of labels that are as many as the images."""
        outputs = self.net.layers[-1].bias.detach().expand(len(images), -1)
        return torch_labels.classes(labels, outputs)

    def gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Burstprop's: logits (B, classes), and by layer G_W and G_bias as `conv1.weight`, sums
        over the batch; G_Y is G_W."""
        with torch.no_grad(), self._autocast():
            result = self.net.two_phase_pass(self._place(images), labels)
            found: dict[str, Tensor] = {}
            for name, layer, taught in zip(
                self.net.names, self.net.layers, result.layers, strict=True
            ):
                G_W, G_bias = self._layer_gradients(layer, taught.delta, taught.x)
                found |= {f"{name}.weight": G_W, f"{name}.bias": G_bias}
        return result.output, found

    def _layer_gradients(self, layer: BurstLayer, delta: Tensor, x: Tensor) -> list[Tensor]:
        if self.precision == "bfloat16":  # autocast does not know the gradient of a convolution
            delta, x = delta.bfloat16(), x.bfloat16()
        dtype = layer.weight.dtype
        return [gradient.to(dtype) for gradient in layer.gradients(delta, x)]

    @torch.no_grad()
    def _burst(self, images: Tensor, labels: Tensor) -> Tensor:
        logits, gradients = self.gradients(images, labels)
        if self._world is not None:
            self._world.sum_(list(gradients.values()))
        for name, layer in zip(self.net.names, self.net.layers, strict=True):
            for what, W in (("weight", layer.weight), ("bias", layer.bias)):
                W.grad = gradients[f"{name}.{what}"] if W.requires_grad else None
            if layer.learns_feedback:
                layer.weight_fa.grad = layer.weight.grad
            elif isinstance(layer.weight_fa, nn.Parameter):  # frozen, itself or with its W
                layer.weight_fa.grad = None
        return logits

    def _backprop(self, images: Tensor, labels: Tensor) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        logits = self._forward(images)
        functional.cross_entropy(wide(logits), labels).backward()
        if self._world is not None:
            self._world.average_([p.grad for p in self.net.parameters() if p.grad is not None])
        return logits

    def _forward(self, images: Tensor) -> Tensor:
        with self._autocast():
            return self.net(self._place(images))

    def _autocast(self) -> Any:
        return torch_backend.autocast(self.device, self.precision)

    def _place(self, images: Tensor) -> Tensor:
        images = torch_layout.laid(images, self.format)
        return images.bfloat16() if self.precision == "bfloat16" else images

    def _figures(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        logits = wide(logits)
        best = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
        return functional.cross_entropy(logits, labels), best[:, 0].sum(), best.sum()

    def credit(self, images: Tensor, labels: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """For each layer's W, the rule's descent direction and the gradient of the summed
        cross-entropy: at the output, the first is p_baseline times the second."""
        weights, labels = (
            [layer.weight for layer in self.net.layers],
            self._labels(images, labels),
        )
        loss = functional.cross_entropy(wide(self._forward(images)), labels, reduction="sum")
        true = torch.autograd.grad(loss, weights)
        if not self.bursts:
            return {name: (g, g) for name, g in zip(self.net.names, true, strict=True)}
        _, mine = self.gradients(images, labels)
        return {
            name: (mine[f"{name}.weight"], g) for name, g in zip(self.net.names, true, strict=True)
        }

    def feedback(self) -> dict[str, tuple[Tensor, Tensor]]:
        """W beside Y, of every layer; nobody hears the first one's."""
        layers = zip(self.net.names, self.net.layers, strict=True)
        return {
            name: (layer.weight, layer.weight_fa)
            for name, layer in layers
            if layer.weight_fa is not None
        }

    def parameters(self) -> int:
        """How many numbers learn."""
        return sum(p.numel() for p in self.net.parameters() if p.requires_grad)

    def set_lr(self, lr: list[float]) -> None:
        """The rates of the steps that follow, one a layer; with backprop the last one is all's."""
        lr = rates(lr, len(self.net.names))
        for group, rate in zip(
            self.optimiser.param_groups, lr if self.bursts else lr[-1:], strict=True
        ):
            group["lr"] = rate

    def state(self) -> dict[str, Any]:
        """Weights and the optimiser's state, by name; tensors are not copies."""
        return self.net.state_dict() | torch_optim.state(self.optimiser) | {"best": self.best}

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, tensor in self.net.state_dict().items():
            tensor.copy_(state[name])
        torch_optim.load_state(self.optimiser, state)
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
