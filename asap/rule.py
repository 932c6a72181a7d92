"""The rules: what a layer sends down, and what its weights learn from.

    W, b    forward weights and bias            x   the layer's own input
    B       feedback weights, shaped like W     s   shared activation: another layer's input
    delta   gradient at the layer's output      F   direct feedback, (classes, features)
    e       gradient at the logits

Only the two derivatives of linear and convolutional layers are replaced; batch norm, ReLU, pooling
and sums keep theirs.

    feedback alignment    x gets B^T delta        W learns from (x, delta)   B is fixed
    Kolen-Pollack         x gets B^T delta        W, B learn from (x, delta)
    activation sharing    x gets B^T delta        W, B learn from (s, delta)   Woo et al. 2021
    weight transport      x gets W^T delta        W learns from (s, delta)
    direct feedback       x gets F^T e            nothing arrives from above

Every function works under autocast, torch.compile, torch.func and double precision; none knows a
module, a file or a command line. `layers` has the modules.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from common.backends import torch_convolution
from common.errors import ArgumentError

Pair = Sequence[int]


def linear(x: Tensor, W: Tensor, B: Tensor, b: Tensor | None = None) -> Tensor:
    """x W^T + b, whose error travels down through B.

    x (…, n_in), W and B (n_out, n_in), b (n_out,) or None -> (…, n_out). B receives W's gradient if
    it requires one. Lillicrap et al. 2016; Kolen & Pollack 1994. ArgumentError for a B unlike W;
    what does not fit W ends as in nn.Linear.
    """
    _check(x, W, B)
    x, W, B, b = _as_autocast(x, W, B, b)
    return _Linear.apply(x, W, B, b)


def conv2d(
    x: Tensor,
    W: Tensor,
    B: Tensor,
    b: Tensor | None = None,
    s: Tensor | None = None,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Convolution whose error travels down through B and whose weights learn from s (None: x).

    x (N, C_in, H, W), W and B (C_out, C_in / groups, kh, kw), b (C_out,) or None,
    s (N, C_s, H_s, W_s) with C_in a multiple of C_s and H_s >= H, W_s >= W; it is brought to x's
    shape by `match` and gets no gradient. B receives W's gradient if it requires one. With a shared
    s the layer does not keep x. x and s may both be one image without N, as for nn.Conv2d.
    ArgumentError for a B unlike W and an s that does not fit; the rest ends as in nn.Conv2d.
    """
    _check(x, W, B)
    if x.dim() == 3:
        one = None if s is None else s if s is x else s.unsqueeze(0)
        given: dict[str, Any] = {"stride": stride, "padding": padding}
        given |= {"dilation": dilation, "groups": groups}
        batch = x.unsqueeze(0)
        return conv2d(batch, W, B, b, batch if one is x else one, **given).squeeze(0)
    if s is not None and (s.dtype, s.device) != (x.dtype, x.device) and not _autocasts(x):
        raise ArgumentError(
            "s",
            f"({s.dtype} on {s.device}) must be of x's type and device, {x.dtype} on {x.device}",
        )
    x, W, B, b, s = _as_autocast(x, W, B, b, s)
    how = (tuple(stride), tuple(padding), tuple(dilation), groups)
    if s is None or s is x:
        return _Conv2d.apply(x, W, B, b, *how)
    check_match(s.shape, x.shape)
    return _SharedConv2d.apply(x, W, B, b, s.detach(), *how)


def receive(x: Tensor, F: Tensor) -> tuple[Tensor, Tensor]:
    """Direct feedback alignment: x as it is, and a carry of zeros (N, classes).

    x (N, …), F (classes, …) with x's trailing shape. Add the carry to the logits: it brings e down
    here, and x receives e F instead of what the layers above would send. The x that is returned
    needs no gradient, so those layers do not compute one for it. Nokland 2016. ArgumentError for
    an x of another shape.
    """
    _tensor(x)
    if x.dim() != F.dim() or x.shape[1:] != F.shape[1:]:
        raise ArgumentError(
            "x",
            f"(shape {tuple(x.shape)}) must be (N, "
            f"{', '.join(map(str, F.shape[1:]))}), as F has it",
        )
    return _Receive.apply(x, F)


def match(s: Tensor, shape: Sequence[int]) -> Tensor:
    """s tiled along its channels and max-pooled to `shape` (N, C, H, W) (asap, 5).

    The channels come as 0..C_s-1, 0..C_s-1, …; kernel and stride of the pool are H_s / H. Where the
    sizes do not divide, which the original does not meet, the pool is torch's adaptive one.
    """
    check_match(s.shape, shape)
    pooled = _pool(s, shape)
    copies = shape[1] // s.shape[1]
    return torch.cat([pooled] * copies, 1) if copies > 1 else pooled


def check_match(s: Sequence[int], x: Sequence[int]) -> None:
    """ArgumentError unless a shared activation of shape `s` can stand in for an input of shape
    `x`."""
    fits = len(s) == len(x) == 4 and s[0] == x[0] and s[1] > 0 and min(x[2:]) > 0
    if not fits or x[1] % s[1] or any(a < b for a, b in zip(s[2:], x[2:], strict=True)):
        raise ArgumentError("s", f"(shape {tuple(s)}) cannot be tiled and pooled to {tuple(x)}")


def _tensor(x: Any) -> None:
    if not isinstance(x, Tensor):
        raise ArgumentError("x", f"(of type {type(x).__name__}) must be a torch tensor")


