"""The networks of the paper (asap, 4), each in every feedback mode.

`ConvNet` is what the result tables call AlexNet; `ResNet` serves 18 and 34, with and without
shortcuts. Which layer learns from which activation stands in their two `forward` methods, and
`sharing` prints it.

A convolution's bias is cancelled by the batch norm behind it: its gradient is zero, so it is not
computed; the bias decays with the weights, as in the original.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asap import rule
from asap.layers import INITS, DirectFeedback, FeedbackConv2d, FeedbackLinear, SharedConv2d
from common.doors.arguments import integer, number
from common.doors.sizes import integers
from common.errors import ArgumentError, unknown

MODES = ("bp", "fa", "dfa", "kp", "asap", "asap_k4")
SHARING = {"kp": 0, "asap": 1, "asap_k4": 2}  # blocks that a shared activation serves; 0: its own
FA_FEEDBACK = ("independent", "copy", "tied")
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
MODELS = ("convnet", "resnet18_not", "resnet18", "resnet34")


class Network(nn.Module):
    """What the two networks share: how a mode makes its layers, and what of them learns.

    mode           "bp", "fa", "dfa", "kp", "asap", "asap_k4"
    wt             weight transport: kp and asap send errors through W
    fa_feedback    B of fa's convolutions: "independent", a "copy" of the first W, or "tied" to W
    feedback_init  B of the linear layers: "uniform" U(-1, 1) or "scaled" as W
    frozen_stem    kp, asap: the first convolution does not learn
    """

    def __init__(
        self,
        mode: str,
        *,
        classes: int,
        wt: bool = False,
        fa_feedback: str = "independent",
        feedback_init: str = "uniform",
        frozen_stem: bool = True,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise unknown("feedback", mode, MODES)
        if fa_feedback not in FA_FEEDBACK:
            raise unknown("fa_feedback", fa_feedback, FA_FEEDBACK)
        if feedback_init not in INITS:
            raise unknown("feedback_init", feedback_init, INITS)
        integer("classes", classes)
        self.mode, self.classes, self.shares = mode, classes, mode in SHARING
        self.wt, self.fa_feedback, self.feedback_init = wt, fa_feedback, feedback_init
        self.frozen_stem = self.shares and frozen_stem

    def _widths(self, widths: Sequence[int], count: int) -> tuple[int, ...]:
        widths = integers("widths", widths, count=count)
        if self.shares and any(b % a for a, b in zip(widths, widths[1:], strict=False)):
            raise ArgumentError("widths", f"(={widths}) must each be a multiple of the one before: "
                                "shared activations are tiled")  # fmt: skip
        return widths

    def _stem(self, channels: int, width: int, kernel: int, bias: bool) -> nn.Conv2d:
        """The first convolution: no error goes below it, so it needs no feedback weights."""
        stem = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=bias)
        if self.frozen_stem:
            stem.requires_grad_(False)
        return _without_bias_gradient(stem)

    def _conv(
        self, channels: int, width: int, kernel: int, stride: int = 1, bias: bool = True
    ) -> nn.Conv2d:
        words: dict[str, Any] = {"stride": stride, "padding": kernel // 2, "bias": bias}
        if self.shares:
            return _without_bias_gradient(
                SharedConv2d(channels, width, kernel, transport=self.wt, **words)
            )
        if self.mode != "fa" or self.fa_feedback == "tied":
            return _without_bias_gradient(nn.Conv2d(channels, width, kernel, **words))
        conv = FeedbackConv2d(channels, width, kernel, **words)
        if self.fa_feedback == "copy":
            conv.B.data.copy_(conv.weight.data)
        return _without_bias_gradient(conv)

    def _linear(self, inputs: int, outputs: int) -> nn.Linear:
        """Its bias too is cancelled by the batch norm behind it."""
        if self.mode == "bp":
            return _without_bias_gradient(nn.Linear(inputs, outputs))
        bound = (6 / inputs) ** 0.5
        if self.mode == "dfa":
            linear = nn.Linear(inputs, outputs)
        else:
            linear = FeedbackLinear(inputs, outputs, init=self.feedback_init)
            if self.feedback_init == "scaled":
                linear.draw_feedback(bound)
        nn.init.uniform_(linear.weight, -bound, bound)
        nn.init.zeros_(linear.bias)
        return _without_bias_gradient(linear)

    def _receivers(self, shapes: Sequence[tuple[int, ...]]) -> list[DirectFeedback]:
        return [DirectFeedback(self.classes, s) for s in shapes] if self.mode == "dfa" else []

    def cancelled_biases(self) -> list[nn.Parameter]:
        """Biases whose gradient is zero and that only decay: all but those of frozen layers."""
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        biases = [m.bias for m in layers if m.weight.requires_grad]
        return [b for b in biases if isinstance(b, nn.Parameter)]

    def learned_feedback(self) -> dict[str, tuple[Tensor, nn.Parameter]]:
        """(W, B) of every layer whose B learns, by the layer's name; neither of them is frozen."""
        found = {}
        for name, layer in self.named_modules():
            if isinstance(layer, SharedConv2d) and layer.weight.requires_grad:
                B = layer.weight_fa
                if isinstance(B, nn.Parameter) and (B.requires_grad or layer.moved):
                    found[name] = (layer.weight, B)
        return found


