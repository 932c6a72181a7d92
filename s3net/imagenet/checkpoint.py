"""The original's checkpoint.pth.tar: `common.backends.torch_pth_tar` with two best accuracies."""

from pathlib import Path

from common.backends import torch_pth_tar
from s3net.imagenet.learner import Learner
from s3net.stored import Stored
from s3net.stored import load as load_weights

BEST = {"top1": "best_acc1", "top5": "best_acc5"}


def save(folder: Path, learner: Learner, epoch: int, arch: str, *, best: bool) -> None:
    """Write checkpoint.pth.tar after so many epochs, and model_best.pth.tar where it is the best
    one."""
    torch_pth_tar.save(
        folder,
        learner.net,
        learner.optimiser,
        epoch,
        {BEST[name]: value for name, value in learner.best.items()},
        "model_best.pth.tar" if best else None,
        arch=arch,
    )


def load(learner: Learner, path: Path) -> int:
    """Take over a checkpoint.pth.tar; its number of epochs. UserError where it is none, or is of
    another network."""
    held = torch_pth_tar.read(path, tuple(BEST.values()))
    load_weights(learner.net, Stored(held.weights, {}), path)
    momenta = torch_pth_tar.by_number(learner.net, held.optimizer, path)
    torch_pth_tar.load_momenta(learner.net, learner.optimiser, momenta, path)
    learner.best = dict(zip(BEST, held.best, strict=True))
    return held.epoch
