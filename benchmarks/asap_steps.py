"""ASAP's steps: CIFAR's shape, SGD with momentum and decay, the learner of `asap.train`.

`bp` has the same learner, memory format, fused optimiser and pooling before ReLU as the rules;
`bp_autograd` is the same net as one would write it first: contiguous, ReLU before pool, trained
biases, torch's default SGD. `memory` counts what a step keeps for its backward.
"""

from typing import Any

from benchmarks.kept import kept
from benchmarks.steps import Case

FRAMEWORKS = ("torch",)
TIMING = {"warm_up": 3, "block": 1, "least": 12}  # a step takes half a second
RULES = {
    "convnet": ("bp", "fa", "dfa", "kp", "asap", "asap_wt"),
    "resnet18": ("bp", "fa", "dfa", "kp", "asap", "asap_k4", "asap_wt"),
    "resnet34": ("bp", "fa", "dfa", "kp", "asap", "asap_k4"),
}
BATCH = {"convnet": 128, "resnet18": 16, "resnet34": 16}


def cases(framework: str, device: str, depth: bool) -> list[Case]:
    """Every rule of convnet and resnet18; `depth`: resnet34 too."""
    nets = ("convnet", "resnet18", *(("resnet34",) if depth else ()))
    return [case for net in nets for case in _cases(net, device)]


def _cases(net: str, device: str) -> list[Case]:
    import torch

    from asap.learner import Learner, sgd

    size = BATCH[net]
    images = torch.randn(size, 3, 32, 32, device=device)
    labels = torch.randint(10, (size,), device=device)
    last = images.contiguous(memory_format=torch.channels_last)
    steps = []
    for rule in RULES[net]:
        learner = Learner(_build(net, rule).to(device), sgd(1e-3))
        steps.append(
            Case(net, rule, size, lambda s=learner.train_step: s(last, labels))  # type: ignore[misc]
        )
    if net == "convnet":
        steps.append(Case(net, "bp_autograd", size, _plain(images, labels, device)))
    return steps


def _build(net: str, rule: str) -> Any:
    from asap.networks import make_network

    return make_network(net, rule.removesuffix("_wt"), wt=rule.endswith("_wt"))


def _plain(images: Any, labels: Any, device: str) -> Any:
    """convnet in backprop with none of the tricks."""
    import torch
    from torch import nn

    layers: list[nn.Module] = []
    for a, b in ((3, 64), (64, 128), (128, 256)):
        pool = nn.MaxPool2d(2, ceil_mode=True)
        layers += [nn.Conv2d(a, b, 5, padding=2), nn.BatchNorm2d(b), nn.ReLU(), pool]
    layers.append(nn.Flatten())
    for a, b in ((4096, 1024), (1024, 1024)):
        layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(1024, 10), nn.BatchNorm1d(10)).to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)

    def step() -> Any:
        loss = nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def memory(nets: tuple[str, ...] = ("convnet", "resnet18", "resnet34")) -> list[dict[str, Any]]:
    """A row a net and rule: bytes a sample that a training step keeps (`benchmarks.kept`)."""
    rows = []
    for net in nets:
        for rule in RULES[net]:
            row = {"net": net, "rule": rule} | kept(_build(net, rule), 32)
            rows.append(row)
    return rows
