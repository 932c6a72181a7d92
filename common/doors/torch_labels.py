"""The door for labels of every PyTorch rule; `common.doors.tf_labels` is its counterpart.

A user's labels come as classes (B,) of any integer type, as (B, 1) from a data frame, or one-hot;
numpy arrays and lists too. What a rule computes with is made here, so that no rule broadcasts a
column over a batch, reads uint8 as a mask, or takes a class that the network does not have.

Shapes and types are checked by Python, values by the device that holds them: at once on the CPU;
on a GPU by an assertion of its own that nobody waits for, and so inside `torch.compile`.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import ArgumentError

ALLOWED = "classes ({0},) or ({0}, 1) of an integer type, or one-hot rows ({0}, {1}) of any type"
# Sums of rows in the coarsest type that autocast knows, bfloat16, are this exact.
TOLERANCE = 1e-2
WIDE = (torch.uint16, torch.uint32, torch.uint64)  # torch does not compare these


def classes(labels: Any, outputs: Tensor, argument: str = "labels") -> Tensor:
    """Labels as classes (B,) int64 on the device of a network's outputs (B, C).

    Raises ArgumentError for an empty batch, another shape or type, rows that are not one-hot, and
    a class outside 0 to C - 1. On a GPU the values are checked by the device, without waiting.
    """
    labels = _tensor(labels, outputs, argument)
    if _are_rows(labels, outputs):
        return _of_rows(labels, argument)
    return _checked(labels, outputs, argument)


def classes_or_rows(labels: Any, outputs: Tensor, argument: str = "labels") -> Tensor:
    """`classes` (B,) of labels that are classes, `rows` (B, C) of those that are rows."""
    labels = _tensor(labels, outputs, argument)
    if _are_rows(labels, outputs):
        return rows(labels, outputs, argument)
    return _checked(labels, outputs, argument)


def rows(labels: Any, outputs: Tensor, argument: str = "labels", *, rates: bool = False) -> Tensor:
    """Labels as rows (B, C) in the outputs' type and device: one-hot from classes.

    Rows of an integer type must be one-hot. Those of a floating type may be any distribution over
    the classes, or with `rates` whatever lies between 0 and 1: what each unit alone is to give,
    also for a single one. Raises ArgumentError as `classes` does.
    """
    labels = _tensor(labels, outputs, argument)
    if rates and outputs.shape[1] == 1 and labels.dim() == 2 and labels.shape[1] == 1:
        return _inside(labels, outputs, argument, None)
    if not _are_rows(labels, outputs):
        return _one_hot(_checked(labels, outputs, argument), outputs)
    if not labels.is_floating_point():
        return _one_hot(_of_rows(labels, argument), outputs)
    return _inside(labels, outputs, argument, None if rates else TOLERANCE)


def correct(outputs: Tensor, labels: Any) -> Tensor:
    """How many of the outputs (B, C) are largest at their labels; () int64.

    Classes (B,) int64 are taken as they are: a step has let them in before it learned from them.
    """
    if not (isinstance(labels, Tensor) and labels.dtype == torch.int64 and labels.dim() == 1):
        labels = classes(labels, outputs)
    return (outputs.argmax(1) == labels).sum()


def _tensor(labels: Any, outputs: Tensor, argument: str) -> Tensor:
    """Labels as a tensor of as many samples as the outputs, on their device."""
    if outputs.dim() != 2:
        raise ArgumentError("outputs", f"(shape {_shape(outputs)}) must be (B, C)")
    if not isinstance(labels, Tensor):
        labels = _of_array(labels, outputs, argument)
    if len(outputs) == 0:
        raise ArgumentError(argument, "are of an empty batch; leave such a batch out")
    if labels.dim() == 0 or len(labels) != len(outputs):
        raise _refused(labels, outputs, argument)
    if labels.dtype in WIDE:
        labels = labels.long()
    return labels if labels.device == outputs.device else labels.to(outputs.device)


def _of_array(labels: Any, outputs: Tensor, argument: str) -> Tensor:
    try:
        return torch.tensor(np.asarray(labels))
    except (TypeError, ValueError, RuntimeError):
        kind = type(labels).__name__
        raise ArgumentError(argument, f"({kind}) must be {_allowed(outputs)}") from None


def _are_rows(labels: Tensor, outputs: Tensor) -> bool:
    return labels.dim() == 2 and labels.shape[1] == outputs.shape[1] > 1


def _checked(labels: Tensor, outputs: Tensor, argument: str) -> Tensor:
    """Classes (B,) int64 from (B,) or (B, 1), each of them one that the network has."""
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if not whole or labels.dim() > 2 or (labels.dim() == 2 and labels.shape[1] != 1):
        raise _refused(labels, outputs, argument)
    width = outputs.shape[1]
    wanted = labels.long() if labels.dim() == 1 else labels[:, 0].long()
    if _at_once(wanted):
        low, high = _ends(wanted)
        if low < 0 or high >= width:
            wrong = low if low < 0 else high
            raise ArgumentError(
                argument, f"hold class {wrong}, and the network has classes 0 to {width - 1}"
            )
    elif wanted.device.type != "meta":
        inside = (wanted == wanted.clamp(0, width - 1)).all()
        torch._assert_async(inside, f"{argument} hold a class outside 0 to {width - 1}")
    return wanted


def _ends(wanted: Tensor) -> tuple[int, int]:
    """Lowest and highest; by NumPy, whose calls cost less than torch's on so few numbers."""
    try:
        values = wanted.numpy()
    except RuntimeError:  # torch.func has wrapped it
        return int(wanted.min()), int(wanted.max())
    return int(values.min()), int(values.max())


def _of_rows(labels: Tensor, argument: str) -> Tensor:
    """Classes (B,) int64 of one-hot rows (B, C) of any type."""
    ones = labels == 1
    good = ones.sum(1) == 1
    good &= (labels != 0).sum(1) == 1
    _demand(good.all(), argument, "(rows) must be one-hot: a single 1, else 0")
    return ones.to(torch.uint8).argmax(1)


def _inside(labels: Tensor, outputs: Tensor, argument: str, off: float | None) -> Tensor:
    """Rows in the outputs' type; 0 to 1, and summing to 1 within `off` where it is given."""
    weights = labels.to(outputs.dtype)
    good = ((weights >= 0) & (weights <= 1)).all()  # false for nan as well
    if off is None:
        _demand(good, argument, "(rows) must lie between 0 and 1")
        return weights
    good = good & ((weights.sum(1) - 1).abs() <= off).all()
    _demand(good, argument, "(rows) must be one-hot or a distribution: from 0 to 1, of sum 1")
    return weights


def _one_hot(wanted: Tensor, outputs: Tensor) -> Tensor:
    made = torch.zeros(outputs.shape, dtype=outputs.dtype, device=outputs.device)
    return made.scatter_(1, wanted[:, None], 1.0)


def _at_once(tensor: Tensor) -> bool:
    """Whether to look at the values costs nothing but the look."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _demand(good: Tensor, argument: str, problem: str) -> None:
    if _at_once(good):
        if not good:
            raise ArgumentError(argument, problem)
    elif good.device.type != "meta":
        torch._assert_async(good, f"{argument} {problem}")


def _refused(labels: Tensor, outputs: Tensor, argument: str) -> ArgumentError:
    kind = str(labels.dtype).removeprefix("torch.")
    return ArgumentError(argument, f"(shape {_shape(labels)}, {kind}) must be {_allowed(outputs)}")


def _allowed(outputs: Tensor) -> str:
    return ALLOWED.format(*outputs.shape)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "()"
