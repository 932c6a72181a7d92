"""The rules as modules, for any torch network.

    FeedbackLinear, FeedbackConv2d   feedback alignment, Kolen-Pollack, sign symmetry
    SharedConv2d                     activation sharing: called as layer(x, s)
    DirectFeedback                   direct feedback alignment: a receiver of the output's error

Each holds its feedback weights as `weight_fa` (the originals' name; B in the formulas) or
`weight_fb` (F), in the state dict, in a storage of their own. What the mode trains is a parameter;
what it keeps is a buffer, which no `requires_grad_` and no optimiser reaches. `backprop(model)`
makes every layer of a model use the exact derivatives for a while, to compare.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asap import rule
from common.backends.torch_convolution import corrupts
from common.credit.torch_compare import made_exact
from common.doors.arguments import integer, number
from common.doors.sizes import integers
from common.errors import ArgumentError, unknown

FEEDBACK = ("fixed", "kp", "uniform", "batchwise", "frozen")
SIGN_SYMMETRIC = FEEDBACK[2:]
INITS = ("uniform", "scaled")


class _Feedback(nn.Module):
    """Feedback weights B beside a layer's W.

    feedback   "fixed"      B stays as drawn: feedback alignment
               "kp"         B gets W's gradient; give both the same optimiser settings, and weight
                            decay makes them one. Where W is frozen, B is too: alone it would only
                            run away
               "uniform", "batchwise", "frozen"   sign symmetry: W's present sign, times one
                            number, magnitudes drawn at every forward, or drawn once. The number and
                            the spread are W's root mean square at the start.
    Magnitudes are |N(0, 1)|, times that number. Only the B of "kp" is a parameter. ArgumentError
    for an unknown name.
    """

    weight: Tensor
    weight_fa: Tensor | None
    scale: Tensor
    moved = False  # a learner moves B along with W itself, so that B needs no gradient

    def _grow_feedback(self, feedback: str) -> None:
        """Draw B for a mode, in the place of any that the layer has."""
        if feedback not in FEEDBACK:
            raise unknown("feedback", feedback, FEEDBACK)
        self.feedback, self.exact, self.moved = feedback, False, False
        W = self.weight.detach()
        drawn = None
        if feedback not in ("uniform", "batchwise"):
            drawn = torch.empty_like(W)
            drawn = drawn.normal_().abs_() if feedback == "frozen" else drawn.copy_(W)
        self._hold(drawn, learns=feedback == "kp")
        self._buffers.pop("scale", None)
        if feedback in SIGN_SYMMETRIC:
            self.register_buffer("scale", W.square().mean().sqrt())

    def _hold(self, B: Tensor | None, learns: bool) -> None:
        self._parameters.pop("weight_fa", None)
        self._buffers.pop("weight_fa", None)
        if learns and B is not None:
            self.weight_fa = nn.Parameter(B, requires_grad=self.weight.requires_grad)
        else:
            self.register_buffer("weight_fa", B)

    @property
    def B(self) -> Tensor:
        """The feedback weights of this forward, shaped like W."""
        if self.feedback not in SIGN_SYMMETRIC:
            assert self.weight_fa is not None
            return self.weight_fa
        signed = self.weight.detach().sign() * self.scale
        if self.feedback == "uniform":
            return signed
        if self.feedback == "frozen":
            assert self.weight_fa is not None
            return signed * self.weight_fa
        return signed * torch.randn_like(signed).abs()

    def _sending(self) -> Tensor:
        """B, without a gradient of its own where W learns nothing."""
        return self.B if self.weight.requires_grad else self.B.detach()

    @torch.no_grad()
    def draw_feedback(self, bound: float) -> None:
        """Draw B anew from U(-bound, bound). ArgumentError where the mode has no such B."""
        number("bound", bound, above=0)
        if self.weight_fa is None or self.feedback in SIGN_SYMMETRIC:
            raise ArgumentError(
                "feedback", f"(={self.feedback}) follows W's signs: it is not drawn"
            )
        self.weight_fa.uniform_(-bound, bound)


class FeedbackLinear(nn.Linear, _Feedback):
    """nn.Linear whose error travels down through weights of its own; see `_Feedback`.

    B starts at U(-1, 1) ("uniform", as the original has it whatever the size) or ("scaled") at the
    distribution that nn.Linear draws W from.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        feedback: str = "fixed",
        init: str = "scaled",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if init not in INITS:
            raise unknown("init", init, INITS)
        integer("in_features", in_features)
        integer("out_features", out_features)
        super().__init__(in_features, out_features, bias, device=device, dtype=dtype)
        self._grow_feedback(feedback)
        if feedback in ("fixed", "kp"):
            self.draw_feedback(1.0 if init == "uniform" else in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """x (…, n_in) -> (…, n_out)."""
        if self.exact:
            return functional.linear(x, self.weight, self.bias)
        return rule.linear(x, self.weight, self._sending(), self.bias)


class FeedbackConv2d(nn.Conv2d, _Feedback):
    """nn.Conv2d whose error travels down through weights of its own; see `_Feedback`.

    Arguments are nn.Conv2d's. B starts as an own draw of the distribution of W.
    """

    def __init__(self, *args: Any, feedback: str = "fixed", **options: Any) -> None:
        super().__init__(*args, **options)
        integer("in_channels", self.in_channels)
        integer("out_channels", self.out_channels)
        self._grow_feedback(feedback)
        if feedback in ("fixed", "kp"):
            self.draw_feedback(self.weight[0].numel() ** -0.5)

    def forward(self, x: Tensor, s: Tensor | None = None) -> Tensor:
        """x (N, C_in, H, W) -> (N, C_out, H', W'), or one image without N, as nn.Conv2d."""
        padding = self.padding
        if self.padding_mode != "zeros" or isinstance(padding, str):
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x = functional.pad(x, self._reversed_padding_repeated_twice, mode=mode)
            padding = (0, 0)
        how: dict[str, Any] = {"stride": self.stride, "padding": padding}
        how |= {"dilation": self.dilation, "groups": self.groups}
        if self.exact and not corrupts(x, self.weight, self.stride, padding, self.groups):
            return functional.conv2d(x, self.weight, self.bias, **how)
        if self.exact:  # the same derivatives, by way of a call that keeps within its memory
            return rule.conv2d(x, self.weight, self.weight.detach(), self.bias, **how)
        return rule.conv2d(x, self.weight, self._sending(), self.bias, s, **how)


class SharedConv2d(FeedbackConv2d):
    """Convolution that learns from another layer's input: layer(x, s), or layer(x) from its own.

    transport   the error travels down through W itself (the original's --wt); B is kept, unused.
    Padding must be of zeros: a shared input is not padded (ArgumentError).
    """

    def __init__(
        self, *args: Any, feedback: str = "kp", transport: bool = False, **options: Any
    ) -> None:
        super().__init__(*args, feedback=feedback, **options)
        if self.padding_mode != "zeros" or isinstance(self.padding, str):
            raise ArgumentError("padding", "must be numbers, and padding_mode zeros")
        self.transport = transport
        if transport and self.weight_fa is not None:
            self._hold(self.weight_fa.detach(), learns=False)

    @property
    def B(self) -> Tensor:
        """The feedback weights, or W under weight transport."""
        return self.weight.detach() if self.transport else super().B


class DirectFeedback(nn.Module):
    """A receiver: y, carry = receiver(x); logits + carry; x then learns from e F alone.

    classes   width of the logits
    shape     of one activation: (features,) or (C, H, W)
    F (`weight_fb`, a buffer, (classes, *shape)) is drawn here from N(0, 1 / classes) and fixed.
    ArgumentError for sizes below 1.
    """

    weight_fb: Tensor

    def __init__(self, classes: int, shape: Sequence[int]) -> None:
        integer("classes", classes)
        integers("shape", shape)
        super().__init__()
        self.exact = False
        self.register_buffer("weight_fb", torch.randn(classes, *shape) * classes**-0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """x (N, *shape) -> x and the carry (N, classes), or None where nothing is to learn."""
        if self.exact or not torch.is_grad_enabled():
            return x, None
        return rule.receive(x, self.weight_fb)


@contextmanager
def backprop(model: nn.Module) -> Iterator[nn.Module]:
    """Every layer of the model uses the exact derivatives: the true gradient of the same net."""
    layers: list[Any] = [
        m
        for m in model.modules()
        if isinstance(m, _Feedback | DirectFeedback) or "weight_fb" in m._buffers
    ]
    with made_exact(layers):
        yield model
