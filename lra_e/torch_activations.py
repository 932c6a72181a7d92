"""The activations that LRA-E's rule knows, in PyTorch."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Activation(NamedTuple):
    """phi, its derivative from (h, z), and phi(h) - phi(h - s) written without cancellation."""

    phi: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor], Tensor]
    change: Callable[[Tensor, Tensor, Tensor], Tensor]  # of h, z = phi(h), s


def _tanh_change(h: Tensor, z: Tensor, s: Tensor) -> Tensor:
    # tanh a - tanh b = tanh(a - b) (1 - tanh a tanh b). Only the first factor can be tiny and needs
    # torch.tanh; in the second tanh b = 2 sigmoid(2b) - 1 will do, at an eighth of the price.
    b = h - s
    half_y = torch.add(b, b, out=b).sigmoid_().sub_(0.5)
    t = s.tanh()
    return torch.addcmul(t, t * z, half_y, value=-2)


def _sigmoid_change(h: Tensor, z: Tensor, s: Tensor) -> Tensor:
    y = (h - s).sigmoid_()
    return (s / 2).tanh_() * (1 - (2 * z - 1) * (2 * y - 1)) / 2


def _relu_change(h: Tensor, z: Tensor, s: Tensor) -> Tensor:
    y = (h - s).relu_()
    return torch.where((z > 0) & (y > 0), s, z - y)


ACTIVATIONS = {
    "tanh": Activation(torch.tanh, lambda h, z: 1 - z * z, _tanh_change),
    "sigmoid": Activation(torch.sigmoid, lambda h, z: z * (1 - z), _sigmoid_change),
    "relu": Activation(torch.relu, lambda h, z: (h > 0).to(h.dtype), _relu_change),
    "linear": Activation(lambda h: h, lambda h, z: torch.ones_like(h), lambda h, z, s: s.clone()),
    # The rule needs no derivative, so it also trains units that have none.
    "sign": Activation(
        torch.sign, lambda h, z: torch.zeros_like(h), lambda h, z, s: z - torch.sign(h - s)
    ),
}
