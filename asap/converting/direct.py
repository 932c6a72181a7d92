"""Direct feedback in a model that knows nothing of it: receivers as hooks on its modules.

A receiver is `asap.rule.receive` at a module's input or output; its carry waits until the model's
own hook adds it to the model's output, from where it brings e down.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from asap import rule
from asap.converting.watch import Call, Shape
from common.errors import ArgumentError, unknown

INPUT = "input of "
ACTIVATIONS = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU),
    *(nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.GLU),
    *(nn.Softplus, nn.Softsign, nn.Tanhshrink, nn.Hardshrink, nn.Softshrink, nn.LogSigmoid),
)


class Carries:
    """The hooks of the model itself: before its forward pass, and behind it.

    classes   width of its output
    """

    def __init__(self, model: nn.Module, classes: int) -> None:
        self.classes, self.open = classes, False
        self.waiting: list[Tensor] = []
        self.turns: dict[str, int] = {}
        before, behind = _Begin(self), _End(self)
        before.handles = [model.register_forward_pre_hook(before)]
        behind.handles = [model.register_forward_hook(behind)]

    def __getstate__(self) -> dict[str, Any]:
        return {"classes": self.classes, "open": False, "waiting": [], "turns": {}}

    def turn(self, name: str) -> int:
        """How often `name` has been here in this forward pass before."""
        self.turns[name] = self.turns.get(name, -1) + 1
        return self.turns[name]


class Hook:
    """What `remove` finds and takes away."""

    handles: list[Any]

    def __init__(self, carries: Carries) -> None:
        self.carries = carries


class _Begin(Hook):
    def __call__(self, model: nn.Module, _: Any) -> None:
        self.carries.waiting, self.carries.turns = [], {}
        self.carries.open = True


class _End(Hook):
    def __call__(self, model: nn.Module, _: Any, output: Any) -> Any:
        waiting, self.carries.waiting, self.carries.open = self.carries.waiting, [], False
        return sum(waiting, start=output) if waiting else output


class Receiver(Hook):
    """A module's hook; F of its n-th turn in a forward pass is the module's buffer of that name."""

    def __init__(self, carries: Carries, place: str, buffers: Sequence[str]) -> None:
        super().__init__(carries)
        self.place, self.buffers = place, list(buffers)

    def receive(self, module: nn.Module, x: Any) -> Any:
        """x, cut off from what is above, while the model runs and learns."""
        if module.exact or not torch.is_grad_enabled():
            return x
        if not self.carries.open:
            raise ArgumentError(
                "model",
                f"has {self.place}, which runs outside the model's "
                "forward pass (alone, or again under gradient checkpointing), "
                "where no error of its output arrives: call the model",
            )
        turn = self.carries.turn(self.place)
        if turn >= len(self.buffers):
            raise ArgumentError(
                "at",
                f"has {self.place}, which runs more often than in the batch "
                "that the model was converted with: convert it anew",
            )
        F = getattr(module, self.buffers[turn])
        if not isinstance(x, Tensor) or x.shape[1:] != F.shape[1:]:
            raise ArgumentError(
                "at",
                f"has {self.place}, now of {_said(x)}, for which F is not "
                f"drawn ({tuple(F.shape)}): convert anew for it",
            )
        x, carry = rule.receive(x, F)
        self.carries.waiting.append(carry)
        return x


class AtOutput(Receiver):
    def __call__(self, module: nn.Module, _: Any, output: Any) -> Any:
        return self.receive(module, output)


class AtInput(Receiver):
    def __call__(self, module: nn.Module, inputs: tuple) -> tuple:
        return (self.receive(module, inputs[0]), *inputs[1:])


def classes_of(output: Any) -> int:
    """Width of a model's output. ArgumentError unless that is (N, classes)."""
    if not isinstance(output, Tensor) or output.dim() != 2:
        raise ArgumentError(
            "model",
            f"has an output of {_said(output)}: direct feedback needs one "
            "tensor (N, classes); convert the part that makes it",
        )
    return output.shape[1]


def places(
    calls: Sequence[Call], at: Collection[str] | None, modules: Mapping[str, nn.Module], rows: int
) -> dict[str, list[Shape]]:
    """Receiver -> the shapes (N, …) at its turns.

    at     names of modules, whose outputs receive, and "input of NAME". None: the output of every
           activation module before the last layer; without any, of every layer but the last
    rows   N
    ArgumentError for an unknown name, for one that does not run, and for what is no tensor (N, …).
    """
    layers = [i for i, call in enumerate(calls) if isinstance(call.module, nn.Linear | nn.Conv2d)]
    if at is None:
        hidden = calls[: layers[-1]] if layers else []
        found = [call.name for call in hidden if isinstance(call.module, ACTIVATIONS)]
        at = found or [calls[i].name for i in layers[:-1]]
    if isinstance(at, str):
        at = [at]
    if not at:
        raise ArgumentError("model", "has no hidden layer: there is nothing to feed back to")
    shapes: dict[str, list[Shape]] = {}
    for place in at:
        name = place.removeprefix(INPUT) if place not in modules else place
        if name not in modules:
            raise unknown("at", place, modules)
        runs = [call for call in calls if call.name == name]
        if not runs:
            raise ArgumentError("at", f"has {place}, which does not run: leave it out")
        shapes[place] = []
        for call in runs:
            shape = call.y if place in modules else call.x
            if shape is None or len(shape) < 2 or shape[0] != rows:
                raise ArgumentError(
                    "at",
                    f"has {place} of shape {shape}, which has not one row an "
                    "image: name other modules in `at`",
                )
            shapes[place].append(shape)
    return shapes


def receive_at(
    model: nn.Module,
    modules: Mapping[str, Any],
    shapes: Mapping[str, list[Shape]],
    like: Tensor,
) -> None:
    """Draw F for each place, of the type and on the device of the output `like`; hook all.

    F from N(0, 1 / classes), a buffer of the module: `weight_fb` of its first turn, `weight_fb_1`
    of the second; `weight_fb_input` and so on at an input.
    """
    carries = Carries(model, classes := like.shape[1])
    for place, turns in shapes.items():
        inside = place in modules
        module = modules[place if inside else place.removeprefix(INPUT)]
        stem = "weight_fb" if inside else "weight_fb_input"
        buffers = [stem if i == 0 else f"{stem}_{i}" for i in range(len(turns))]
        for name, shape in zip(buffers, turns, strict=True):
            F = torch.randn(classes, *shape[1:], dtype=like.dtype, device=like.device)
            module.register_buffer(name, F * classes**-0.5)
        module.exact = False
        hook = (AtOutput if inside else AtInput)(carries, place, buffers)
        register = module.register_forward_hook if inside else module.register_forward_pre_hook
        hook.handles = [register(hook)]


def _said(x: Any) -> str:
    return f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"type {type(x).__name__}"
