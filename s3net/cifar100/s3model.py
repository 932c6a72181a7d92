"""The S3 network of the CIFAR study (s3net, cifar100 4), under the original's names."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.errors import ArgumentError
from s3net.topology import widths, wire


class Stage(nn.Module):
    """BN, ReLU, convolution without bias, then `more`, kept under the name `layer`."""

    def __init__(self, channels: int, out: int, kernel: int, *more: nn.Module) -> None:
        super().__init__()
        conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False)
        self.layer = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), conv, *more)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Dropout(nn.Dropout):
    """nn.Dropout; `always`: in evaluation too, as the original does by mistake."""

    def __init__(self, p: float, always: bool = False) -> None:
        super().__init__(p)
        self.always = always

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.p, self.training or self.always)


def _dropouts(p: float, always: bool) -> list[nn.Module]:
    return [Dropout(p, always)] if p else []


class Block(nn.Module):
    """Layers of one resolution; the last layer's output comes first, then the input, then the
    others: an order that only trained weights depend on."""

    def __init__(
        self,
        wiring: str,
        channels: int,
        growth: int,
        depth: int,
        dropout: float = 0.0,
        always: bool = False,
    ) -> None:
        super().__init__()
        plan = widths(wiring, channels, growth, depth)
        self.wiring, self.out_channels = wiring, plan.output
        self.bottleneck = nn.Module()
        for i, (before, after) in enumerate(plan.layers):
            stage = Stage(before, after, 3, *_dropouts(dropout, always))
            self.bottleneck.add_module(f"dbl_{i}", stage)

    def forward(self, x: Tensor) -> Tensor:
        return wire(self.wiring, self.bottleneck.children(), x, self._join)

    def _join(self, kept: list[Tensor]) -> Tensor:
        # Only the output of a sparse block is in the original's order; a dense one's layers would
        # otherwise see their inputs in an order that changes from layer to layer.
        first = [kept[-1], *kept[:-1]] if self.wiring == "sparse" else kept
        return torch.cat(first, 1)


class CifarS3(nn.Module):
    """Images (N, 3, 32, 32) -> logits (N, classes): three blocks, no compression between them.

    growth    k: channels that a layer adds
    layers    of each block; (depth - 4) // 3 of them for a depth (`layers_of`)
    channels  of the stem
    dropout   probability in training; drop_always: the blocks' in evaluation too
    wiring    of the blocks (`s3net.topology`)
    """

    def __init__(
        self,
        growth: int = 12,
        layers: Sequence[int] = (12, 12, 12),
        channels: int = 24,
        *,
        classes: int = 100,
        dropout: float = 0.0,
        drop_always: bool = False,
        wiring: str = "sparse",
    ) -> None:
        super().__init__()
        self.init_cnn_layer = nn.Sequential()
        self.init_cnn_layer.add_module("conv0", nn.Conv2d(3, channels, 3, padding=1, bias=False))
        self.init_cnn_layer.add_module("norm0", nn.BatchNorm2d(channels))
        self.init_cnn_layer.add_module("relu0", nn.ReLU(inplace=True))
        self.denseblocks = nn.Sequential()
        for i, depth in enumerate(layers):
            block = Block(wiring, channels, growth, depth, dropout, drop_always)
            channels = block.out_channels
            self.denseblocks.add_module(f"db_{i}", block)
            if i < len(layers) - 1:
                drop = _dropouts(dropout, drop_always)
                stage = Stage(channels, channels, 1, nn.AvgPool2d(2), *drop)
                self.denseblocks.add_module(f"t_{i}", stage)
        self.denseblocks.add_module("nb_5", nn.BatchNorm2d(channels))
        self.denseblocks.add_module("relu_5", nn.ReLU(inplace=True))
        if dropout:
            self.denseblocks.add_module("drop_5", nn.Dropout(dropout))
        self.lr = nn.Linear(channels, classes)
        nn.init.zeros_(self.lr.bias)

    def forward(self, images: Tensor) -> Tensor:
        x = self.denseblocks(self.init_cnn_layer(images))
        return self.lr(functional.avg_pool2d(x, x.shape[-2:]).flatten(1))


def layers_of(depth: int) -> tuple[int, int, int]:
    """Layers of the three blocks of a net of so many weighted layers. ValueError below 7."""
    if depth < 7:
        raise ArgumentError("depth", f"(={depth}) must be at least 7")
    return ((depth - 4) // 3,) * 3
