"""Training a network of the paper: one forward, one backward, one fused optimiser call.

W and B of a sharing layer get the same gradient, so momentum and decay act on their difference
alone, whatever the data (asap, 5):

    u <- momentum u + decay c,   c <- c - lr u,   B = W - c (W_0 - B_0)

B therefore needs neither gradient nor momentum: a step moves it with W. Adam has no decay here, and
leaves the difference as it was.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asap.layers import FeedbackConv2d, FeedbackLinear, backprop
from asap.modes import Network
from common.backends import torch_backend, torch_distributed, torch_layout, torch_optim
from common.doors import torch_labels
from common.doors.arguments import number
from common.errors import ArgumentError

MakeOptimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class Learner:
    """A learner (see `common.runs.run`) around one of the paper's networks.

    net              as `networks.make_network` makes it, on its device and in its precision
    make_optimiser   parameters -> torch optimiser: `sgd` or `adam` below
    precision        "bfloat16": autocast
    compile          torch.compile the forward and backward
    world            processes that train along (`common.backends.torch_distributed`)
    What `requires_grad` freezes keeps its bits, and with a W its B and its bias; freeze it before
    (ArgumentError in a step that finds it otherwise, or in another type or place). A state that is
    loaded into the network later is noticed.

    The network's memory format becomes channels-last where it is at least 16 channels wide.
    """

    backend = torch_backend

    def __init__(
        self,
        net: Network,
        make_optimiser: MakeOptimiser,
        *,
        precision: str = "float32",
        compile: bool = False,
        world: Any = None,
    ) -> None:
        self.format = _memory_format(net)
        torch_layout.lay(net, self.format)
        self.net, self.precision = net, precision
        self.device = next(net.parameters()).device
        self._pairs = net.learned_feedback()
        for name, (_, B) in self._pairs.items():
            B.requires_grad_(False)
            net.get_submodule(name).moved = True  # type: ignore[assignment]
        self._learning = [p for p in net.parameters() if p.requires_grad]
        decaying = net.cancelled_biases()
        for bias in decaying:
            bias.grad = torch.zeros_like(bias)
        self.optimiser = make_optimiser([*self._learning, *decaying])
        torch_optim.materialise(self.optimiser)
        self._world = world
        self._forward = torch_distributed.in_training(net, world, compile)
        self._read_feedback()
        self._begun_with = self._conditions()

    def train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One update from images (N, C, H, W), labels (N,); mean loss and number correct before."""
        if self._conditions() != self._begun_with:
            raise ArgumentError("net", "was frozen, unfrozen, moved or given another type after "
                                "its learner was made: make another one")  # fmt: skip
        if self._written() != self._versions:  # somebody loaded a state
            self._read_feedback()
        self.net.train()
        for parameter in self._learning:
            parameter.grad = None
        loss, logits = self._loss(self._forward, images, labels)
        loss.backward()
        self.optimiser.step()
        self._move_feedback()
        return loss.detach(), torch_labels.correct(logits.detach(), labels)

    @torch.no_grad()
    def eval_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss and number correct, with running statistics."""
        self.net.eval()
        loss, logits = self._loss(self.net, images, labels)
        return loss, torch_labels.correct(logits, labels)

    def share_statistics(self) -> None:
        """Running statistics of the first process for all, so that they test one network."""
        if self._world is not None:
            self._world.broadcast_(self.net.buffers())

    def credit(self, images: Tensor, labels: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """For each W that learns, the rule's descent direction and backprop's gradient."""
        layers = {
            name: layer.weight
            for name, layer in self.net.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.requires_grad
        }
        self.net.train()
        found = []
        with torch_backend.kept_buffers(self.net):
            for context in (nullcontext(), backprop(self.net)):
                with context:
                    loss, _ = self._loss(self.net, images, labels)
                    found.append(torch.autograd.grad(loss, list(layers.values())))
        return {name: pair for name, *pair in zip(layers, *found, strict=True)}  # type: ignore[misc]

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
        learning = [*self._learning, *self.net.cancelled_biases()]
        return sum(p.numel() for p in [*learning, *(B for _, B in self._pairs.values())])

    def set_lr(self, lr: float) -> None:
        """The learning rate of the steps that follow."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def state(self) -> dict[str, Any]:
        """Parameters and buffers by name (learned B as its difference), momenta, generators."""
        learned = {f"{name}.weight_fa" for name in self._pairs}
        found: dict[str, Any] = {
            name: tensor for name, tensor in self.net.state_dict().items() if name not in learned
        }
        for name, difference in zip(self._pairs, self._differences, strict=True):
            found[f"{name}.difference"] = difference
        found |= {"feedback.c": self._c, "feedback.u": self._u}
        return found | torch_optim.state(self.optimiser)

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for name, value in self.state().items():
            if isinstance(value, Tensor):
                value.copy_(state[name])
        torch_optim.load_state(self.optimiser, state)
        self._c, self._u = state["feedback.c"], state["feedback.u"]
        self._place_feedback()

    def _loss(self, forward: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        images = torch_layout.laid(images, self.format)
        with torch_backend.autocast(self.device, self.precision):
            logits = forward(images)
            labels = torch_labels.classes(labels, logits)
            return functional.cross_entropy(logits, labels), logits

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
