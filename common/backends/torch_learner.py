"""What the PyTorch learners of the papers have in common: all but the rule.

A paper's learner derives from `TorchLearner` directly and writes `update`, unless autograd's
gradient in a torch optimiser is its rule, and what else is its own: how images are laid out
(`place`), what an audit compares (`credit`), feedback weights (`feedback`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.backends import torch_backend, torch_distributed, torch_layout, torch_optim
from common.backends.protocols import Backend, State
from common.doors import torch_labels

Net = TypeVar("Net", bound=nn.Module)
Pairs = dict[str, tuple[Tensor, Tensor]]


class Part(Protocol):
    """What a learner remembers beside its network and its optimiser."""

    def state(self) -> State: ...
    def load_state(self, saved: Mapping[str, Any]) -> None: ...


def cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of logits (N, C) and labels, in float32 where autocast was narrower."""
    return functional.cross_entropy(
        torch_backend.wide(outputs), torch_labels.classes(labels, outputs)
    )


class TorchLearner(Generic[Net]):
    """A learner (see `common.backends.protocols`) around a network.

    net            on its device and in its precision
    memory_format  of convolutions' weights and of images
    optimiser      one that has not stepped yet; None: `update` moves the weights by itself, and
                   there is no attribute `optimiser`
    parts          what else a checkpoint holds
    loss           (outputs (N, C), labels) -> mean loss
    precision      "bfloat16": autocast over float32
    compile        torch.compile the network
    world          processes that train along (`common.backends.torch_distributed`), whose
                   gradients by autograd are averaged; a rule that makes its own averages them
    """

    backend: Backend = torch_backend
    counts: tuple[str, ...] = ()  # or ("top5",)
    idle: bool = False  # whether autograd gives some parameters nothing (several processes ask)
    optimiser: torch.optim.Optimizer

    def __init__(
        self,
        net: Net,
        memory_format: torch.memory_format,
        optimiser: torch.optim.Optimizer | None = None,
        parts: Sequence[Part] = (),
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        *,
        precision: str = "float32",
        compile: bool = False,
        world: torch_distributed.World | None = None,
    ) -> None:
        torch_layout.lay(net, memory_format)
        self.net, self.format, self.loss, self.precision = net, memory_format, loss, precision
        self.device = next(net.parameters()).device
        self._parts = list(parts)
        if optimiser is not None:
            self.optimiser = optimiser
            self._parts.insert(0, torch_optim.Remembered(optimiser))
        self._world = world
        self._in_training = torch_distributed.in_training(net, world, compile, self.idle)

    def train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Learn from images (N, C, H, W), labels (N,); mean loss and hits before the update."""
        return self._figures(self.update(images, labels).detach(), labels)

    def update(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; the outputs (N, C) before it."""
        outputs = self.differentiate(images, labels)
        self.optimiser.step()
        return outputs

    @torch.no_grad()
    def eval_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Mean loss and hits, with running statistics."""
        self.net.eval()
        # Processes need not have equally many test batches, so none may wait for another here.
        one_process = self._world is None or self._world.size == 1
        return self._figures(
            self.outputs(images, self._in_training if one_process else None), labels
        )

    def outputs(self, images: Tensor, forward: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Of the network (N, C), or of another `forward` that stands for it."""
        with torch_backend.autocast(self.device, self.precision):
            return (forward or self.net)(self.place(images))

    def place(self, images: Tensor) -> Tensor:
        """Images as the network takes them."""
        return torch_layout.laid(images, self.format)

    def differentiate(self, images: Tensor, labels: Tensor) -> Tensor:
        """The mean loss's gradients, by autograd, where the optimiser reads them; the outputs."""
        self.net.train()
        self.optimiser.zero_grad(set_to_none=True)
        outputs = self.outputs(images, self._in_training)
        torch.autograd.backward(self.loss(outputs, labels))
        return outputs

    def backprop_gradients(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """For each convolution and linear layer that learns, the gradient of the mean loss, by
        autograd; nothing changes."""
        weights = {
            name: layer.weight
            for name, layer in self.net.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.requires_grad
        }
        self.net.train()
        with torch_backend.kept_buffers(self.net):
            loss = self.loss(self.outputs(images), labels)
            return dict(zip(weights, torch.autograd.grad(loss, [*weights.values()]), strict=True))

    def credit(self, images: Tensor, labels: Tensor) -> Pairs:
        """For each layer's W, the rule's descent direction and backprop's gradient: one and the
        same where backprop is the rule."""
        return {name: (g, g) for name, g in self.backprop_gradients(images, labels).items()}

    def parameters(self) -> int:
        """How many numbers learn."""
        return sum(p.numel() for p in self.net.parameters() if p.requires_grad)

    def set_lr(self, lr: float | Sequence[float]) -> None:
        """The learning rate of the steps that follow; several: one a parameter group."""
        groups = self.optimiser.param_groups
        rates = lr if isinstance(lr, Sequence) else [lr] * len(groups)
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate

    def share_statistics(self) -> None:
        """Running statistics of the first process for all, so that they test one network."""
        if self._world is not None:
            self._world.broadcast_(self.net.buffers())

    def state(self) -> State:
        """Parameters and buffers by name, and what the optimiser and the other parts remember;
        tensors are not copies."""
        parts = (part.state() for part in self._parts)
        return {
            name: value for each in (self.net.state_dict(), *parts) for name, value in each.items()
        }

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, tensor in self.net.state_dict().items():
            tensor.copy_(state[name])
        for part in self._parts:
            part.load_state(state)

    def _figures(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Mean loss, number correct, and whatever else `counts` names."""
        loss = self.loss(outputs, labels)
        if not self.counts:
            return loss, torch_labels.correct(outputs, labels)
        five = torch_backend.wide(outputs).topk(min(5, outputs.shape[1])).indices
        hits = five == torch_labels.classes(labels, outputs)[:, None]
        return loss, hits[:, 0].sum(), hits.sum()
