"""S3Net's steps. Nothing here is a rule: all train by backprop, so what is compared is the wiring.

small_64     networks of 0.31 million parameters, batch 64 at 64 x 64: `bp` is the residual wiring,
             `s3net` the sparse one, `densenet` the dense one
large_224    the same at 9.4 million parameters (s3net_new1), batch 2 at 224 x 224; with --depth
cifar_k<k>   the CIFAR net of growth k, batch 64: `bp` is each of its convolutions alone, forward
             and backward, the least that it must do; `layers` each convolution, norm and ReLU
             alone; `s3net` the whole step. k = 40 with --depth
<net>_map    `fullgrad`: saliency maps of a batch; `bp`: forward and backward of the same logits to
             the same images, by the same network. With --depth at 224 x 224 too, as published
"""

from collections.abc import Callable
from typing import Any

from benchmarks.kept import kept, peak
from benchmarks.steps import Case

FRAMEWORKS = ("torch",)
TIMING = {"warm_up": 2, "block": 1, "least": 12}
SMALL = {"bp": "resnet_small", "s3net": "s3net_small", "densenet": "densenet_small"}
# (growth, layers of each block, channels of the stem): s3net_new1 has 9 405 560 parameters.
LARGE = {
    "bp": (20, (5, 5, 5, 5), 128, "residual"),
    "s3net": (96, (5, 5, 5, 5), 64, "sparse"),
    "densenet": (85, (5, 5, 5, 5), 32, "dense"),
}


def cases(framework: str, device: str, depth: bool) -> list[Case]:
    """Training steps and their floors, and maps; `depth`: those of the published sizes too."""
    import torch

    from s3net.cifar100.s3model import CifarS3
    from s3net.tinyimagenet.networks import make_network

    steps = []
    for rule, name in SMALL.items():
        step, _ = training(make_network(name, 10), 64, 64, 10, device)
        steps.append(Case("small_64", rule, 64, step))
    for rule in LARGE if depth else ():
        step, _ = training(large(rule), 2, 224, 1000, device)
        steps.append(Case("large_224", rule, 2, step))
    for growth in (12, 24, 40) if depth else (12, 24):
        cifar = CifarS3(growth)
        step, images = training(cifar, 64, 32, 100, device)
        for rule, call in (
            ("bp", only_layers(cifar, images, convolutions=True)),
            ("layers", only_layers(cifar, images)),
            ("s3net", step),
        ):
            steps.append(Case(f"cifar_k{growth}", rule, 64, call))
    maps = {name: (10, 64, 10) for name in SMALL.values()}
    if depth:
        maps |= {"resnet50": (1000, 224, 2), "s3net_large": (1000, 224, 2)}
    for name, (classes, side, batch) in maps.items():
        net = make_network(name, classes).to(device).eval().requires_grad_(False)
        steps += _maps(name, net, torch.randn(batch, 3, side, side, device=device))
    return steps


def training(
    net: Any, batch: int, side: int, classes: int, device: str
) -> tuple[Callable[[], object], Any]:
    """A training step of a network on images drawn once, and those images."""
    import torch

    from s3net.learner import Learner

    images = torch.randn(batch, 3, side, side, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(classes, (batch,), device=device)
    learner = Learner(net.to(device), 0.01, momentum=0.9, weight_decay=1e-4)
    return lambda: learner.train_step(images, labels), images


def large(rule: str) -> Any:
    """A network of LARGE."""
    from s3net.networks import S3Net

    growth, blocks, init, wiring = LARGE[rule]
    return S3Net(growth, blocks, init, wiring=wiring)


def only_layers(net: Any, images: Any, *, convolutions: bool = False) -> Callable[[], object]:
    """Every convolution, norm and ReLU of a network (or its convolutions), each forward and
    backward on what it sees in training, with nothing between them."""
    import torch
    from torch import nn

    calls: list[Callable[[], object]] = []
    kinds = (nn.Conv2d,) if convolutions else (nn.Conv2d, nn.BatchNorm2d, nn.ReLU)

    def look(layer: Any, inputs: tuple) -> None:
        seen = inputs[0].detach().clone()
        make = {nn.Conv2d: _convolution, nn.BatchNorm2d: _norm, nn.ReLU: _relu}[type(layer)]
        calls.append(make(layer, seen, seen.shape[1] != 3))

    hooks = [m.register_forward_pre_hook(look) for m in net.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        net.train()(images)
    for hook in hooks:
        hook.remove()
    return lambda: [call() for call in calls]


def _convolution(layer: Any, x: Any, inner: bool) -> Callable[[], object]:
    import torch
    from torch.nn.functional import conv2d

    weight = layer.weight.detach()
    shape = layer.stride, layer.padding, layer.dilation
    g = torch.randn_like(conv2d(x, weight, None, *shape))

    def call() -> object:
        conv2d(x, weight, None, *shape)
        return torch.ops.aten.convolution_backward(
            g, x, weight, None, *shape, False, [0, 0], 1, [inner, True, False]
        )

    return call


def _norm(layer: Any, x: Any, inner: bool) -> Callable[[], object]:
    import torch

    weight, bias = layer.weight.detach(), layer.bias.detach()
    running = layer.running_mean.clone(), layer.running_var.clone()
    g = torch.randn_like(x)

    def call() -> object:
        aten = torch.ops.aten
        _, mean, deviation = aten.native_batch_norm(x, weight, bias, *running, True, 0.1, layer.eps)
        return aten.native_batch_norm_backward(
            g, x, weight, *running, mean, deviation, True, layer.eps, [True, True, True]
        )

    return call


def _relu(layer: Any, x: Any, inner: bool) -> Callable[[], object]:
    import torch

    g = torch.randn_like(x)
    return lambda: torch.ops.aten.threshold_backward(g, x.relu_(), 0)


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
    """A row a wiring: bytes a sample that a training step keeps (`benchmarks.kept`) and has at
    its peak, parameters, multiply-accumulates a sample."""
    from s3net.counts import multiplications
    from s3net.tinyimagenet.networks import make_network

    rows = []
    nets: list[tuple[str, Callable[[str], Any], int]] = [
        ("small_64", lambda rule: make_network(SMALL[rule], 10), 64),
        ("large_224", large, 224),
    ]
    for name, make_net, side in nets:
        for rule in SMALL:
            net = make_net(rule)
            counts = {
                "peak": peak(net, side),
                "parameters": sum(p.numel() for p in net.parameters()),
            }
            counts |= {"macs": multiplications(net, side)}
            rows.append({"net": name, "rule": rule} | kept(make_net(rule), side) | counts)
    return rows
