"""The plan of ResNet-50, into which four of the comparison models put blocks of their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

PLAN = (3, 4, 6, 3)
EXPANSION = 4


@dataclass(frozen=True)
class Place:
    """Where a block stands: stage 0 ... 3, index in it, index of all, and its channels.

    It takes `channels` and gives 4 `width`, at a 1 / `stride` of the resolution.
    """

    stage: int
    index: int
    number: int
    channels: int
    width: int
    stride: int

    @property
    def out(self) -> int:
        return EXPANSION * self.width


class ResNet(nn.Module):
    """Images (N, 3, H, W) -> logits (N, classes): stem, four stages of blocks, mean, classifier.

    block    makes the block of a place
    counts   blocks of each stage
    head     from (N, 2048) to logits; None: a linear layer
    """

    def __init__(
        self,
        block: Callable[[Place], nn.Module],
        classes: int,
        counts: Sequence[int] = PLAN,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels, number = 64, 0
        for stage, count in enumerate(counts):
            blocks = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                place = Place(stage, index, number, channels, 64 << stage, stride)
                blocks.append(block(place))
                channels, number = place.out, number + 1
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(counts)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = head or nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        x: Any = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(self.avgpool(x).flatten(1))


def kaiming(net: nn.Module) -> None:
    """Draw every convolution from N(0, 2 / (out kh kw)), as most of the originals do."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resnet50(block: Callable[[Place], nn.Module], classes: int) -> ResNet:
    """A ResNet-50 of such blocks, drawn by `kaiming`."""
    net = ResNet(block, classes)
    kaiming(net)
    return net


def projection(channels: int, out: int, stride: int = 1, bias: bool = False) -> nn.Sequential:
    """The shortcut of a block that changes channels or resolution: 1x1 convolution, BN."""
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=bias), nn.BatchNorm2d(out))
