"""ScaleNet-50: blocks that look at four scales (Li et al., arXiv 1905.13035, ours by its plan).

A block's 3x3 convolution is four, on the map and on its maxima over 2 x 2, 4 x 4 and 7 x 7; how
many channels each one has was searched for, block by block, and is the list below.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from s3net.tinyimagenet.comparison.resnet import Place, ResNet, projection, resnet50

SCALES = (1, 2, 4, 7)
STRUCTURE = (
    # channels at each scale, and the side of the map in the block, for images of 224 x 224
    (62, 9, 5, 12, 56),
    (55, 27, 5, 1, 56),
    (59, 26, 0, 3, 56),
    (125, 41, 6, 3, 28),
    (90, 39, 9, 37, 28),
    (106, 56, 4, 9, 28),
    (116, 56, 3, 0, 28),
    (223, 71, 55, 0, 14),
    (196, 104, 44, 5, 14),
    (195, 98, 52, 4, 14),
    (155, 128, 66, 0, 14),
    (134, 129, 86, 0, 14),
    (120, 127, 98, 4, 14),
    (237, 354, 106, 0, 7),
    (172, 435, 90, 0, 7),
    (138, 462, 97, 0, 7),
)


class Bottleneck(nn.Module):
    """1x1 to the width, convolutions at the scales side by side, 1x1 out; a stride is a max pool
    of the block's input."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        *counts, side = STRUCTURE[place.number]
        width, out = place.width, place.out
        self.stride = place.stride
        self.downsample = None
        if not place.index:
            self.downsample = projection(place.channels, out)
        self.conv1 = nn.Conv2d(place.channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.ModuleDict(), nn.ModuleDict()
        for i, (scale, count) in enumerate(zip(SCALES, counts, strict=True)):
            if count:
                kernel = 1 if side == scale else 3
                conv = nn.Conv2d(width, count, kernel, padding=kernel // 2, bias=False)
                self.conv2[str(i)], self.bn2[str(i)] = conv, nn.BatchNorm2d(count)
        self.conv3 = nn.Conv2d(sum(counts), out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride != 1:
            x = functional.max_pool2d(x, self.stride)
        y = torch.relu(self.bn1(self.conv1(x)))
        side = y.shape[-1]
        parts = []
        for i, conv in self.conv2.items():
            scale = min(SCALES[int(i)], side)  # images smaller than 224: a map has one maximum
            part = conv(functional.max_pool2d(y, scale) if scale > 1 else y)
            parts.append(self.bn2[i](_enlarged(part, side)))
        y = self.bn3(self.conv3(torch.relu(torch.cat(parts, 1))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


def _enlarged(x: Tensor, side: int) -> Tensor:
    """To side x side: repeated where that is a whole number of times, else bilinear."""
    if x.shape[-1] == side:
        return x
    mode = "nearest" if side % x.shape[-1] == 0 else "bilinear"
    return functional.interpolate(x, (side, side), mode=mode)


def scalenet50(classes: int) -> ResNet:
    """31.48 million parameters with 1000 classes."""
    return resnet50(Bottleneck, classes)
