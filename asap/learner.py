"""Training a network of the paper: one forward, one backward, one fused optimiser call.

W and B of a sharing layer get the same gradient (asap, 5), which autograd therefore computes once.
The optimiser moves B as it moves W, with a momentum of B's own; what is left of W - B decays.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from asap.layers import FeedbackConv2d, FeedbackLinear, backprop
from asap.modes import Network
from common.backends.torch_distributed import World
from common.backends.torch_learner import Pairs, TorchLearner
from common.doors.arguments import number
from common.errors import ArgumentError

MakeOptimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class Learner(TorchLearner[Network]):
    """A learner (see `common.backends.torch_learner`) around one of the paper's networks.

    net              as `networks.make_network` makes it, on its device and in its precision
    make_optimiser   parameters -> torch optimiser: `sgd` or `adam` below
    precision, compile, world   as in `TorchLearner`
    What `requires_grad` freezes keeps its bits, and with a W its B and its bias; freeze it before
    (ArgumentError in a step that finds it otherwise, or in another type or place).

    The network's memory format becomes channels-last where it is at least 16 channels wide.
    """

    def __init__(
        self,
        net: Network,
        make_optimiser: MakeOptimiser,
        *,
        precision: str = "float32",
        compile: bool = False,
        world: World | None = None,
    ) -> None:
        self._pairs = net.learned_feedback()
        for name, (_, B) in self._pairs.items():
            B.requires_grad_(False)
            net.get_submodule(name).moved = True  # type: ignore[assignment]
        learning = [p for p in net.parameters() if p.requires_grad]
        self._decaying = net.cancelled_biases()
        super().__init__(
            net,
            _memory_format(net),
            make_optimiser([*learning, *self._decaying, *(B for _, B in self._pairs.values())]),
            precision=precision,
            compile=compile,
            world=world,
        )
        self._zeros = [torch.zeros_like(bias) for bias in self._decaying]
        self._begun_with = self._conditions()

    def update(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; the logits (N, classes) before it."""
        if self._conditions() != self._begun_with:
            raise ArgumentError(
                "net",
                "was frozen, unfrozen, moved or given another type after "
                "its learner was made: make another one",
            )
        return super().update(images, labels)

    def differentiate(self, images: Tensor, labels: Tensor) -> Tensor:
        """As `TorchLearner.differentiate`; B gets W's gradient, a bias that only decays zero."""
        logits = super().differentiate(images, labels)
        for W, B in self._pairs.values():
            B.grad = W.grad
        for bias, zero in zip(self._decaying, self._zeros, strict=True):
            bias.grad = zero
        return logits

    def credit(self, images: Tensor, labels: Tensor) -> Pairs:
        """For each W that learns, the rule's descent direction and backprop's gradient."""
        mine = self.backprop_gradients(images, labels)
        with backprop(self.net):
            true = self.backprop_gradients(images, labels)
        return {name: (mine[name], true[name]) for name in mine}

    def feedback(self) -> dict[str, tuple[Tensor, Tensor]]:
        """W beside B of every layer that sends its error through B."""
        layers = self.net.named_modules()
        return {
            name: (layer.weight, layer.B)
            for name, layer in layers
            if isinstance(layer, FeedbackConv2d | FeedbackLinear)
            and layer.weight.requires_grad
            and not getattr(layer, "transport", False)
        }

    def parameters(self) -> int:
        """How many numbers learn: forward weights, decaying biases and learned feedback."""
        more = [*self._decaying, *(B for _, B in self._pairs.values())]
        return super().parameters() + sum(p.numel() for p in more)

    def _conditions(self) -> list[tuple[bool, torch.dtype, torch.device]]:
        """What the optimiser was made for."""
        return [(p.requires_grad, p.dtype, p.device) for p in self.net.parameters()]


def _memory_format(net: nn.Module) -> torch.memory_format:
    # Below 16 channels it gains nothing, and torch's weight gradient of a strided 1x1 convolution,
    # which backprop takes, writes outside its memory there (`common.backends.torch_convolution`).
    widths = [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)]
    return torch.channels_last if min(widths, default=0) >= 16 else torch.contiguous_format


def sgd(lr: float, momentum: float = 0.9, weight_decay: float = 5e-4) -> MakeOptimiser:
    """torch's SGD, fused, with the paper's momentum and decay. ArgumentError out of range."""
    number("lr", lr, least=0)
    number("momentum", momentum, least=0, below=1)
    number("weight_decay", weight_decay, least=0)
    return lambda parameters: torch.optim.SGD(
        parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True
    )


def adam(lr: float) -> MakeOptimiser:
    """torch's Adam, fused, without decay. ArgumentError for a rate out of range."""
    number("lr", lr, least=0)
    return lambda parameters: torch.optim.Adam(parameters, lr=lr, fused=True)