def _check(x: Any, W: Tensor, B: Tensor) -> None:
    """What torch would find out in the backward pass only."""
    _tensor(x)
    if B.shape != W.shape or B.dtype != W.dtype:
        raise ArgumentError(
            "B", f"({tuple(B.shape)}, {B.dtype}) must be like W, ({tuple(W.shape)}, {W.dtype})"
        )


def _pool(s: Tensor, shape: Sequence[int]) -> Tensor:
    (height, width), (h, w) = s.shape[2:], shape[2:]
    if (height, width) == (h, w):
        return s
    if height % h or width % w:
        return functional.adaptive_max_pool2d(s, (h, w))
    return functional.max_pool2d(s, (height // h, width // w))


def _autocasts(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


def _as_autocast(x: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
    """Under autocast, everything in its type; else as it is."""
    if x.device.type == "meta" or not _autocasts(x):
        return x, *others
    dtype = torch.get_autocast_dtype(x.device.type)
    return tuple(t if t is None else t.to(dtype) for t in (x, *others))


class _Linear(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, W: Tensor, B: Tensor, b: Tensor | None) -> Tensor:
        return functional.linear(x, W, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, _, B, b = inputs
        ctx.save_for_backward(x, B)
        ctx.biased = b is not None

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple:
        x, B = ctx.saved_tensors
        needs_x, needs_W, needs_B, needs_b = ctx.needs_input_grad
        rows, gradient = delta.reshape(-1, delta.shape[-1]), None
        if needs_W or needs_B:
            gradient = rows.t() @ x.reshape(-1, x.shape[-1])
        return (
            delta @ B if needs_x else None,
            gradient if needs_W else None,
            gradient if needs_B else None,
            rows.sum(0) if ctx.biased and needs_b else None,
        )


def _convolve(x: Tensor, W: Tensor, b: Tensor | None, how: tuple) -> Tensor:
    stride, padding, dilation, groups = how
    return functional.conv2d(x, W, b, stride, padding, dilation, groups)


def _convolve_backward(
    delta: Tensor, x: Tensor, W: Tensor, how: tuple, wanted: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Both derivatives in one call: down through W, and the weights' from x."""
    stride, padding, dilation, groups = how
    names = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return torch_convolution.backward(delta, x, W, wanted=wanted, **names)


class _Conv2d(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, W: Tensor, B: Tensor, b: Tensor | None, *how: Any) -> Tensor:
        return _convolve(x, W, b, how)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, _, B, _, *how = inputs
        ctx.save_for_backward(x, B)
        ctx.how = tuple(how)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple:
        x, B = ctx.saved_tensors
        needs_x, needs_W, needs_B, needs_b = ctx.needs_input_grad[:4]
        wanted = (needs_x, needs_W or needs_B, needs_b)
        down, gradient, bias = _convolve_backward(delta, x, B, ctx.how, wanted)
        return (
            down,
            gradient if needs_W else None,
            gradient if needs_B else None,
            bias,
            *(None,) * 4,
        )


class _SharedConv2d(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, W: Tensor, B: Tensor, b: Tensor | None, s: Tensor, *how: Any) -> Tensor:
        return _convolve(x, W, b, how)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, _, B, _, s, *how = inputs
        ctx.save_for_backward(s, B)
        ctx.shape, ctx.how = x.shape, tuple(how)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple:
        s, B = ctx.saved_tensors
        needs_x, needs_W, needs_B, needs_b = ctx.needs_input_grad[:4]
        learns = needs_W or needs_B
        copies = ctx.shape[1] // s.shape[1]
        if copies == 1 or ctx.how[-1] > 1:
            a = match(s, ctx.shape)
            down, gradient, bias = _convolve_backward(
                delta, a, B, ctx.how, (needs_x, learns, needs_b)
            )
        else:
            # The gradient of a tiled input is the tiled gradient: a copy's worth of work only.
            like_x = delta.new_empty(1).expand(ctx.shape)
            down, _, bias = _convolve_backward(delta, like_x, B, ctx.how, (needs_x, False, needs_b))
            gradient = None
            if learns:
                a = _pool(s, ctx.shape)
                like_W = delta.new_empty(1).expand(B.shape[0], s.shape[1], *B.shape[2:])
                _, part, _ = _convolve_backward(delta, a, like_W, ctx.how, (False, True, False))
                assert part is not None
                gradient = torch.cat([part] * copies, 1)
        return (
            down,
            gradient if needs_W else None,
            gradient if needs_B else None,
            bias,
            *(None,) * 5,
        )


class _Receive(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, F: Tensor) -> tuple[Tensor, Tensor]:
        return x.detach(), x.new_zeros(x.shape[0], F.shape[0])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        x, F = inputs
        ctx.mark_non_differentiable(output[0])
        ctx.save_for_backward(F)

    @staticmethod
    def backward(ctx: Any, _: Tensor, e: Tensor) -> tuple:
        (F,) = ctx.saved_tensors
        return direct_feedback(e, F), None


def direct_feedback(e: Tensor, F: Tensor) -> Tensor:
    """e F: (N, classes) through (classes, …) -> (N, …), in F's memory format."""
    F = F.to(e.dtype)
    if F.dim() == 4 and F.is_contiguous(memory_format=torch.channels_last):
        rows = F.permute(0, 2, 3, 1)
        return (e @ rows.flatten(1)).unflatten(1, rows.shape[1:]).permute(0, 3, 1, 2)
    return (e @ F.flatten(1)).unflatten(1, F.shape[1:])
