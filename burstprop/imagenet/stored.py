"""The original's checkpoint.pth.tar (`common.backends.torch_pth_tar`), to go on from.

The names of the weights are those of the network (conv1.weight, .bias, .weight_fa), and the
optimiser's entries follow the order of the names.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from burstprop.imagenet.learner import Learner
from common.backends import torch_pth_tar
from common.errors import UserError


def load(learner: Learner, path: Path) -> tuple[int, float]:
    """Put a checkpoint into the learner; completed epochs and best top-1 accuracy (percent).

    Learning rates stay the learner's. UserError that says what does not match.
    """
    checkpoint = torch_pth_tar.read(path)
    _load_weights(learner, checkpoint.weights, path)
    entries = _entries(learner.net.names, [*checkpoint.weights], checkpoint.optimizer, path)
    torch_pth_tar.load_momenta(
        learner.net, learner.optimiser, entries, path, hint="; check -use_adam"
    )
    return checkpoint.epoch, checkpoint.best[0]


@torch.no_grad()
def _load_weights(learner: Learner, weights: Mapping[str, Tensor], path: Path) -> None:
    mine = learner.net.state_dict()
    for name in sorted(mine.keys() ^ weights.keys()):
        fault = f"lacks {name}" if name in mine else f"has {name}, which this network has not"
        raise UserError(f"{path} {fault}; check -use_backprop")
    for name, tensor in mine.items():
        theirs = weights[name]
        if theirs.shape != tensor.shape:
            raise UserError(
                f"{path}: {name} has shape {tuple(theirs.shape)}, ours {tuple(tensor.shape)}; "
                "check the number of classes, -weight_fa_learning, --width and --image-size"
            )
        tensor.copy_(theirs)


def _entries(layers: list[str], names: list[str], saved: Any, path: Path) -> dict[str, Any]:
    """Each parameter's entry. The original has a group a layer, or one of all with backprop; the
    entries of a group follow the names, but for feedback weights that are no parameters."""
    entries: dict[str, Any] = {}
    try:
        groups = saved["param_groups"]
        for i, group in enumerate(groups):
            mine = [n for n in names if len(groups) == 1 or n.startswith(f"{layers[i]}.")]
            if len(mine) > len(group["params"]):
                mine = [n for n in mine if not n.endswith(".weight_fa")]
            theirs = [dict(saved["state"].get(index, {})) for index in group["params"]]
            entries |= dict(zip(mine, theirs, strict=True))
    except (TypeError, ValueError, LookupError, AttributeError):
        raise UserError(
            f"{path}: its optimizer is not one of {len(layers)} layers; check -use_backprop"
        ) from None
    if not groups:
        raise UserError(f"{path}: its optimizer has no parameters; check -use_backprop")
    return entries
