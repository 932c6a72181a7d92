"""Networks of torch on disk: state dicts in .pth and safetensors files, read without executing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import UserError
from common.writing import whole


def read_pth(path: Path) -> Any:
    """What torch.save wrote, if it is plain tensors and containers; UserError otherwise."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of torch, zip, pickle or safetensors: a damaged file finds any
        raise UserError(
            f"{path}: not a whole checkpoint of plain tensors ({type(error).__name__}); anything "
            "else in a file is refused"
        ) from None


def tensors(found: Any, path: Path) -> dict[str, Tensor]:
    """A state dict that was read from a file, without the "module." of data-parallel training.
    UserError where it is none."""
    if not isinstance(found, Mapping) or not all(
        isinstance(n, str) and isinstance(t, Tensor) for n, t in found.items()
    ):
        raise UserError(f"{path}: holds no state dict of named tensors")
    return {name.removeprefix("module."): tensor for name, tensor in found.items()}


def write_pth(path: Path, value: Any) -> None:
    """torch.save plain tensors and containers, making the folder; never half a file. UserError
    where the disk refuses, which torch calls a RuntimeError."""
    with whole(path, RuntimeError) as temporary:
        torch.save(value, temporary)


def read_safetensors(path: Path, described: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata, whose entry `described`, if there is one, is JSON and is merged in."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as tensors:
            about: dict[str, Any] = dict(tensors.metadata() or {})
            about |= _object(about.pop(described, "{}"))
            return {name: tensors.get_tensor(name) for name in tensors.keys()}, about
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error})") from error


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("its metadata is no JSON object")
    return found


def write_safetensors(path: Path, state: Mapping[str, Tensor], about: dict[str, str]) -> None:
    """Write a state dict, floats as float32, with metadata, making the folder; never half a
    file. UserError where the disk refuses."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    floats = {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
    with whole(path, SafetensorError) as temporary:
        save_file({n: t.contiguous() for n, t in floats.items()}, temporary, about)


def differing(net: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Names that only one of the two has, then those of another shape; [] where the state fits."""
    mine = net.state_dict()
    alone = sorted(mine.keys() ^ state.keys())
    return alone + [n for n in mine if n in state and mine[n].shape != state[n].shape]


def of_network(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A learner's checkpoint without its optimiser and generators."""
    return {n: t for n, t in held.items() if not n.startswith(("opt.", "rng."))}
