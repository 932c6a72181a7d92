"""RandWire-WS: stages whose wiring is a random graph (Xie et al., arXiv 1904.01569).

A node adds up what comes in, each edge by a weight of its own in (0, 1), and convolves it; what
comes in has a smaller index. Nodes that nothing comes into see the stage's input and halve the
resolution; the mean of those that nothing leaves is the stage's output. The graph is Watts and
Strogatz's; the original draws that of every stage from one seed, so the last three are one wiring.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from s3net.tinyimagenet.comparison.graphs import Graph, Wiring
from s3net.tinyimagenet.comparison.resnet import kaiming

HIDDEN = 1280


class Separable(nn.Module):
    """Depthwise 3x3, then 1x1, both with biases."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class Triplet(nn.Module):
    """ReLU, separable convolution, BN."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv = Separable(channels, out, stride)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(self.relu(x)))


class Node(nn.Module):
    """`inputs` maps -> one; their weights are drawn through a sigmoid and start at 0.73."""

    def __init__(self, inputs: int, channels: int, out: int, stride: int) -> None:
        super().__init__()
        if inputs > 1:
            self.mean_weight = nn.Parameter(torch.ones(inputs))
            self.sigmoid = nn.Sigmoid()
        self.conv = Triplet(channels, out, stride)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        if len(inputs) == 1:
            return self.conv(inputs[0])
        weights = self.sigmoid(self.mean_weight)
        x = weights[0] * inputs[0]
        for weight, value in zip(weights[1:], inputs[1:], strict=True):
            x = torch.addcmul(x, weight, value)
        return self.conv(x)


class Stage(nn.Module):
    """(N, channels, H, W) -> (N, out, H/2, W/2) through the nodes of a graph, in their order."""

    def __init__(self, graph: Graph, channels: int, out: int) -> None:
        super().__init__()
        self.sources = graph.sources
        self.outputs = graph.outputs
        self.last_use = {source: i for i, feeding in enumerate(self.sources) for source in feeding}
        self.nodeop = nn.ModuleList(
            Node(len(feeding), out, out, 1) if feeding else Node(1, channels, out, 2)
            for feeding in self.sources
        )

    def forward(self, x: Tensor) -> Tensor:
        made: dict[int, Tensor] = {}
        for i, node in enumerate(self.nodeop):
            feeding = self.sources[i]
            made[i] = node([made[source] for source in feeding] if feeding else [x])
            for source in feeding:
                if self.last_use[source] == i:
                    del made[source]  # only outputs are left in the end
        return torch.stack([made[i] for i in self.outputs]).mean(0)


class RandWire(nn.Module):
    """Images (N, 3, H, W) -> logits (N, classes); 31.62 million parameters with 1000 classes.

    wiring   graphs of the stages and the width (`graphs.Wiring`)
    """

    def __init__(self, classes: int, wiring: Wiring) -> None:
        super().__init__()
        self.wiring = wiring
        width = wiring.channels
        self.conv1 = Separable(3, width // 2, 2)
        self.bn1 = nn.BatchNorm2d(width // 2)
        channels = width // 2
        for i, nodes in enumerate(wiring.stages, start=2):
            self.add_module(f"conv{i}", Stage(wiring.graph(nodes), channels, width))
            channels, width = width, 2 * width
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(channels, HIDDEN, 1)
        self.bn2 = nn.BatchNorm2d(HIDDEN)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(HIDDEN, classes)
        kaiming(self)

    def forward(self, images: Tensor) -> Tensor:
        x = self.bn1(self.conv1(images))
        for i in range(2, 2 + len(self.wiring.stages)):
            x = getattr(self, f"conv{i}")(x)
        x = self.relu(self.bn2(self.conv(self.relu(x))))
        return self.fc(self.avgpool(x).flatten(1))
