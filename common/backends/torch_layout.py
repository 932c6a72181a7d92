"""In which order a batch of images lies in memory, said without doubt.

Where a tensor (N, C, H, W) has one channel, or one pixel, both orders are the same numbers in the
same places: strides (HW, 1, W, 1) are "contiguous" and "channels-last" at once. torch then answers
`.contiguous()` with the tensor itself, and a convolution that meets those strides computes in
channels-last, whatever its caller has asked for. Here strides become those of a fresh tensor.
"""

import torch
from torch import Tensor, nn


def strides(shape: torch.Size, memory_format: torch.memory_format) -> tuple[int, ...]:
    """Those that `torch.empty(shape, memory_format=...)` has."""
    return torch.empty(shape, device="meta", memory_format=memory_format).stride()


def laid(images: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Images (N, C, H, W) with the strides of a fresh tensor of that format; the tensor itself
    where it has them, else a copy. What has not four axes becomes contiguous."""
    if images.dim() != 4:
        return images.contiguous()
    if images.stride() == strides(images.shape, memory_format):
        return images
    fresh = torch.empty(
        images.shape, dtype=images.dtype, device=images.device, memory_format=memory_format
    )
    return fresh.copy_(images)


def from_nhwc(images: Tensor) -> Tensor:
    """Images (N, H, W, C) as (N, C, H, W), without a copy: channels-last, or contiguous where
    there is one channel, so that a network that asks for nothing gets torch's default."""
    n, height, width, channels = images.shape
    if channels == 1:
        return images.reshape(n, 1, height, width)
    return images.permute(0, 3, 1, 2)


def lay(net: nn.Module, memory_format: torch.memory_format) -> None:
    """Convolutions' weights of a network in that format, in place, the ambiguous ones too; what
    has not four axes has no such format and stays. Their buffers likewise."""
    for module in net.modules():
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if tensor.dim() == 4:
                tensor.data = laid(tensor.data, memory_format)


def format_of(net: nn.Module) -> torch.memory_format:
    """Channels-last where weights of the network lie so, else contiguous."""
    last = any(is_channels_last(p) for p in net.parameters())
    return torch.channels_last if last else torch.contiguous_format


def is_channels_last(tensor: Tensor) -> bool:
    """Whether torch's convolutions take a tensor (N, C, H, W) for channels-last.

    By its strides alone, as they do: they must rise through C, W, H, N, and where they say nothing
    (all of one size) it is contiguous. `is_contiguous(memory_format=...)` is another question.
    """
    if tensor.dim() != 4 or not tensor.numel() or not tensor.stride(1):
        return False
    least = 0
    for axis in (1, 3, 2, 0):
        stride = tensor.stride(axis)
        if stride < least or (axis == 0 and least == tensor.stride(1)):
            return False
        least = stride * max(tensor.shape[axis], 1)
    return True
