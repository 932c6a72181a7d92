"""The feedback modes of the paper's networks (asap, 2): which layer each of them makes.

A convolution's bias is cancelled by the batch norm behind it: its gradient is zero, so it is not
computed; the bias decays with the weights, as in the original.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from asap.layers import INITS, DirectFeedback, FeedbackConv2d, FeedbackLinear, SharedConv2d
from asap.sharing import SHARING
from common.doors.arguments import integer
from common.doors.sizes import integers
from common.errors import ArgumentError, unknown

MODES = ("bp", "fa", "dfa", *SHARING)
FA_FEEDBACK = ("independent", "copy", "tied")


class Network(nn.Module):
    """A network of the paper: how its mode makes its layers, and what of them learns.

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

    def checked_widths(self, widths: Sequence[int], count: int) -> tuple[int, ...]:
        widths = integers("widths", widths, count=count)
        if self.shares and any(b % a for a, b in zip(widths, widths[1:], strict=False)):
            raise ArgumentError(
                "widths",
                f"(={widths}) must each be a multiple of the one before: "
                "shared activations are tiled",
            )
        return widths

    def make_stem(self, channels: int, width: int, kernel: int, bias: bool) -> nn.Conv2d:
        """The first convolution: no error goes below it, so it needs no feedback weights."""
        stem = nn.Conv2d(channels, width, kernel, padding=kernel // 2, bias=bias)
        if self.frozen_stem:
            stem.requires_grad_(False)
        return without_bias_gradient(stem)

    def make_conv(
        self, channels: int, width: int, kernel: int, stride: int = 1, bias: bool = True
    ) -> nn.Conv2d:
        words: dict[str, Any] = {"stride": stride, "padding": kernel // 2, "bias": bias}
        if self.shares:
            return without_bias_gradient(
                SharedConv2d(channels, width, kernel, transport=self.wt, **words)
            )
        if self.mode != "fa" or self.fa_feedback == "tied":
            return without_bias_gradient(nn.Conv2d(channels, width, kernel, **words))
        conv = FeedbackConv2d(channels, width, kernel, **words)
        if self.fa_feedback == "copy":
            conv.B.data.copy_(conv.weight.data)
        return without_bias_gradient(conv)

    def make_linear(self, inputs: int, outputs: int) -> nn.Linear:
        """Its bias too is cancelled by the batch norm behind it."""
        if self.mode == "bp":
            return without_bias_gradient(nn.Linear(inputs, outputs))
        bound = (6 / inputs) ** 0.5
        if self.mode == "dfa":
            linear = nn.Linear(inputs, outputs)
        else:
            linear = FeedbackLinear(inputs, outputs, init=self.feedback_init)
            if self.feedback_init == "scaled":
                linear.draw_feedback(bound)
        nn.init.uniform_(linear.weight, -bound, bound)
        nn.init.zeros_(linear.bias)
        return without_bias_gradient(linear)

    def make_receivers(self, shapes: Sequence[tuple[int, ...]]) -> list[DirectFeedback]:
        return [DirectFeedback(self.classes, s) for s in shapes] if self.mode == "dfa" else []

    def cancelled_biases(self) -> list[nn.Parameter]:
        """Biases whose gradient is zero and that only decay: all but those of frozen layers."""
        layers = [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        biases = [m.bias for m in layers if m.weight.requires_grad]
        return [b for b in biases if isinstance(b, nn.Parameter)]

    def learned_feedback(self) -> dict[str, tuple[Tensor, nn.Parameter]]:
        """(W, B) of every layer whose B learns, by the layer's name; neither of them is frozen."""
        pairs = {}
        for name, layer in self.named_modules():
            if isinstance(layer, SharedConv2d) and layer.weight.requires_grad:
                B = layer.weight_fa
                if isinstance(B, nn.Parameter) and (B.requires_grad or layer.moved):
                    pairs[name] = (layer.weight, B)
        return pairs


def without_bias_gradient(layer: Any) -> Any:
    if layer.bias is not None:
        layer.bias.requires_grad_(False)
    return layer
