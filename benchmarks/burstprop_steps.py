"""Burstprop's steps: batch 32, momentum, beside backprop of the same net with torch's fused SGD.

    bp                 autograd, channels-last like the rules, no gradient for the images
    learned, fixed     feedback weights that learn or stay; _rec: with recurrent apical input
    perturbation       node perturbation, all layers at once; _original: in the program's form
    learned_rec_angles measuring delta angles in every step (off in training but for one step)

CIFAR-10's net with fixed feedback has the narrow one's width here, unlike in `train_cifar10`.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.steps import Case

FRAMEWORKS = ("torch",)
TIMING = {"block": 4, "warm_up": 8}
BATCH = 32
SHAPES = {"fc3": (784,), "mnist_conv": (1, 28, 28), "cifar10": (3, 32, 32)}
RULES = ("bp", "learned_rec", "learned", "fixed_rec", "fixed", "perturbation",
         "perturbation_original", "learned_rec_angles")  # fmt: skip


def cases(framework: str, device: str, depth: bool) -> list[Case]:
    """Every rule of the three nets."""
    import torch

    found = []
    for net, shape in SHAPES.items():
        images = torch.randn(BATCH, *shape, device=device)
        if len(shape) == 3:
            images = images.contiguous(memory_format=torch.channels_last)
        labels = torch.randint(10, (BATCH,), device=device)
        for rule in RULES:
            step = _learner(net, rule, device)
            found.append(Case(net, rule, BATCH, lambda s=step, x=images, y=labels: s(x, y)))  # type: ignore[misc]
    return found


def _learner(net_name: str, rule: str, device: str) -> Callable[[Any, Any], object]:
    """The training step of a rule."""
    import torch

    from burstprop import networks
    from burstprop.learner import BackpropLearner, BurstLearner, PerturbationLearner
    from burstprop.original_perturbation import OriginalPerturbation
    from burstprop.perturbation import Noise, Perturbation
    from burstprop.update import BurstUpdate

    kind, *more = rule.split("_")
    how: dict[str, Any] = {"feedback": kind if kind in ("learned", "fixed") else None}
    how["recurrent"] = "learned" if "rec" in more else None
    make = {"fc3": networks.mnist, "mnist_conv": networks.mnist_conv, "cifar10": networks.cifar10}
    net = make[net_name](**how).to(device).to(memory_format=torch.channels_last)
    if kind == "bp":
        return BackpropLearner(net, 1e-4, 0.9, 1e-6).train_step
    rates = [1e-4] * len(net.names)
    update = BurstUpdate(net, rates, momentum=0.9, weight_decay=1e-6, recurrent_lr=1e-6)
    if kind == "perturbation":
        form = OriginalPerturbation if "original" in more else Perturbation
        return PerturbationLearner(net, update, form(net, "all", Noise(), 0.001)).train_step
    return BurstLearner(net, update, average="angles" in more).train_step
