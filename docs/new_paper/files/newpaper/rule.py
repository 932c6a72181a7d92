"""Direct random target projection: what a hidden layer learns from is the label alone.

    h_0 = x,   z_l = h_(l-1) W_l^T + b_l,   h_l = tanh(z_l),   logits z_L     (newpaper, 4)

    delta_L = (softmax(z_L) - y) / N                                  the output: backprop's own
    delta_l = -(y B_l) (1 - h_l^2) / N                                a hidden layer (newpaper, 5)
    dW_l = delta_l^T h_(l-1),   db_l = sum of delta_l over the batch

y is one-hot (N, C), B_l (C, n_l) is drawn once and never learns, N the images of the batch. No
layer waits for the one above, and none needs its weights.

YOUR RULE HERE: `hidden_delta` is the one function that says how a hidden layer learns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

RULES = ("drtp", "bp")


class Gradients(NamedTuple):
    """Descent directions of W and b, from the first layer up, in their shapes."""

    W: list[Tensor]
    b: list[Tensor]


def forward(W: Sequence[Tensor], b: Sequence[Tensor], x: Tensor) -> tuple[list[Tensor], Tensor]:
    """Each layer's input h_0 .. h_(L-1), (N, n_l), and the logits z_L (N, C)."""
    h = [x]
    for W_l, b_l in zip(W[:-1], b[:-1], strict=True):
        h.append(torch.tanh(torch.addmm(b_l, h[-1], W_l.t())))
    return h, torch.addmm(b[-1], h[-1], W[-1].t())


def hidden_delta(
    rule: str, h: Tensor, y: Tensor, B: Tensor, above: Tensor, W_above: Tensor
) -> Tensor:
    """delta_l (N, n_l) of a hidden layer with activity h (N, n_l).

    y, B          labels (N, C), the layer's fixed matrix (C, n_l)
    above, W_above  delta of the next layer (N, n_(l+1)), its weights: what backprop needs
    """
    credit = above @ W_above if rule == "bp" else -(y @ B) / len(y)
    return credit * (1 - h * h)


def gradients(
    W: Sequence[Tensor],
    b: Sequence[Tensor],
    B: Sequence[Tensor],
    x: Tensor,
    y: Tensor,
    rule: str = "drtp",
    sum_over_batch: bool = False,
) -> tuple[Gradients, Tensor]:
    """Where the rule moves W and b on images x (N, n_0) with one-hot y (N, C); the logits before.

    sum_over_batch  (newpaper, D1): the sum over the batch in the place of its mean
    """
    h, logits = forward(W, b, x)
    delta = (torch.softmax(logits, 1) - y) / len(y)
    pairs: list[tuple[Tensor, Tensor]] = []
    for layer in reversed(range(len(W))):
        pairs.insert(0, (delta.t() @ h[layer], delta.sum(0)))
        if layer:
            delta = hidden_delta(rule, h[layer], y, B[layer - 1], delta, W[layer])
    scale = len(y) if sum_over_batch else 1
    return Gradients([dW * scale for dW, _ in pairs], [db * scale for _, db in pairs]), logits
