"""The networks of the paper (asap, 4), each in every feedback mode.

`ConvNet` is what the result tables call AlexNet; `ResNet` serves 18 and 34, with and without
shortcuts. `sharing.sources` prints which layer learns from which activation.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from asap.layers import SharedConv2d
from asap.modes import Network
from asap.sharing import SHARING, MaskReLU, renewed
from common.doors.arguments import integer, number
from common.doors.sizes import integers
from common.errors import ArgumentError, unknown

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
MODELS = ("convnet", "resnet18_not", "resnet18", "resnet34")


def _convolve(conv: nn.Module, x: Tensor, s: Tensor | None) -> Tensor:
    return conv(x, s) if isinstance(conv, SharedConv2d) else conv(x)


def _relu(kept: bool) -> nn.Module:
    """A ReLU whose output some layer keeps to learn from, or none does."""
    return nn.ReLU(inplace=True) if kept else MaskReLU()


def _receive(receiver: nn.Module | None, x: Tensor, carries: list[Tensor]) -> Tensor:
    if receiver is None:
        return x
    x, carry = receiver(x)
    if carry is not None:
        carries.append(carry)
    return x


class ConvNet(Network):
    """Three 5x5 convolutions and three linear layers, batch norm behind each (4.1).

    images (N, channels, size, size) -> logits (N, classes). widths of the convolutions, hidden
    units of the linear layers. ArgumentError for asap_k4: there are only two sharing convolutions.
    """

    def __init__(
        self,
        mode: str = "bp",
        *,
        channels: int = 3,
        classes: int = 10,
        size: int = 32,
        widths: Sequence[int] = (64, 128, 256),
        hidden: int = 1024,
        **options: Any,
    ) -> None:
        if mode == "asap_k4":
            raise ArgumentError(
                "feedback",
                "(=asap_k4) must not be used with model convnet, which has two sharing "
                "convolutions; use asap",
            )
        super().__init__(mode, classes=classes, **options)
        integer("channels", channels), integer("size", size), integer("hidden", hidden)
        first, second, third = widths = self.checked_widths(widths, 3)
        self.convs = nn.ModuleList(
            [
                self.make_stem(channels, first, 5, bias=True),
                self.make_conv(first, second, 5),
                self.make_conv(second, third, 5),
            ]
        )
        self.conv_norms = nn.ModuleList(nn.BatchNorm2d(n) for n in widths)
        # The third convolution of asap learns from h1, not from the second one's output.
        self.relus = nn.ModuleList(_relu(i != 1 or mode != "asap") for i in range(3))
        shapes: list[tuple[int, ...]] = []
        for width in widths:
            size = -(-size // 2)
            shapes.append((width, size, size))
        features = [third * size * size, hidden, hidden, classes]
        pairs = list(zip(features, features[1:], strict=False))
        self.linears = nn.ModuleList(self.make_linear(a, b) for a, b in pairs)
        self.linear_norms = nn.ModuleList(nn.BatchNorm1d(b) for _, b in pairs)
        shapes += [(hidden,), (hidden,)]
        self.receivers = nn.ModuleList(self.make_receivers(shapes))

    def forward(self, images: Tensor) -> Tensor:
        """Both sharing convolutions learn from h1, the stem's output after its pool."""
        receivers, carries = iter(self.receivers), list[Tensor]()
        x, shared = images, None
        for i, (conv, norm) in enumerate(zip(self.convs, self.conv_norms, strict=True)):
            x = norm(_convolve(conv, x, shared))
            # Pooled before the ReLU: the same values and derivatives, at a quarter of the work.
            x = functional.max_pool2d(x, 2, ceil_mode=True)
            x = self.relus[i](x)
            x = _receive(next(receivers, None), x, carries)
            if i == 0 and self.mode == "asap":
                shared = x
        x = x.flatten(1)
        for i, (linear, norm) in enumerate(zip(self.linears, self.linear_norms, strict=True)):
            x = norm(linear(x))
            if i < 2:
                x = functional.relu(x, inplace=True)
                x = _receive(next(receivers, None), x, carries)
        return sum(carries, start=x)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; the second convolution's width is the block's.

    kept   whether some layer keeps each ReLU's output for its weights to learn from
    """

    def __init__(
        self,
        net: Network,
        channels: int,
        width: int,
        stride: int,
        size: int,
        *,
        shortcut: bool,
        bias: bool,
        kept: tuple[bool, bool],
    ) -> None:
        super().__init__()
        self.conv1 = net.make_conv(channels, width, 3, stride, bias)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = net.make_conv(width, width, 3, 1, bias)
        self.norm2 = nn.BatchNorm2d(width)
        behind_relus = net.make_receivers([(width, size, size)] * 2)
        self.receiver1 = behind_relus[0] if behind_relus else None
        self.receiver2 = behind_relus[1] if behind_relus else None
        self.relu1, self.relu2 = map(_relu, kept)
        self.shortcut = shortcut
        if channels != width or stride != 1:
            self.short_conv = net.make_conv(channels, width, 1, stride, bias)
            self.short_norm = nn.BatchNorm2d(width)
            if not shortcut:  # there as in the original, and unused
                self.short_conv.requires_grad_(False)
                self.short_norm.requires_grad_(False)

    def forward(
        self, x: Tensor, incoming: Tensor | None, outgoing: Tensor | None, carries: list[Tensor]
    ) -> Tensor:
        """conv1 and the shortcut's convolution learn from `incoming`, conv2 from `outgoing`."""
        y = self.relu1(self.norm1(_convolve(self.conv1, x, incoming)))
        y = _receive(self.receiver1, y, carries)
        y = self.norm2(_convolve(self.conv2, y, outgoing))
        if self.shortcut:
            if hasattr(self, "short_conv"):
                x = self.short_norm(_convolve(self.short_conv, x, incoming))
            y = y + x
        return _receive(self.receiver2, self.relu2(y), carries)


