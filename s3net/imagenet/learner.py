"""Training on ImageNet: top-5 beside top-1, ten crops of an image."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from common.backends import torch_backend
from common.backends.protocols import State
from common.backends.torch_convolution import safe_format
from common.backends.torch_distributed import World
from common.backends.torch_learner import TorchLearner
from s3net.learner import sgd


class Learner(TorchLearner[nn.Module]):
    """As `s3net.learner.Learner`, and counts top-5, averages the logits of several crops, and
    remembers the best accuracies (percent) of all epochs before."""

    counts = ("top5",)

    def __init__(
        self,
        net: nn.Module,
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        precision: str = "float32",
        compile: bool = False,
        world: World | None = None,
    ) -> None:
        super().__init__(
            net,
            safe_format(net),
            sgd(net, lr, momentum, weight_decay),
            precision=precision,
            compile=compile,
            world=world,
        )
        self.best = {"top1": -1.0, "top5": -1.0}

    def outputs(self, images: Tensor, forward: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W), or means over crops (N, crops, C, H, W)."""
        if images.dim() == 4:
            return super().outputs(images, forward)
        logits = super().outputs(images.flatten(0, 1), forward)
        # Of autocast: eight bits are too few for a mean.
        return torch_backend.wide(logits).view(*images.shape[:2], -1).mean(1)

    def state(self) -> State:
        """As `TorchLearner.state`, and the best accuracies."""
        return super().state() | {f"best.{name}": value for name, value in self.best.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        super().load_state(state)
        self.best = {name: state[f"best.{name}"] for name in self.best}
