"""The S3 network of the ImageNet studies, and the same chain of layers wired as others are.

Names of parameters are those of the original program (and of torchvision's DenseNet):
`features.denseblock1.denselayer1.conv1.weight`. With wiring="dense" it is a DenseNet-BC, with
"residual" a pre-activation ResNet of bottlenecks (s3net, imagenet 4).
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.errors import unknown
from s3net.topology import WIRINGS, widths, wire


class Layer(nn.Sequential):
    """BN, ReLU, 1x1 convolution to `inner`, BN, ReLU, 3x3 convolution: (N, channels, H, W) to
    (N, out, H, W); `dropout` is the probability for an output to be zeroed in training."""

    def __init__(self, channels: int, inner: int, out: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(inner, out, 3, padding=1, bias=False)
        if dropout:
            self.dropout = nn.Dropout(dropout)


class Block(nn.Module):
    """Layers of one resolution, wired."""

    def __init__(
        self, wiring: str, channels: int, growth: int, depth: int, bn_size: int, dropout: float
    ) -> None:
        super().__init__()
        plan = widths(wiring, channels, growth, depth)
        self.wiring, self.out_channels = wiring, plan.output
        for i, (before, after) in enumerate(plan.layers, start=1):
            self.add_module(f"denselayer{i}", Layer(before, bn_size * growth, after, dropout))

    def forward(self, x: Tensor) -> Tensor:
        return wire(self.wiring, self.children(), x, lambda kept: torch.cat(kept, 1))


class Transition(nn.Sequential):
    """BN, ReLU, 1x1 convolution, and half the resolution."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(channels, out, 1, bias=False)
        self.pool = nn.AvgPool2d(2)


class S3Net(nn.Module):
    """Images (N, 3, H, W) -> logits (N, classes).

    growth      k: channels that a layer adds
    blocks      layers of each block
    init        channels of the stem
    bn_size     the 1x1 convolutions have bn_size k channels
    wiring      of every block (`topology`)
    Joined blocks are followed by half their width, as in the original; residual and plain ones,
    which do not grow, by twice theirs. ValueError for a wiring that is none.
    """

    def __init__(
        self,
        growth: int,
        blocks: Sequence[int],
        init: int = 64,
        *,
        bn_size: int = 4,
        classes: int = 1000,
        dropout: float = 0.0,
        wiring: str = "sparse",
    ) -> None:
        super().__init__()
        if wiring not in WIRINGS:
            raise unknown("wiring", wiring, WIRINGS)
        self.growth, self.layer_counts, self.wiring = growth, tuple(blocks), wiring
        features = nn.Sequential()
        features.add_module("conv0", nn.Conv2d(3, init, 7, stride=2, padding=3, bias=False))
        features.add_module("norm0", nn.BatchNorm2d(init))
        features.add_module("relu0", nn.ReLU(inplace=True))
        features.add_module("pool0", nn.MaxPool2d(3, stride=2, padding=1))
        channels = init
        for i, depth in enumerate(blocks, start=1):
            block = Block(wiring, channels, growth, depth, bn_size, dropout)
            features.add_module(f"denseblock{i}", block)
            channels = block.out_channels
            if i < len(blocks):
                after = channels // 2 if wiring in ("sparse", "dense") else 2 * channels
                features.add_module(f"transition{i}", Transition(channels, after))
                channels = after
        features.add_module("norm5", nn.BatchNorm2d(channels))
        self.features = features
        self.classifier = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.relu(self.features(images), inplace=True)
        return self.classifier(x.mean((2, 3)))


class Plan(NamedTuple):
    """Constructor values of a network with a name."""

    growth: int
    blocks: tuple[int, ...]
    init: int
    bn_size: int = 4
    wiring: str = "sparse"


PLANS = {
    "s3net_new": Plan(108, (6, 6, 6), 64),
    # No constructor of the original: the table's k = 96, found by its number of parameters.
    "s3net_k96": Plan(96, (6, 6, 6), 32, bn_size=2),
    "s3net_new1": Plan(96, (5, 5, 5, 5), 64),
    "s3net_new2": Plan(110, (5, 5, 5), 32),
    "s3net_large": Plan(160, (6, 6, 6), 32),
    "s3net_new_big": Plan(160, (6, 6, 6), 32),
    "s3net_new_big2": Plan(180, (6, 6, 6), 32),
    "s3net65": Plan(48, (16, 16, 16), 64),
    # Ours: one chain in its three wirings, with as many parameters each, for a CPU.
    "s3net_small": Plan(24, (4, 4, 4), 24),
    "densenet_small": Plan(22, (4, 4, 4), 20, wiring="dense"),
    "resnet_small": Plan(12, (4, 4, 4), 22, wiring="residual"),
}
"""The constructors of the original by their names, and three small networks to compare."""


def make_network(name: str, classes: int, dropout: float = 0.0, wiring: str | None = None) -> S3Net:
    """A network of PLANS, drawn from torch's generator; `wiring`: another one of its chain.

    KeyError for another name.
    """
    plan = PLANS[name]
    plan = plan._replace(wiring=wiring or plan.wiring)
    return S3Net(**plan._asdict(), classes=classes, dropout=dropout)


def torchvision_names() -> list[str]:
    """The classifiers of torchvision."""
    import torchvision

    return torchvision.models.list_models(module=torchvision.models)


def torchvision_network(
    name: str, classes: int, argument: str, ours: Iterable[str] = PLANS, **options: Any
) -> nn.Module:
    """A classifier of torchvision, drawn from torch's generator; options: of its constructor.

    ArgumentError for a name that is none, naming the argument, and with `ours`, the names of this
    paper that would have done.
    """
    from torchvision.models import get_model

    if name not in (names := torchvision_names()):
        raise unknown(argument, name, [*ours, *names])
    return get_model(name, weights=None, num_classes=classes, **options)
