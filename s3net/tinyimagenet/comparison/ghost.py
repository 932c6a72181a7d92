"""GhostNet: half of the channels are cheap copies of the other half (Han et al., arXiv 1911.11907).

The variant of the study. timm's `ghostnet_100` has the same trunk, another gate (a hard sigmoid)
and another head (a 1x1 convolution with bias, no batch norm): 508 parameters fewer, and weights do
not carry over.
"""

import torch
from torch import Tensor, nn

from s3net.tinyimagenet.comparison.resnet import kaiming

STEM, SQUEEZED, HIDDEN, DROPOUT = 16, 960, 1280, 0.2
PLAN = (
    # kernel, expanded, out, gated, stride
    (3, 16, 16, False, 1),
    (3, 48, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
    (5, 960, 160, False, 1),
    (5, 960, 160, True, 1),
)


def _act(act: bool) -> nn.Module:
    return nn.ReLU(inplace=True) if act else nn.Identity()


def _conv(
    channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = False
) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), _act(act))


class Ghost(nn.Module):
    """A 1x1 convolution to half of `out`, and a depthwise 3x3 of that for the other half."""

    def __init__(self, channels: int, out: int, act: bool = True) -> None:
        super().__init__()
        half = out // 2
        self.primary_conv = _conv(channels, half, 1, act=act)
        self.cheap_operation = _conv(half, half, 3, groups=half, act=act)

    def forward(self, x: Tensor) -> Tensor:
        first = self.primary_conv(x)
        return torch.cat([first, self.cheap_operation(first)], 1)


class Gate(nn.Module):
    """x times a number for every image and channel, cut to between 0 and 1."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(self.avg_pool(x).flatten(1)).clamp(0, 1)[:, :, None, None]


class Bottleneck(nn.Module):
    """Ghost module to the expanded width, depthwise convolution where there is a stride, gate,
    ghost module to `out`, and a shortcut."""

    def __init__(
        self, channels: int, kernel: int, expanded: int, out: int, gated: bool, stride: int
    ) -> None:
        super().__init__()
        strided = _conv(expanded, expanded, kernel, stride, expanded)
        self.conv = nn.Sequential(
            Ghost(channels, expanded),
            strided if stride == 2 else nn.Identity(),
            Gate(expanded) if gated else nn.Identity(),
            Ghost(expanded, out, act=False),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2 or channels != out:
            self.shortcut = nn.Sequential(
                _conv(channels, channels, kernel, stride, channels),
                nn.Conv2d(channels, out, 1, bias=False),
                nn.BatchNorm2d(out),
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.shortcut(x)


class GhostNet(nn.Module):
    """Images (N, 3, H, W) -> logits (N, classes); 5.18 million parameters with 1000 classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(3, STEM, 3, stride=2, act=True)]
        channels = STEM
        for kernel, expanded, out, gated, stride in PLAN:
            layers.append(Bottleneck(channels, kernel, expanded, out, gated, stride))
            channels = out
        self.features = nn.Sequential(*layers)
        self.squeeze = _conv(channels, SQUEEZED, 1, act=True)
        self.squeeze.append(nn.AdaptiveAvgPool2d(1))
        self.classifier = nn.Sequential(
            nn.Linear(SQUEEZED, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN, classes),
        )
        kaiming(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.squeeze(self.features(images)).flatten(1))
