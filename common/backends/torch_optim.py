"""The state of any torch optimiser under structural names, there from the first step on."""

import math
from collections.abc import Mapping
from typing import Any

import torch


def held(value: float, tensor: torch.Tensor) -> float:
    """A Python number as a tensor's type holds it: infinite where that overflows.

    torch refuses such a number as `alpha` with an error of its own. A training that has got there
    has diverged, and its loss, which is not finite then, is what tells.
    """
    return value if abs(value) <= torch.finfo(tensor.dtype).max else math.copysign(math.inf, value)


def materialise(optimiser: torch.optim.Optimizer) -> None:
    """Make the optimiser create its state now, without moving a parameter.

    A checkpoint compares names both ways, so momenta must exist before the first step does. One
    step at learning rate zero on zero gradients creates them; its count is taken back.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    rates = [group["lr"] for group in optimiser.param_groups]
    gradients = [p.grad for p in parameters]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    optimiser.step()
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
        for value in optimiser.state[parameter].values():
            if isinstance(value, torch.Tensor):
                value.zero_()


def state(optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """opt.<parameter>.<name> tensors and opt.group<i>.lr numbers; tensors are not copies."""
    entries: dict[str, Any] = {}
    index = 0
    for i, group in enumerate(optimiser.param_groups):
        entries[f"opt.group{i}.lr"] = float(group["lr"])
        for parameter in group["params"]:
            for name, value in optimiser.state[parameter].items():
                if value is not None:
                    entries[f"opt.{index}.{name}"] = value
            index += 1
    return entries


def load_state(optimiser: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Put back what `state` gave."""
    index = 0
    for i, group in enumerate(optimiser.param_groups):
        group["lr"] = saved[f"opt.group{i}.lr"]
        for parameter in group["params"]:
            mine = optimiser.state[parameter]
            for name, value in mine.items():
                if isinstance(value, torch.Tensor):
                    value.copy_(saved[f"opt.{index}.{name}"])
                elif value is not None:
                    mine[name] = saved[f"opt.{index}.{name}"]
            index += 1


class Remembered:
    """A torch optimiser as a part of a learner's state, there from the first step on."""

    def __init__(self, optimiser: torch.optim.Optimizer) -> None:
        self._optimiser = optimiser
        materialise(optimiser)

    def state(self) -> dict[str, Any]:
        """As the function `state`."""
        return state(self._optimiser)

    def load_state(self, saved: Mapping[str, Any]) -> None:
        """As the function `load_state`."""
        load_state(self._optimiser, saved)