class ResNet(Network):
    """CIFAR's ResNet (4.2, 4.3): stem, blocks of four widths, mean over the map, one linear layer.

    images (N, channels, size, size) -> logits (N, classes). blocks: how many of each width.
    shortcut: False leaves the sums out. conv_bias: convolutions have biases outside "bp".
    """

    def __init__(
        self,
        mode: str = "bp",
        *,
        channels: int = 3,
        classes: int = 10,
        size: int = 32,
        blocks: Sequence[int] = BLOCKS["resnet18"],
        widths: Sequence[int] = (64, 128, 256, 512),
        shortcut: bool = True,
        conv_bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(mode, classes=classes, **options)
        integer("channels", channels), integer("size", size)
        self.stages, bias = integers("blocks", blocks), conv_bias and mode != "bp"
        widths = self.checked_widths(widths, len(self.stages))
        self.stem = self.make_stem(channels, widths[0], 3, bias)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.receiver = next(iter(self.make_receivers([(widths[0], size, size)])), None)
        plan = [
            (width, 2 if width != widths[0] and i == 0 else 1)
            for count, width in zip(self.stages, widths, strict=True)
            for i in range(count)
        ]
        self.every = SHARING.get(mode, 0)
        made, below = [], widths[0]
        # A block's input is kept where it is shared, or where every layer learns from its own.
        keeps = [not j % (self.every or 1) for j in range(1, len(plan))] + [False]
        for j, (width, stride) in enumerate(plan):
            size = -(-size // stride)
            made.append(
                Block(
                    self,
                    below,
                    width,
                    stride,
                    size,
                    shortcut=shortcut,
                    bias=bias,
                    kept=(not self.every, keeps[j]),
                )
            )
            below = width
        self.blocks = nn.ModuleList(made)
        self.head = self.make_linear(widths[-1], classes)
        self.head_norm = nn.BatchNorm1d(classes)

    def forward(self, images: Tensor) -> Tensor:
        """x_j, the input of block j, is the new shared activation at every block (k = 2) or every
        second one (k = 4); a block's second convolution learns from the new one already."""
        carries: list[Tensor] = []
        x = functional.relu(self.stem_norm(self.stem(images)), inplace=True)
        x = _receive(self.receiver, x, carries)
        shared = x if self.every else None
        for j, block in enumerate(self.blocks):
            outgoing = renewed(shared, x, j, self.every)
            x = block(x, shared, outgoing, carries)
            shared = outgoing
        x = self.head_norm(self.head(x.mean((2, 3))))
        return sum(carries, start=x)


def make_network(
    model: str, mode: str, *, width: float = 1.0, shortcut_slip: bool = False, **options: Any
) -> Network:
    """A network of MODELS in a mode; `options` are those of ConvNet and ResNet.

    width          factor of every width (the paper's: 1)
    shortcut_slip  (asap, D3): resnet18_not has shortcuts in bp, fa and dfa
    ArgumentError for names and numbers that cannot be.
    """
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    number("width", width, above=0)
    if model == "convnet":
        options.pop("conv_bias", None)
        sizes = {"widths": (64, 128, 256), "hidden": 1024}
        scaled = {"widths": _scaled(sizes["widths"], width), "hidden": _scaled([1024], width)[0]}
        return ConvNet(mode, **{**scaled, **options})
    slips = shortcut_slip and mode not in SHARING
    options = {"widths": _scaled((64, 128, 256, 512), width)} | options
    return ResNet(
        mode,
        blocks=BLOCKS[model.removesuffix("_not")],
        shortcut=slips or not model.endswith("_not"),
        **options,
    )


def _scaled(widths: Any, factor: float) -> tuple[int, ...]:
    # Every width is a power of two times the first: shared activations must tile.
    first = max(1, round(widths[0] * factor))
    return tuple(first * (w // widths[0]) for w in widths)
