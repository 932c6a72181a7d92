"""S3Net's steps. Nothing here is a rule: all train by backprop, so what is compared is the wiring.

small_64     networks of 0.31 million parameters, batch 64 at 64 x 64: `bp` is the residual wiring,
             `s3net` the sparse one, `densenet` the dense one
<net>_map    `fullgrad`: saliency maps of a batch; `bp`: forward and backward of the same logits to
             the same images, by the same network. With --depth at 224 x 224 too, as published
"""

from typing import Any

from benchmarks.kept import kept
from benchmarks.steps import Case

FRAMEWORKS = ("torch",)
TIMING = {"warm_up": 2, "block": 1, "least": 12}
SMALL = {"bp": "resnet_small", "s3net": "s3net_small", "densenet": "densenet_small"}


def cases(framework: str, device: str, depth: bool) -> list[Case]:
    """Training steps of the small networks, and maps; `depth`: maps of the published sizes."""
    import torch

    from s3net.learner import Learner
    from s3net.tinyimagenet.models import make

    found = []
    images = torch.randn(64, 3, 64, 64, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (64,), device=device)
    for rule, name in SMALL.items():
        learner = Learner(make(name, 10).to(device), 0.01)
        step = learner.train_step
        found.append(Case("small_64", rule, 64, lambda s=step: s(images, labels)))  # type: ignore[misc]
    maps = {name: (10, 64, 10) for name in SMALL.values()}
    if depth:
        maps |= {"resnet50": (1000, 224, 2), "s3net_large": (1000, 224, 2)}
    for name, (classes, side, batch) in maps.items():
        net = make(name, classes).to(device).eval().requires_grad_(False)
        found += _maps(name, net, torch.randn(batch, 3, side, side, device=device))
    return found


def _maps(name: str, net: Any, images: Any) -> list[Case]:
    import torch

    from s3net.interpretability.rule import fullgrad

    def plain() -> Any:
        x = images.clone().requires_grad_()
        return torch.autograd.grad(net(x).amax(1).sum(), x)

    return [
        Case(f"{name}_map", "bp", len(images), plain),
        Case(f"{name}_map", "fullgrad", len(images), lambda: fullgrad(net, images)),
    ]


def memory() -> list[dict[str, Any]]:
    """A row a wiring: bytes a sample that a training step keeps (`benchmarks.kept`)."""
    from s3net.tinyimagenet.models import make

    return [
        {"net": "small_64", "rule": rule} | kept(make(name, 10), 64) for rule, name in SMALL.items()
    ]
