"""Oct-ResNet-50: half of the channels at half the resolution (Chen et al., arXiv 1904.05049).

A feature is a pair (high, low): channels at the stage's resolution, and as many at half of it. An
octave convolution has four kernels, from either to either; what goes down is averaged over 2 x 2,
what goes up is repeated. As many parameters as ResNet-50, and fewer operations.
"""

from torch import Tensor, nn

from s3net.tinyimagenet.comparison.resnet import PLAN, Place, ResNet, resnet50

ALPHA = 0.5  # share of low channels, but for the network's input and its last stage
LAST = len(PLAN) - 1
Pair = tuple[Tensor, Tensor | None]


class OctaveConv(nn.Module):
    """(N, C, H, W) high and low -> the same. `low_in`, `low_out`: whether there are low channels.

    A stride halves both by averages, before they are convolved.
    """

    conv_l2l: nn.Conv2d | None
    conv_l2h: nn.Conv2d | None
    conv_h2l: nn.Conv2d | None
    conv_h2h: nn.Conv2d

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int, low_in: bool, low_out: bool
    ) -> None:
        super().__init__()
        self.downsample = nn.AvgPool2d(2)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.stride = stride
        low, low_after = _low(channels, low_in), _low(out, low_out)
        sizes = {"l": (low, low_after), "h": (channels - low, out - low_after)}
        for source, target in (("l", "l"), ("l", "h"), ("h", "l"), ("h", "h")):
            before, after = sizes[source][0], sizes[target][1]
            conv = None
            if before and after:
                conv = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False)
            setattr(self, f"conv_{source}2{target}", conv)

    def forward(self, pair: Pair) -> Pair:
        high, low = pair
        if self.stride == 2:
            high = self.downsample(high)
        y_high = self.conv_h2h(high)
        y_low = None if self.conv_h2l is None else self.conv_h2l(self.downsample(high))
        if low is None or self.conv_l2h is None:
            return y_high, y_low
        up = self.conv_l2h(low)  # at half the old resolution: where a stride puts the new one
        y_high = y_high + (up if self.stride == 2 else self.upsample(up))
        if y_low is not None and self.conv_l2l is not None:
            y_low = y_low + self.conv_l2l(self.downsample(low) if self.stride == 2 else low)
        return y_high, y_low


def _low(channels: int, has: bool) -> int:
    return int(ALPHA * channels) if has else 0


class OctaveNorm(nn.Module):
    """Octave convolution and a batch norm for each of the two, with a ReLU if `act`."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int = 1,
        stride: int = 1,
        low_in: bool = True,
        low_out: bool = True,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.conv = OctaveConv(channels, out, kernel, stride, low_in, low_out)
        low = _low(out, low_out)
        self.bn_h = nn.BatchNorm2d(out - low)
        self.bn_l = nn.BatchNorm2d(low) if low else None
        self.act = nn.ReLU(inplace=True) if act else nn.Identity()

    def forward(self, pair: Pair) -> Pair:
        high, low = self.conv(pair)
        high = self.act(self.bn_h(high))
        return high, None if self.bn_l is None else self.act(self.bn_l(low))


class Bottleneck(nn.Module):
    """ResNet's block of octave convolutions. The first one takes a plain map, and the last stage
    gives plain ones."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        low_in = place.number > 0 and (place.stage < LAST or not place.index)
        low = place.stage < LAST
        width, out = place.width, place.out
        self.conv1 = OctaveNorm(place.channels, width, low_in=low_in, low_out=low)
        self.conv2 = OctaveNorm(width, width, 3, place.stride, low_in=low, low_out=low)
        self.conv3 = OctaveNorm(width, out, low_in=low, low_out=low, act=False)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if not place.index:
            down = OctaveNorm(place.channels, out, 1, place.stride, low_in, low, act=False)
            self.downsample = nn.Sequential(down)

    def forward(self, x: Tensor | Pair) -> Tensor | Pair:
        pair = (x, None) if isinstance(x, Tensor) else x
        high, low = self.conv3(self.conv2(self.conv1(pair)))
        kept_high, kept_low = pair if self.downsample is None else self.downsample(pair)
        high = self.relu(high + kept_high)
        return high if low is None else (high, self.relu(low + kept_low))


def oct_resnet50(classes: int) -> ResNet:
    """25.56 million parameters with 1000 classes."""
    return resnet50(Bottleneck, classes)
