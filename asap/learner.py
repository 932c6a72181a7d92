"""Training a network of the paper: one forward, one backward, one fused optimiser call.

W and B of a sharing layer get the same gradient, so momentum and decay act on their difference
alone, whatever the data (asap, 5):

    u <- momentum u + decay c,   c <- c - lr u,   B = W - c (W_0 - B_0)

B therefore needs neither gradient nor momentum: a step moves it with W. Adam has no decay here, and
leaves the difference as it was.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from asap.layers import FeedbackConv2d, FeedbackLinear, backprop
from asap.networks import Network
from common.backends import torch_optim
from common.backends.protocols import State
from common.backends.torch_distributed import World
from common.backends.torch_learner import Pairs, TorchLearner
from common.doors.arguments import number
from common.errors import ArgumentError

MakeOptimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class Learner(TorchLearner[Network]):
    """A learner (see `common.backends.torch_learner`) around one of the paper's networks.

    net              as `networks.build` makes it, on its device and in its precision
    make_optimiser   parameters -> torch optimiser: `sgd` or `adam` below
    precision, compile, world   as in `TorchLearner`
    What `requires_grad` freezes keeps its bits, and with a W its B and its bias; freeze it before
    (ArgumentError in a step that finds it otherwise, or in another type or place). A state that is
    loaded into the network later is noticed.

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
            make_optimiser([*learning, *self._decaying]),
            precision=precision,
            compile=compile,
            world=world,
        )
        for bias in self._decaying:
            bias.grad = torch.zeros_like(bias)
        self._read_feedback()
        self._begun_with = self._conditions()

    def update(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; the logits (N, classes) before it."""
        if self._conditions() != self._begun_with:
            raise ArgumentError("net", "was frozen, unfrozen, moved or given another type after "
                                "its learner was made: make another one")  # fmt: skip
        if self._written() != self._versions:  # somebody loaded a state
            self._read_feedback()
        logits = super().update(images, labels)
        self._move_feedback()
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

    def state(self) -> State:
        """As `TorchLearner.state`, with learned B as its difference."""
        state = super().state()
        for name, difference in zip(self._pairs, self._differences, strict=True):
            del state[f"{name}.weight_fa"]
            state[f"{name}.difference"] = difference
        return state | {"feedback.c": self._c, "feedback.u": self._u}

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        mine = {f"{name}.weight_fa": B for name, (_, B) in self._pairs.items()}
        super().load_state(mine | dict(state))
        for name, difference in zip(self._pairs, self._differences, strict=True):
            difference.copy_(state[f"{name}.difference"])
        self._c, self._u = state["feedback.c"], state["feedback.u"]
        self._place_feedback()

    def _conditions(self) -> list[tuple[bool, torch.dtype, torch.device]]:
        """What the optimiser and the differences were made for."""
        return [(p.requires_grad, p.dtype, p.device) for p in self.net.parameters()]

    def _written(self) -> list[int]:
        """How often each learned B has been written to."""
        return [B._version for _, B in self._pairs.values()]

    @torch.no_grad()
    def _read_feedback(self) -> None:
        """Begin with the W - B that are there; W's momentum is B's too."""
        self._differences = [W - B for W, B in self._pairs.values()]
        self._c, self._u = 1.0, 0.0
        self._versions = self._written()

    @torch.no_grad()
    def _move_feedback(self) -> None:
        group = self.optimiser.param_groups[0]
        self._u = group.get("momentum", 0.0) * self._u + group["weight_decay"] * self._c
        self._c -= group["lr"] * self._u
        self._place_feedback()

    @torch.no_grad()
    def _place_feedback(self) -> None:
        for (W, B), difference in zip(self._pairs.values(), self._differences, strict=True):
            torch.add(W, difference, alpha=torch_optim.held(-self._c, W), out=B)
        self._versions = self._written()


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
