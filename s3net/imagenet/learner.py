"""Training on ImageNet: top-5 beside top-1, ten crops of an image, the original's checkpoint."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.backends import torch_backend
from common.backends.protocols import State
from common.backends.torch_convolution import safe_format
from common.backends.torch_distributed import World
from common.backends.torch_files import read_pth, tensors
from common.backends.torch_learner import TorchLearner
from common.errors import UserError
from s3net.learner import sgd
from s3net.stored import Stored, load

NEEDED = ("epoch", "state_dict", "best_acc1", "best_acc5", "optimizer")


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

    def original(self, epoch: int, arch: str) -> dict[str, Any]:
        """What the original's checkpoint.pth.tar holds after so many epochs: plain tensors."""
        return {
            "epoch": epoch,
            "arch": arch,
            "state_dict": {n: t.contiguous() for n, t in self.net.state_dict().items()},
            "best_acc1": self.best["top1"],
            "best_acc5": self.best["top5"],
            "optimizer": self.optimiser.state_dict(),
        }

    @torch.no_grad()
    def load_original(self, path: Path) -> int:
        """Take over a checkpoint.pth.tar; its number of epochs. UserError where it is none, or is
        of another network."""
        found = read_pth(path)
        lacking = [n for n in NEEDED if not isinstance(found, dict) or n not in found]
        if lacking:
            raise UserError(f"{path}: not a checkpoint of this program: it has no '{lacking[0]}'")
        try:
            best = {"top1": float(found["best_acc1"]), "top5": float(found["best_acc5"])}
            epoch = int(found["epoch"])
        except (TypeError, ValueError, RuntimeError, OverflowError):  # of a tensor: a RuntimeError
            raise UserError(f"{path}: epoch, best_acc1 and best_acc5 must be numbers") from None
        # The original's best accuracies are tensors of 0; ours of no epoch yet are -1.
        if epoch < 0 or not all(-1 <= value <= 100 for value in best.values()):
            raise UserError(f"{path}: epoch (={epoch}) must be >= 0, {best} percentages")
        load(self.net, Stored(tensors(found["state_dict"], path), {}), path)
        optimizer = found["optimizer"]
        momenta = optimizer.get("state", {}) if isinstance(optimizer, dict) else None
        if not isinstance(momenta, dict):
            raise UserError(f"{path}: its optimizer is no state dict")
        for i, parameter in enumerate(self.net.parameters()):
            # A network that has not taken a step yet has none.
            entry = momenta.get(i, {})
            momentum = entry.get("momentum_buffer") if isinstance(entry, dict) else entry
            held = self.optimiser.state[parameter]["momentum_buffer"]
            if momentum is None:
                held.zero_()
            elif not isinstance(momentum, Tensor):
                raise UserError(f"{path}: momentum {i} is no tensor")
            elif momentum.shape != held.shape:
                raise UserError(f"{path}: momentum {i} has shape {list(momentum.shape)}, not "
                                f"{list(held.shape)}")  # fmt: skip
            else:
                held.copy_(momentum)
        self.best = best
        return epoch
