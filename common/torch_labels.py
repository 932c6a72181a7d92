"""The door for labels of every PyTorch rule; `common.tf_labels` is its twin.

A user's labels come as classes (B,) of any integer type, as (B, 1) from a data frame, or one-hot;
numpy arrays and lists too. What a rule computes with is made here, so that no rule broadcasts a
column over a batch, reads uint8 as a mask, or takes a class that the network does not have.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import ArgumentError

ALLOWED = "classes (B,) or (B, 1) of an integer type, or one-hot rows (B, {0}) of any type"


def classes(labels: Any, outputs: Tensor, argument: str = "labels") -> Tensor:
    """Labels as classes (B,) int64 on the device of a network's outputs (B, C).

    Raises ArgumentError for an empty batch, another shape or type, rows that are not one-hot, and
    a class outside 0 to C - 1. On a GPU the values are checked by the device, without waiting.
    """
    labels = _tensor(labels, outputs, argument)
    width = outputs.shape[1]
    if labels.dim() == 2 and labels.shape[1] == width > 1:
        return _of_rows(labels, argument)
    return _checked(labels, outputs, argument)


def rows(labels: Any, outputs: Tensor, argument: str = "labels") -> Tensor:
    """Labels as rows (B, C) in the outputs' type and device: one-hot from classes.

    Rows that are given may be any distribution over the classes. Raises ArgumentError as
    `classes` does.
    """
    labels = _tensor(labels, outputs, argument)
    width = outputs.shape[1]
    if labels.dim() == 2 and labels.shape[1] == width > 1:
        return labels.to(outputs.dtype)
    wanted = _checked(labels, outputs, argument)
    made = torch.zeros(len(wanted), width, dtype=outputs.dtype, device=outputs.device)
    return made.scatter_(1, wanted[:, None], 1.0)


def _tensor(labels: Any, outputs: Tensor, argument: str) -> Tensor:
    if outputs.dim() != 2:
        raise ArgumentError("outputs", f"(shape {_shape(outputs)}) must be (B, C)")
    if not isinstance(labels, Tensor):
        labels = torch.from_numpy(np.ascontiguousarray(labels))
    if len(outputs) == 0:
        raise ArgumentError(argument, "are of an empty batch; leave such a batch out")
    if labels.dim() == 0 or len(labels) != len(outputs):
        raise _refused(labels, outputs, argument)
    return labels.to(outputs.device)


def _checked(labels: Tensor, outputs: Tensor, argument: str) -> Tensor:
    """Classes (B,) int64 from (B,) or (B, 1), each of them one that the network has."""
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if not whole or labels.dim() > 2 or (labels.dim() == 2 and labels.shape[1] != 1):
        raise _refused(labels, outputs, argument)
    wanted, width = labels.reshape(-1).long(), outputs.shape[1]
    if wanted.device.type == "cpu" and not torch.compiler.is_compiling():
        low, high = (int(v) for v in torch.aminmax(wanted))
        if low < 0 or high >= width:
            wrong = low if low < 0 else high
            raise ArgumentError(
                argument, f"hold class {wrong}, and the network has classes 0 to {width - 1}"
            )
    else:
        inside = ((wanted >= 0) & (wanted < width)).all()
        torch._assert_async(inside, f"{argument} hold a class outside 0 to {width - 1}")
    return wanted


def _of_rows(labels: Tensor, argument: str) -> Tensor:
    ones = (labels == 1).sum(1) == 1
    one_hot = (ones & ((labels != 0).sum(1) == 1)).all()
    if labels.device.type == "cpu" and not torch.compiler.is_compiling():
        if not one_hot:
            raise ArgumentError(argument, "(rows) must be one-hot: a single 1, else 0")
    else:
        torch._assert_async(one_hot, f"{argument} (rows) must be one-hot")
    return (labels == 1).to(torch.uint8).argmax(1)


def _refused(labels: Tensor, outputs: Tensor, argument: str) -> ArgumentError:
    batch, width = outputs.shape
    kind = str(labels.dtype).removeprefix("torch.")
    allowed = ALLOWED.format(width).replace("B", str(batch))
    return ArgumentError(argument, f"(shape {_shape(labels)}, {kind}) must be {allowed}")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "()"
