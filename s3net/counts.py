"""What a network costs by count: parameters and multiplications."""

import copy

import torch
from torch import nn


def multiplications(net: nn.Module, size: int, channels: int = 3) -> int:
    """Multiply-accumulates of convolutions and linear layers for one image (channels, size, size);
    counted by shapes, on no device."""
    total = 0

    def count(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += output[0].numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            total += output[0].numel() * layer.in_features

    shapes = copy.deepcopy(net).to("meta").eval()
    for layer in shapes.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        shapes(torch.empty(1, channels, size, size, device="meta"))
    return total
