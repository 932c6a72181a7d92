"""Fully connected networks (newpaper, 4), and the fixed matrices of the rule."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from common.errors import ArgumentError


class Network(nn.Module):
    """W_l (n_l, n_(l-1)), b_l (n_l,) that learn; B_l (C, n_l) of every hidden layer, which do not.

    sizes  n_0 .. n_L: pixels, hidden units, classes
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = list(sizes)
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        self.W = nn.ParameterList([nn.Parameter(_uniform(n, m, m)) for m, n in pairs])
        self.b = nn.ParameterList([nn.Parameter(torch.zeros(n)) for _, n in pairs])
        classes = self.sizes[-1]
        for layer, units in enumerate(self.sizes[1:-1], start=1):
            self.register_buffer(f"B{layer}", _uniform(classes, units, units))

    @property
    def B(self) -> list[Tensor]:
        """The fixed matrices, from the first hidden layer up."""
        return [self.get_buffer(f"B{layer}") for layer in range(1, len(self.W))]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, C) of images (N, n_0)."""
        from newpaper.rule import forward

        return forward(list(self.W), list(self.b), images)[1]


def make_network(sizes: Sequence[int]) -> Network:
    """A network with these numbers of units, drawn from torch's generator. ArgumentError for
    fewer than two layers, or one without a unit."""
    if len(sizes) < 2 or min(sizes) < 1:
        raise ArgumentError("sizes", f"(={list(sizes)}) must be two numbers >= 1 or more")
    return Network(sizes)


def _uniform(rows: int, columns: int, inputs: int) -> Tensor:
    """(rows, columns), uniform with variance 1 / inputs."""
    return torch.empty(rows, columns).uniform_(-1, 1) * math.sqrt(3 / inputs)
