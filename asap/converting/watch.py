"""One forward pass of a model, watched: what runs, in which order, on which tensor."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A module at work.

    x, y    shapes of its first input and of its output; None where that is no tensor
    reads   number of the input tensor: two calls with the same number read the same values
    """

    name: str
    module: nn.Module
    x: Shape | None
    y: Shape | None
    reads: int


def watch(
    model: nn.Module, images: Any, modules: Mapping[str, nn.Module]
) -> tuple[list[Call], Any]:
    """The calls of `modules` (name -> module of the model), in order of their ends; the output.

    images   one batch as the model takes it, or the tuple of the model's arguments

    Nothing changes: evaluation mode, no gradients, the generator of the CPU as it was.
    """
    calls: list[Call] = []
    keep: list[Any] = []  # an object's id is its own while it lives
    numbers: dict[tuple[int, int], int] = {}
    names = {module: name for name, module in modules.items()}

    def note(module: nn.Module, inputs: tuple, output: Any) -> None:
        x = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        keep.append(x)
        # What is changed in place keeps its id and gets another version.
        key = (-len(keep), 0) if x is None else (id(x), 0 if x.is_inference() else x._version)
        number = numbers.setdefault(key, len(numbers))
        calls.append(Call(names[module], module, _shape(x), _shape(output), number))

    hooks = [module.register_forward_hook(note) for module in names]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), _evaluating(model):
            arguments = images if isinstance(images, tuple) else (images,)
            output = model(*arguments)
    finally:
        for hook in hooks:
            hook.remove()
    return calls, output


def _shape(x: Any) -> Shape | None:
    return tuple(x.shape) if isinstance(x, Tensor) else None


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Each module goes back to the mode that it had: a user may hold some in evaluation mode."""
    before = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in before:
            module.training = training
