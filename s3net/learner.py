"""Training one of the networks: plain backpropagation, as everything in this paper is trained."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.backends import torch_backend, torch_distributed, torch_layout, torch_optim
from common.backends.torch_convolution import safe_format
from common.doors import torch_labels


class Learner:
    """A learner (see `common.runs.run`): cross-entropy, SGD with momentum, decay on every
    parameter.

    net         on its device and in its precision; it and its images are put into channels-last
                memory, unless a weight gradient would corrupt it
                (`common.backends.torch_convolution`)
    size        images are enlarged to size x size first (bilinear); None: as they come
    precision   "bfloat16": autocast
    compile     torch.compile the network
    world       processes that train along (`common.backends.torch_distributed`)
    """

    backend = torch_backend

    def __init__(
        self,
        net: nn.Module,
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        size: int | None = None,
        precision: str = "float32",
        compile: bool = False,
        world: Any = None,
    ) -> None:
        self.net, self.format = net, safe_format(net)
        torch_layout.lay(net, self.format)
        self.size, self.precision = size, precision
        self.device = next(net.parameters()).device
        self.optimiser = torch.optim.SGD(
            net.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True
        )
        torch_optim.materialise(self.optimiser)
        self._world = world
        self._forward = torch_distributed.in_training(net, world, compile)

    def train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """One update from images (N, C, H, W), labels (N,); mean loss and number correct before."""
        self.net.train()
        self.optimiser.zero_grad(set_to_none=True)
        loss, logits = self._loss(self._forward, images, labels)
        loss.backward()
        self.optimiser.step()
        return loss.detach(), *self._hits(logits.detach(), labels)

    @torch.no_grad()
    def eval_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Mean loss and number correct, with running statistics."""
        self.net.eval()
        # Processes need not have equally many test batches, so none may wait for another here.
        alone = self._world is None or self._world.size == 1
        loss, logits = self._loss(self._forward if alone else self.net, images, labels)
        return loss, *self._hits(logits, labels)

    def share_statistics(self) -> None:
        """Running statistics of the first process for all, so that they test one network."""
        if self._world is not None:
            self._world.broadcast_(self.net.buffers())

    def credit(self, images: Tensor, labels: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """For each convolution and the classifier, the update's direction beside the gradient of
        the whole net by a second, unwired route: torch.func over a stateless call."""
        names = [
            f"{name}.weight"
            for name, layer in self.net.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear)
        ]
        parameters = dict(self.net.named_parameters())
        self.net.train()
        drawn = torch_backend.rng_state()  # both routes drop the same units
        with torch_backend.kept_buffers(self.net):
            loss, _ = self._loss(self.net, images, labels)
            mine = torch.autograd.grad(loss, [parameters[name] for name in names])

        def whole(weights: dict[str, Tensor]) -> Tensor:
            state = weights | {name: b.clone() for name, b in self.net.named_buffers()}
            call = lambda x: torch.func.functional_call(self.net, state, (x,))  # noqa: E731
            return self._loss(call, images, labels)[0]

        torch_backend.load_rng_state(drawn)
        theirs = torch.func.grad(whole)({n: p.detach() for n, p in parameters.items()})
        return {name: (g, theirs[name]) for name, g in zip(names, mine, strict=True)}

    def parameters(self) -> int:
        """How many numbers learn."""
        return sum(p.numel() for p in self.net.parameters())

    def set_lr(self, lr: float) -> None:
        """The learning rate of the steps that follow."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def state(self) -> dict[str, Any]:
        """Parameters and buffers by name, momenta."""
        return self.net.state_dict() | torch_optim.state(self.optimiser)

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, value in self.net.state_dict().items():
            value.copy_(state[name])
        torch_optim.load_state(self.optimiser, state)

    def _hits(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """The number correct, and whatever else `counts` names."""
        return (torch_labels.correct(logits, labels),)

    def _loss(self, forward: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._logits(forward, images)
        labels = torch_labels.classes(labels, logits)
        with torch_backend.autocast(self.device, self.precision):
            return functional.cross_entropy(logits, labels), logits

    def _logits(self, forward: Any, images: Tensor) -> Tensor:
        if self.size is not None and images.shape[-1] != self.size:
            smaller = images.shape[-1] > self.size  # Pillow averages where it shrinks
            images = functional.interpolate(
                images, (self.size, self.size), mode="bilinear", antialias=smaller
            )
        images = torch_layout.laid(images, self.format)
        with torch_backend.autocast(self.device, self.precision):
            return forward(images)
