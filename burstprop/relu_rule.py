"""Burstprop for rectified units and a softmax output (specification, 5.4): equations on tensors.

A unit of event rate e bursts with probability p without a teacher and p_t with one. Bursts b = p e
and b_t = p_t e go down through the feedback weights Y, and their difference d = b_t - b is what a
unit learns from: delta = -d. The output's teaching signal is scaled by kappa, which keeps its burst
probability in range; the layer below the output divides by it again.

Every function exists in two forms, equal on paper:

    original   computes b and b_t, sends both and subtracts. In float32 the difference drowns in
               rounding, the more the deeper the layer: d is kappa times smaller than b, then four
               times smaller a layer (defect D11)
    exact      computes and sends b and d, and never subtracts two numbers that are nearly equal

so a pair that goes down is (b, b_t) in the one and (b, d) in the other. Shapes: labels (B,);
all else (B, units) or (B, channels, height, width), one and the same for all tensors of a call.
"""

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-8  # the original's, where it divides by a rate that may be zero


def output_original(
    logits: Tensor, labels: Tensor, p_baseline: float, kappa: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Softmax output: b, b_t and delta = -(b_t - b) / kappa."""
    a = logits.softmax(1)
    b = p_baseline * a
    taught = kappa * (_one_hot(labels, a) - a) / (a + EPSILON) + 1
    b_t = (p_baseline * taught).clamp_max(1.0) * a
    return b, b_t, -(b_t - b) / kappa


def output_exact(
    logits: Tensor, labels: Tensor, p_baseline: float, kappa: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Softmax output: b, d and delta = -d / kappa, about -p_baseline (T - softmax)."""
    a = logits.softmax(1)
    raised = p_baseline * kappa * (_one_hot(labels, a) - a) / (a + EPSILON)
    d = raised.clamp_max(1.0 - p_baseline) * a
    return p_baseline * a, d, d / -kappa


def hidden_original(
    e: Tensor, f: Tensor, f_t: Tensor, kappa: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Rectified units at rate e under the feedback f, f_t: b, b_t and delta.

    kappa: what the layer above, if it is the output, has scaled its teaching signal by.
    """
    m = (e > 0) / (e + EPSILON)
    p = torch.sigmoid(f * m)
    p_t = torch.sigmoid((f_t if kappa == 1.0 else (f_t - f) / kappa + f) * m)
    b, b_t = p * e, p_t * e
    return b, b_t, -(b_t - b)


def hidden_exact(
    e: Tensor, f: Tensor, g: Tensor, kappa: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """As `hidden_original`, from f and g = f_t - f: b, d and delta = -d."""
    m = (e > 0) / (e + EPSILON)
    u = f * m
    d = sigmoid_difference(u, g * m / kappa).mul_(e)
    return torch.sigmoid(u).mul_(e), d, -d


def sigmoid_difference(u: Tensor, v: Tensor) -> Tensor:
    """sigmoid(u + v) - sigmoid(u) to the last digits, however small v is.

    For v > 0 it is sigmoid(u + v) sigmoid(-u) (1 - exp(-v)), and the same with the two ends
    exchanged for v < 0, so that the exponential never overflows.
    """
    end = u + v
    rise = torch.expm1(-v.abs()).neg_().copysign_(v)
    rise.mul_(torch.sigmoid(torch.maximum(u, end)))
    return rise.mul_(torch.sigmoid(-torch.minimum(u, end)))


def _one_hot(labels: Tensor, like: Tensor) -> Tensor:
    return functional.one_hot(labels, like.shape[1]).to(like.dtype)
