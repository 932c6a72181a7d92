"""Linear and convolutional layers with feedback weights B of their own.

    up      z = W x + b
    down    what x gets is B^T dz, where backprop has W^T dz
    learn   W and B both get W's gradient, from x and dz: both ends of a connection know these two

With a weight decay that both share, W - B shrinks by (1 - lr decay) a step: reciprocal learning
(Kolen and Pollack 1994; `brainprop.step` in TensorFlow). `conversion.convert` makes these layers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from common.backends import torch_convolution


class SeparateLinear(nn.Linear):
    """nn.Linear whose error goes down through B, a parameter of W's shape."""

    B: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`(..., in)` -> `(..., out)`, to the bit as nn.Linear."""
        return _Linear.apply(*_as_autocast(x, self.weight, self.B, self.bias))


class SeparateConv2d(nn.Conv2d):
    """nn.Conv2d whose error goes down through B, a parameter of W's shape."""

    B: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """`(n, C, H, W)` or one image `(C, H, W)`, to the bit as nn.Conv2d."""
        if x.dim() == 3:
            return self.forward(x[None])[0]
        padding = self.padding
        if self.padding_mode != "zeros" or isinstance(padding, str):
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            x, padding = F.pad(x, self._reversed_padding_repeated_twice, mode), (0, 0)
        how = (tuple(self.stride), tuple(padding), tuple(self.dilation), self.groups)
        return _Conv2d.apply(*_as_autocast(x, self.weight, self.B, self.bias), *how)


def _as_autocast(x: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
    """Under autocast all in its type, so that the way down is in that type too."""
    kind = x.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind) or x.dtype == torch.float64:
        return x, *others
    dtype = torch.get_autocast_dtype(kind)
    return tuple(t if t is None else t.to(dtype) for t in (x, *others))


class _Linear(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, W: Tensor, B: Tensor, b: Tensor | None) -> Tensor:
        return F.linear(x, W, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, _, B, _ = inputs
        ctx.save_for_backward(x, B)

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple:
        x, B = ctx.saved_tensors
        down, of_W, of_B, of_b = ctx.needs_input_grad
        dx = dz @ B if down else None
        rows = dz.reshape(-1, dz.shape[-1])
        dW = rows.t() @ x.reshape(-1, x.shape[-1]) if of_W or of_B else None
        return dx, dW if of_W else None, dW if of_B else None, rows.sum(0) if of_b else None


class _Conv2d(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, W: Tensor, B: Tensor, b: Tensor | None, *how: Any) -> Tensor:
        return F.conv2d(x, W, b, *how)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, _, B, _, *how = inputs
        ctx.save_for_backward(x, B)
        ctx.how = dict(zip(("stride", "padding", "dilation", "groups"), how, strict=True))

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple:
        x, B = ctx.saved_tensors
        down, of_W, of_B, of_b = ctx.needs_input_grad[:4]
        # W stands in no gradient but x's, where B takes its place.
        wanted = (down, of_W or of_B, of_b)
        dx, dW, db = torch_convolution.backward(dz, x, B, wanted=wanted, **ctx.how)
        return dx, dW if of_W else None, dW if of_B else None, db, *(None,) * 4
