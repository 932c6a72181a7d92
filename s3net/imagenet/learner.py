"""Training on ImageNet: top-5 beside top-1, ten crops of an image."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from common.doors import torch_labels
from s3net import learner


class Learner(learner.Learner):
    """`s3net.learner.Learner` that also counts top-5, averages the logits of several crops, and
    remembers the best accuracies (percent) of all epochs before."""

    counts = ("top5",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.best = {"top1": -1.0, "top5": -1.0}

    def state(self) -> dict[str, Any]:
        """Parameters and buffers by name, momenta, best accuracies."""
        return super().state() | {f"best.{name}": value for name, value in self.best.items()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        self.best = {name: state[f"best.{name}"] for name in self.best}

    def _hits(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        five = logits.topk(min(5, logits.shape[1]), 1).indices
        hits = five == torch_labels.classes(labels, logits)[:, None]
        return hits[:, 0].sum(), hits.sum()

    def _loss(self, forward: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if images.dim() == 4:
            return super()._loss(forward, images, labels)
        n, crops = images.shape[:2]  # (N, crops, C, H, W)
        logits = self._logits(forward, images.flatten(0, 1))
        if logits.dtype == torch.bfloat16:  # of autocast: eight bits are too few for a mean
            logits = logits.float()
        mean = logits.view(n, crops, -1).mean(1)
        return functional.cross_entropy(mean, torch_labels.classes(labels, mean)), mean
