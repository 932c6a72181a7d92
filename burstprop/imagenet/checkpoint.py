"""The original's checkpoint.pth.tar: {epoch, state_dict, best_acc1, optimizer}, plain tensors.

Written beside a run's own checkpoints, and read to go on from: the names of the weights are those
of the network (conv1.weight, .bias, .weight_fa), with or without the "module." that data-parallel
training puts before them, and the optimiser's entries follow the order of the names.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from burstprop.imagenet.learner import Learner
from common.backends.torch_files import read_pth, tensors, write_pth
from common.errors import UserError


def save(learner: Learner, epochs: int, best: float, path: Path, best_path: Path | None) -> None:
    """Write a checkpoint after so many epochs, and the same to `best_path`."""
    state = {n: t.detach().cpu().contiguous() for n, t in learner.net.state_dict().items()}
    document = {
        "epoch": epochs,
        "state_dict": state,
        "best_acc1": best,
        "optimizer": learner.optimiser.state_dict(),
    }
    write_pth(path, document)
    if best_path is not None:
        write_pth(best_path, document)


def load(learner: Learner, path: Path) -> tuple[int, float]:
    """Put a checkpoint into the learner; completed epochs and best top-1 accuracy (percent).

    Learning rates stay the learner's. UserError that says what does not match.
    """
    document = read_pth(path)
    keys = ("epoch", "state_dict", "best_acc1", "optimizer")
    if not isinstance(document, Mapping) or any(key not in document for key in keys):
        raise UserError(f"{path}: a checkpoint has {', '.join(keys)}")
    try:
        epoch, best = int(document["epoch"]), float(document["best_acc1"])
    except (TypeError, ValueError, RuntimeError, OverflowError):  # of a tensor: a RuntimeError
        raise UserError(f"{path}: epoch and best_acc1 must be numbers") from None
    if epoch < 0 or not -1 <= best <= 100:
        raise UserError(f"{path}: epoch (={epoch}) must be >= 0, best_acc1 (={best}) a percentage")
    state = tensors(document["state_dict"], path)
    _load_weights(learner, state, path)
    _load_momenta(learner, list(state), document["optimizer"], path)
    return epoch, best


@torch.no_grad()
def _load_weights(learner: Learner, state: Mapping[str, Tensor], path: Path) -> None:
    mine = learner.net.state_dict()
    for name in sorted(mine.keys() ^ state.keys()):
        fault = f"lacks {name}" if name in mine else f"has {name}, which this network has not"
        raise UserError(f"{path} {fault}; check -use_backprop")
    for name, tensor in mine.items():
        if state[name].shape != tensor.shape:
            raise UserError(
                f"{path}: {name} has shape {tuple(state[name].shape)}, ours {tuple(tensor.shape)}; "
                "check the number of classes, -weight_fa_learning, --width and --image-size"
            )
        tensor.copy_(state[name])


@torch.no_grad()
def _load_momenta(learner: Learner, names: list[str], saved: Any, path: Path) -> None:
    """Each parameter's entry. The original has a group a layer, or one of all with backprop; the
    entries of a group follow the names, but for feedback weights that are no parameters."""
    found: dict[str, Any] = {}
    layers = learner.net.names
    try:
        groups = saved["param_groups"]
        for i, group in enumerate(groups):
            mine = [n for n in names if len(groups) == 1 or n.startswith(f"{layers[i]}.")]
            if len(mine) > len(group["params"]):
                mine = [n for n in mine if not n.endswith(".weight_fa")]
            entries = [dict(saved["state"].get(index, {})) for index in group["params"]]
            found |= dict(zip(mine, entries, strict=True))
    except (TypeError, ValueError, LookupError, AttributeError):
        raise UserError(
            f"{path}: its optimizer is not one of {len(layers)} layers; check -use_backprop"
        ) from None
    for name, parameter in learner.net.named_parameters():
        for what, value in learner.optimiser.state[parameter].items():
            if value is None:
                continue
            theirs = found.get(name, {}).get(what)
            if theirs is None:
                raise UserError(f"{path}: its optimiser has no {what} of {name}; check -use_adam")
            if not isinstance(theirs, Tensor | int | float):
                raise UserError(f"{path}: {what} of {name} is no tensor")
            theirs = torch.as_tensor(theirs)
            if theirs.numel() != value.numel():
                raise UserError(f"{path}: {what} of {name} has shape {tuple(theirs.shape)}, ours "
                                f"{tuple(value.shape)}")  # fmt: skip
            value.copy_(theirs.reshape(value.shape))
