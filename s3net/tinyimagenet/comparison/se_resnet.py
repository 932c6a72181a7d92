"""SE-ResNet-50: each block weighs its channels by their means (Hu et al., arXiv 1709.01507).

The variant of the study: no biases in the gate. timm's `seresnet50` has them, 16,048 more
parameters, and is otherwise the same network.
"""

from torch import Tensor, nn

from s3net.tinyimagenet.comparison.resnet import Place, ResNet, projection, resnet50

REDUCTION = 16


class Gate(nn.Module):
    """x (N, C, H, W) -> x times a number in (0, 1) for every image and channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // REDUCTION, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // REDUCTION, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(self.avg_pool(x).flatten(1))[:, :, None, None]


class Bottleneck(nn.Module):
    """ResNet's block, stride on the 3x3, with a gate before the sum."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        channels, width, out, stride = place.channels, place.width, place.out, place.stride
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.se = Gate(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = projection(channels, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.se(self.bn3(self.conv3(y)))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def se_resnet50(classes: int) -> ResNet:
    """28.07 million parameters with 1000 classes."""
    return resnet50(Bottleneck, classes)