def _without_bias_gradient(layer: Any) -> Any:
    if layer.bias is not None:
        layer.bias.requires_grad_(False)
    return layer


def _convolve(conv: nn.Module, x: Tensor, s: Tensor | None) -> Tensor:
    return conv(x, s) if isinstance(conv, SharedConv2d) else conv(x)


def _rectify(x: Tensor, kept: bool) -> Tensor:
    """ReLU; `kept` says that another layer keeps the result anyway, so no mask is needed."""
    return functional.relu(x, inplace=True) if kept else rule.relu(x)


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
        first, second, third = widths = self._widths(widths, 3)
        self.convs = nn.ModuleList(
            [
                self._stem(channels, first, 5, bias=True),
                self._conv(first, second, 5),
                self._conv(second, third, 5),
            ]
        )
        self.conv_norms = nn.ModuleList(nn.BatchNorm2d(n) for n in widths)
        shapes: list[tuple[int, ...]] = []
        for width in widths:
            size = -(-size // 2)
            shapes.append((width, size, size))
        features = [third * size * size, hidden, hidden, classes]
        pairs = list(zip(features, features[1:], strict=False))
        self.linears = nn.ModuleList(self._linear(a, b) for a, b in pairs)
        self.linear_norms = nn.ModuleList(nn.BatchNorm1d(b) for _, b in pairs)
        shapes += [(hidden,), (hidden,)]
        self.receivers = nn.ModuleList(self._receivers(shapes))

    def forward(self, images: Tensor) -> Tensor:
        """Both sharing convolutions learn from h1, the stem's output after its pool."""
        receivers, carries = iter(self.receivers), list[Tensor]()
        x, shared = images, None
        for i, (conv, norm) in enumerate(zip(self.convs, self.conv_norms, strict=True)):
            x = norm(_convolve(conv, x, shared))
            # Pooled before the ReLU: the same values and derivatives, at a quarter of the work.
            x = functional.max_pool2d(x, 2, ceil_mode=True)
            x = _rectify(x, kept=i != 1 or self.mode != "asap")
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
    """Two 3x3 convolutions and a shortcut; the second convolution's width is the block's."""

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
        self.conv1 = net._conv(channels, width, 3, stride, bias)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = net._conv(width, width, 3, 1, bias)
        self.norm2 = nn.BatchNorm2d(width)
        behind_relus = net._receivers([(width, size, size)] * 2)
        self.receiver1 = behind_relus[0] if behind_relus else None
        self.receiver2 = behind_relus[1] if behind_relus else None
        self.shortcut, self.kept = shortcut, kept
        if channels != width or stride != 1:
            self.short_conv = net._conv(channels, width, 1, stride, bias)
            self.short_norm = nn.BatchNorm2d(width)
            if not shortcut:  # there as in the original, and unused
                self.short_conv.requires_grad_(False)
                self.short_norm.requires_grad_(False)

    def forward(
        self, x: Tensor, incoming: Tensor | None, outgoing: Tensor | None, carries: list[Tensor]
    ) -> Tensor:
        """conv1 and the shortcut's convolution learn from `incoming`, conv2 from `outgoing`."""
        y = _rectify(self.norm1(_convolve(self.conv1, x, incoming)), self.kept[0])
        y = _receive(self.receiver1, y, carries)
        y = self.norm2(_convolve(self.conv2, y, outgoing))
        if self.shortcut:
            if hasattr(self, "short_conv"):
                x = self.short_norm(_convolve(self.short_conv, x, incoming))
            y = y + x
        return _receive(self.receiver2, _rectify(y, self.kept[1]), carries)


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
        widths = self._widths(widths, len(self.stages))
        self.stem = self._stem(channels, widths[0], 3, bias)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.receiver = next(iter(self._receivers([(widths[0], size, size)])), None)
        plan = [
            (width, 2 if width != widths[0] and i == 0 else 1)
            for count, width in zip(self.stages, widths, strict=True)
            for i in range(count)
        ]
        self.every = SHARING.get(mode, 0)
        made, below = [], widths[0]
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
                    kept=(not self.every, self._keeps(j + 1, len(plan))),
                )
            )
            below = width
        self.blocks = nn.ModuleList(made)
        self.head = self._linear(widths[-1], classes)
        self.head_norm = nn.BatchNorm1d(classes)

    def _keeps(self, j: int, count: int) -> bool:
        """Whether some layer keeps the input of block j for its weights to learn from."""
        return j < count and (not self.every or j % self.every == 0)

    def forward(self, images: Tensor) -> Tensor:
        """x_j, the input of block j, is the new shared activation at every block (k = 2) or every
        second one (k = 4); a block's second convolution learns from the new one already."""
        carries: list[Tensor] = []
        x = functional.relu(self.stem_norm(self.stem(images)), inplace=True)
        x = _receive(self.receiver, x, carries)
        shared = x if self.every else None
        for j, block in enumerate(self.blocks):
            incoming = shared
            if self.every and j % self.every == 0:
                shared = x
            x = block(x, incoming, shared, carries)
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


