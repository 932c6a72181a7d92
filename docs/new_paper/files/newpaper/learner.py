"""Training a network with the rule: gradients, then one call of a torch optimiser."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from common.backends import torch_backend, torch_optim
from common.doors import torch_images, torch_labels
from common.errors import unknown
from newpaper.networks import Network
from newpaper.rule import RULES, gradients


class Learner:
    """A learner (see `common.runs.run`) around one of the paper's networks.

    rule            one of `newpaper.rule.RULES`; another one is an ArgumentError
    lr              of gradient descent with momentum
    sum_over_batch  (newpaper, D1)
    """

    backend = torch_backend

    def __init__(
        self,
        net: Network,
        rule: str = "drtp",
        *,
        lr: float = 0.02,
        momentum: float = 0.9,
        sum_over_batch: bool = False,
    ) -> None:
        if rule not in RULES:
            raise unknown("rule", rule, RULES)
        self.net, self.rule, self.sum_over_batch = net, rule, sum_over_batch
        parameters = [*net.W, *net.b]
        self.optimiser = torch.optim.SGD(parameters, lr=lr, momentum=momentum, fused=True)
        torch_optim.materialise(self.optimiser)

    @torch.no_grad()
    def train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One update from images (N, n_0), labels (N,); mean loss and number correct before."""
        dW, db, logits, labels = self._gradients(images, labels, self.rule)
        for parameter, gradient in zip([*self.net.W, *self.net.b], [*dW, *db], strict=True):
            parameter.grad = gradient
        self.optimiser.step()
        loss = functional.cross_entropy(logits, labels)
        return loss, torch_labels.correct(logits, labels)

    @torch.no_grad()
    def eval_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss and number correct."""
        logits = self.net(self._images(images))
        labels = torch_labels.classes(labels, logits)
        return functional.cross_entropy(logits, labels), torch_labels.correct(logits, labels)

    @torch.no_grad()
    def credit(self, images: Tensor, labels: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """For each layer's W the rule's descent direction and backprop's gradient."""
        ours, true = (self._gradients(images, labels, rule)[0] for rule in (self.rule, "bp"))
        return {f"W{i}": pair for i, pair in enumerate(zip(ours, true, strict=True), 1)}

    def parameters(self) -> int:
        """How many numbers learn."""
        return sum(p.numel() for p in self.net.parameters())

    def state(self) -> dict[str, Any]:
        """The network by its own names, and the optimiser's momenta."""
        return self.net.state_dict() | torch_optim.state(self.optimiser)

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, value in self.state().items():
            if isinstance(value, Tensor):
                value.copy_(state[name])
        torch_optim.load_state(self.optimiser, state)

    def _images(self, images: Tensor) -> Tensor:
        return torch_images.batch(images, self.net.W[0], [self.net.sizes[0]])

    def _gradients(
        self, images: Tensor, labels: Tensor, rule: str
    ) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
        x, net = self._images(images), self.net
        like = x.new_empty(len(x), net.sizes[-1])
        labels = torch_labels.classes(labels, like)
        y = torch_labels.rows(labels, like)
        result, logits = gradients(list(net.W), list(net.b), net.B, x, y, rule, self.sum_over_batch)
        return result.W, result.b, logits, labels
