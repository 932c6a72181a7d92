"""Who shares which activation (asap, 5), and what a network need not keep because of it.

x_j is the input of block j. Every k-th of them is shared: all layers up to the next one learn from
it, and a block's second layer learns from its own block's input already.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

SHARING = {"kp": 0, "asap": 1, "asap_k4": 2}
"""Blocks that a shared activation serves; 0: every layer learns from its own input."""


def renewed(shared: Tensor | None, x: Tensor, j: int, every: int) -> Tensor | None:
    """The shared activation from inside block j on: x_j at every `every`-th block, else the one
    before; None where nothing is shared."""
    return x if every and j % every == 0 else shared


class MaskReLU(nn.Module):
    """ReLU that keeps one byte an element for its backward instead of its result.

    For outputs that nothing else keeps: where activations are shared, most layers' inputs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x of any shape -> max(x, 0)."""
        return _MaskReLU.apply(x)[0]


class _MaskReLU(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.clamp_min(0), x > 0

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, delta: Tensor, _: Tensor) -> Tensor:
        (mask,) = ctx.saved_tensors
        return delta * mask


def sources(net: nn.Module, images: Tensor) -> list[dict[str, Any]]:
    """Of each convolution: layer, input, what it learns from, how often that is tiled and pooled.

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
