"""What the original PyTorch programs draw from their seed: split, weights, order of every epoch.

Those programs seed torch's global generator once and then draw from it in this order: the
permutation that splits off the validation images; for every layer nn.Linear's own uniform draw,
followed in the MNIST program by a normal draw over it, W1, W2, E2, W3, E3, …; then, each epoch, a
base seed for the training loader's workers, the seed of its shuffling sampler, and a base seed for
the validation loader.

Here the same numbers come from a generator of our own, so that they are a pure function of the
seed: nothing else that draws can shift them, and a resumed run asks for `epoch_order(epoch)` again.

    >>> from lra_e.torch_seedpath import SeedPath
    >>> path = SeedPath([784, 256, 256, 256, 256, 10], init="normal")
    >>> path.train_indices[path.epoch_order(1)][:50].shape      # the images of the first batch
    (50,)
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from common.doors.arguments import integer, number
from common.errors import ArgumentError, unknown
from lra_e.networks import widths

INITS = ("normal", "linear")
DRAWS_PER_EPOCH = 3


class SeedPath:
    """The draws of one program.

    layer_sizes  widths n_0 .. n_L; how many weights are drawn decides what the epochs draw
    init         "normal": N(0, std^2) for W and E (the MNIST program)
                 "linear": nn.Linear's default, U(-1, 1) / sqrt(fan_in) (the Fashion-MNIST program)
    n, n_val     images of the training set, and how many of them are held out
    std_w, std_e standard deviations of "normal"

    `train_indices` (n - n_val,) and `val_indices` (n_val,) are positions in the training set,
    int64. `W` and `E` are float32 CPU tensors in canonical layout: W[i] (n_i, n_{i+1}) and
    E[i] (n_{i+2}, n_{i+1}).
    Raises ArgumentError for an unknown init, a number out of its range or a hold-out that leaves
    nothing to train on.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        init: str = "normal",
        n: int = 60_000,
        n_val: int = 2_000,
        seed: int = 1234,
        std_w: float = 0.1,
        std_e: float = 0.1,
    ) -> None:
        if init not in INITS:
            raise unknown("init", init, INITS)
        layer_sizes, n = widths(layer_sizes), integer("n", n)
        n_val = integer("n_val", n_val, least=0)
        if n_val >= n:
            raise ArgumentError("n_val", f"(={n_val}) must be less than n (={n})")
        std_w, std_e = number("std_w", std_w, least=0), number("std_e", std_e, least=0)
        seed = integer("seed", seed, least=-(2**63), most=2**64 - 1)
        stds = (std_w, std_e) if init == "normal" else (None, None)
        generator = torch.Generator().manual_seed(seed)
        split = torch.randperm(n, generator=generator).numpy()
        self.train_indices: np.ndarray = split[: n - n_val]
        self.val_indices: np.ndarray = split[n - n_val :]
        self.W: list[Tensor] = []
        self.E: list[Tensor] = []
        for below, above in zip(layer_sizes, layer_sizes[1:], strict=False):
            self.W.append(_draw_linear(below, above, stds[0], generator).t().contiguous())
            if len(self.W) > 1:  # E maps from the upper layer to the lower one
                self.E.append(_draw_linear(above, below, stds[1], generator).t().contiguous())
        self._before_epochs = generator.get_state()

    def epoch_order(self, epoch: int) -> np.ndarray:
        """Order of the training images in an epoch, 1 for the first: positions in `train_indices`.

        (n - n_val,) int64. ArgumentError for an epoch below 1.
        """
        epoch = integer("epoch", epoch)
        generator = torch.Generator()
        generator.set_state(self._before_epochs)
        for _ in range(DRAWS_PER_EPOCH * (epoch - 1) + 1):  # ending with this epoch's base seed
            _draw_seed(generator)
        sampler = torch.Generator().manual_seed(_draw_seed(generator))
        return torch.randperm(len(self.train_indices), generator=sampler).numpy()


def _draw_linear(
    fan_in: int, fan_out: int, std: float | None, generator: torch.Generator
) -> Tensor:
    """The weight (fan_out, fan_in) of a new nn.Linear, then N(0, std^2) over it if std is given."""
    weight = torch.empty(fan_out, fan_in, dtype=torch.float32)
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
    return weight if std is None else weight.normal_(0.0, std, generator=generator)


def _draw_seed(generator: torch.Generator) -> int:
    return int(torch.empty((), dtype=torch.int64).random_(generator=generator).item())