def sharing(net: Network, images: Tensor) -> list[dict[str, Any]]:
    """What each convolution reads and learns from: layer, input, source, tiled, pooled.

    images (N, C, H, W): one batch, on the network's device; nothing learns.
    """
    rows: list[dict[str, Any]] = []
    names = {layer: name for name, layer in net.named_modules()}
    made: dict[int, str] = {}
    keep: list[Tensor] = []  # addresses stay unique while their tensors live

    def note(layer: nn.Module, inputs: tuple) -> None:
        x, s = inputs[0], inputs[1] if len(inputs) > 1 and inputs[1] is not None else inputs[0]
        keep.extend((x, s))
        made.setdefault(x.data_ptr(), f"input of {names[layer]}")
        learns = layer.weight.requires_grad
        rows.append(
            {
                "layer": names[layer],
                "input": tuple(x.shape[1:]),
                "learns from": made[s.data_ptr()] if learns else "nothing (fixed)",
                "tiled": x.shape[1] // s.shape[1],
                "pooled": s.shape[-1] // x.shape[-1],
            }
        )

    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with torch.no_grad():
            training = net.training
            net.eval()(images)
            net.train(training)
    finally:
        for hook in hooks:
            hook.remove()
    return rows


__all__ = ["BLOCKS", "FA_FEEDBACK", "MODELS", "MODES", "Block", "ConvNet", "Network", "ResNet",
           "make_network", "sharing"]  # fmt: skip
