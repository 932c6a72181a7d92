"""The gradients of a convolution, kept from a kernel that writes outside its memory.

oneDNN 3.13 (torch 2.15, and before) computes the weight gradient of a strided 1x1 convolution from
every stride-th pixel, which it copies to a workspace. In channels-last, with fewer input channels
than its vectors hold (8 with AVX2, 16 with AVX-512), it copies past the workspace's end: memory is
corrupted, or the gradient is wrong. It does so where the stride divides the image and there is
neither padding nor more than one group. Reported as uxlfoundation/oneDNN issue 6035.
`benchmarks.memory_sweep` finds that set anew for the torch that is installed.

What the guard costs: the question 1 µs a layer; all three gradients of 24 images 3x32x32 through a
1x1 convolution to 6 channels take 0.37 ms on AVX2 and 0.36 ms on AVX-512, where torch's safe call,
over contiguous tensors, takes 0.45 ms (AMD EPYC, one thread, a busy machine).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from common.backends.torch_layout import is_channels_last

VECTOR = 16
"""Numbers that the longest vectors hold; from so many input channels on the kernel is right."""

Pair = Sequence[int]


def corrupts(x: Tensor, W: Tensor, stride: Pair, padding: Pair = (0, 0), groups: int = 1) -> bool:
    """Whether torch's weight gradient of this convolution may write outside its memory: x
    (N, C_in, H, W), W (C_out, C_in / groups, kh, kw). Only strides and shapes are looked at."""
    return (
        x.device.type == "cpu"
        and W.shape[2:].numel() == 1
        and x.shape[1] < VECTOR
        and groups == 1
        and max(stride) > 1
        and not any(padding)
        and all(n % step == 0 for n, step in zip(x.shape[2:], stride, strict=True))
        and (is_channels_last(x) or is_channels_last(W))
    )


def backward(
    delta: Tensor,
    x: Tensor,
    W: Tensor,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    wanted: Sequence[bool] = (True, True, True),
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of x, W and the bias, those that are `wanted`, from delta (N, C_out, h, w),
    x (N, C_in, H, W) and W (C_out, C_in / groups, kh, kw), whose shape alone the last two need.

    torch's own call, bit for bit, wherever that keeps within its memory. Elsewhere the weights'
    is that of the convolution without stride over the pixels that it reads: the same sum. The
    bias' goes along: torch computes it in the same kernel, even where only it is wanted.
    """
    down, weights, bias = wanted
    if not (weights or bias) or not corrupts(x, W, stride, padding, groups):
        return _call(delta, x, W, stride, padding, dilation, groups, wanted)
    delta_x = None
    if down:
        delta_x = _call(delta, x, W, stride, padding, dilation, groups, (True, False, False))[0]
    read, ones = x[:, :, :: stride[0], :: stride[1]], ((1, 1), (0, 0), (1, 1))
    _, gradient, sums = _call(delta, read, W, *ones, groups, (False, weights, bias))
    return delta_x, gradient, sums


def _call(
    delta: Tensor,
    x: Tensor,
    W: Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    how = (list(stride), list(padding), list(dilation), False, [0, 0], groups, list(wanted))
    return torch.ops.aten.convolution_backward(delta, x, W, [W.shape[0]], *how)


def safe_format(net: nn.Module) -> torch.memory_format:
    """Channels-last, or contiguous where a convolution of the network has a weight gradient that
    corrupts memory in channels-last. For networks that torch itself differentiates."""
    unsafe = any(_would_corrupt(layer) for layer in net.modules())
    return torch.contiguous_format if unsafe else torch.channels_last


def _would_corrupt(layer: nn.Module) -> bool:
    W, stride = getattr(layer, "weight", None), getattr(layer, "stride", 1)
    if not isinstance(W, Tensor) or W.dim() != 4:
        return False
    strides = (stride,) if isinstance(stride, int) else stride
    whole = getattr(layer, "groups", 1) == 1 and W.shape[1] < VECTOR
    return whole and W.shape[2:].numel() == 1 and max(strides) > 1
