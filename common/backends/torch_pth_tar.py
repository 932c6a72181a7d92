"""checkpoint.pth.tar, as PyTorch's ImageNet example fills it and papers' programs took it over.

{epoch, state_dict, best_acc1, ..., optimizer}: completed epochs, weights (with or without the
"module." that data-parallel training puts before their names), best accuracies in percent, and the
optimiser's state dict. Plain tensors and numbers, so that torch.load needs no trust.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.backends.torch_files import read_pth, tensors, write_pth
from common.errors import UserError


class PthTar(NamedTuple):
    """What a checkpoint.pth.tar holds.

    epoch       completed epochs
    weights     tensors by name
    best        accuracies in percent, in the order in which `read` was asked for them
    optimizer   a state dict that nobody has looked into yet
    """

    epoch: int
    weights: dict[str, Tensor]
    best: tuple[float, ...]
    optimizer: Mapping[Any, Any]


def save(
    folder: Path,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    epoch: int,
    best: Mapping[str, float],
    also: str | None = None,
    **more: Any,
) -> None:
    """Write folder/checkpoint.pth.tar after so many epochs, and before it the same to
    folder/<also>: each is whole at any time.

    best: best_acc1 and the like, in percent. more: further entries, plain numbers and text.
    UserError where the disk refuses.
    """
    document = {
        "epoch": epoch,
        **more,
        "state_dict": {n: t.detach().cpu().contiguous() for n, t in net.state_dict().items()},
        **best,
        "optimizer": optimiser.state_dict(),
    }
    for name in (also, "checkpoint.pth.tar"):
        if name is not None:
            write_pth(folder / name, document)


def read(path: Path, best: Sequence[str] = ("best_acc1",)) -> PthTar:
    """The checkpoint in a file; best: the accuracies that it must have. UserError where it is no
    such checkpoint."""
    document = read_pth(path)
    for key in ("epoch", "state_dict", *best, "optimizer"):
        if not isinstance(document, Mapping) or key not in document:
            raise UserError(f"{path}: not a checkpoint of this program: it has no '{key}'")
    words = " and ".join(best)
    try:
        epoch, accuracies = int(document["epoch"]), tuple(float(document[key]) for key in best)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # of a tensor: a RuntimeError
        raise UserError(f"{path}: epoch and {words} must be numbers") from None
    # The originals' best accuracies may be tensors; ours of no epoch yet may be -1.
    if epoch < 0 or not all(-1 <= value <= 100 for value in accuracies):
        values = ", ".join(f"{value:g}" for value in accuracies)
        raise UserError(
            f"{path}: epoch (={epoch}) must be >= 0, {words} (={values}) must be percentages"
        )
    if not isinstance(document["optimizer"], Mapping):
        raise UserError(f"{path}: its optimizer is no state dict")
    weights = tensors(document["state_dict"], path)
    return PthTar(epoch, weights, accuracies, document["optimizer"])


def by_number(net: nn.Module, optimizer: Mapping[Any, Any], path: Path) -> dict[str, Any]:
    """The entries of a state dict whose numbers follow the network's parameters, by their names;
    UserError where it has none."""
    state = optimizer.get("state", {})
    if not isinstance(state, Mapping):
        raise UserError(f"{path}: its optimizer is no state dict")
    return {name: state.get(i) for i, (name, _) in enumerate(net.named_parameters())}


@torch.no_grad()
def load_momenta(
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    entries: Mapping[str, Any],
    path: Path,
    hint: str = "",
) -> None:
    """Put the optimiser's state of each of the network's parameters in the place of what it holds.

    entries: parameter's name -> name -> tensor or number. No entry, or an empty one, is that of an
    optimiser that has not taken a step: zeros. Groups and their learning rates stay. hint: what the
    UserError about an entry of another optimiser or of another shape says besides.
    """
    for name, parameter in net.named_parameters():
        entry = {} if entries.get(name) is None else entries[name]
        if not isinstance(entry, Mapping):
            raise UserError(f"{path}: its optimiser's entry of {name} is none")
        for what, mine in optimiser.state[parameter].items():
            if mine is None:
                continue
            if entry and what not in entry:
                raise UserError(f"{path}: its optimiser has no {what} of {name}{hint}")
            theirs = entry.get(what)
            if theirs is None:
                mine.zero_()
                continue
            if not isinstance(theirs, Tensor | int | float):
                raise UserError(f"{path}: {what} of {name} is no tensor")
            theirs = torch.as_tensor(theirs)
            if theirs.shape != mine.shape and not theirs.numel() == mine.numel() == 1:
                raise UserError(
                    f"{path}: {what} of {name} has shape {tuple(theirs.shape)}, ours "
                    f"{tuple(mine.shape)}"
                )
            mine.copy_(theirs.reshape(mine.shape))
