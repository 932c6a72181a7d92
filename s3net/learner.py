"""Training one of the networks: plain backpropagation, as everything in this paper is trained."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from common.backends.torch_convolution import safe_format
from common.backends.torch_distributed import World
from common.backends.torch_learner import TorchLearner


class Learner(TorchLearner[nn.Module]):
    """A learner (see `common.backends.torch_learner`): cross-entropy, SGD with momentum, decay on
    every parameter.

    net         on its device and in its precision; it and its images are put into channels-last
                memory, unless a weight gradient would corrupt it
                (`common.backends.torch_convolution`)
    size        images are enlarged to size x size first (bilinear); None: as they come
    precision, compile, world   as in `TorchLearner`
    """

    def __init__(
        self,
        net: nn.Module,
        lr: float,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        size: int | None = None,
        precision: str = "float32",
        compile: bool = False,
        world: World | None = None,
    ) -> None:
        super().__init__(
            net,
            safe_format(net),
            sgd(net, lr, momentum, weight_decay),
            precision=precision,
            compile=compile,
            world=world,
        )
        self.size = size

    def place(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) of the size that the network is trained with."""
        if self.size is not None and images.shape[-1] != self.size:
            smaller = images.shape[-1] > self.size  # Pillow averages where it shrinks
            images = functional.interpolate(
                images, (self.size, self.size), mode="bilinear", antialias=smaller
            )
        return super().place(images)


def sgd(net: nn.Module, lr: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """torch's SGD, fused, over every parameter."""
    return torch.optim.SGD(
        net.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True
    )
