"""Networks of torch on disk: state dicts in .pth and safetensors files, read without executing."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import UserError
from common.files.documents import ANYTHING, Kind, check
from common.files.paths import home
from common.files.seal import KEY, finite, seal, verified
from common.files.writing import whole


def read_pth(path: Path) -> Any:
    """What torch.save wrote, if it is plain tensors and containers and every bit of it is as it was
    written; UserError otherwise."""
    _refuse_flipped(path)
    try:
        return torch.load(home(path), map_location="cpu", weights_only=True)
    except Exception as error:  # of torch, zip, pickle or safetensors: a damaged file finds any
        raise UserError(
            f"{path}: not a whole checkpoint of plain tensors ({type(error).__name__}); anything "
            "else in a file is refused"
        ) from None


def _refuse_flipped(path: Path) -> None:
    """UserError where a part of the file has another CRC than it says: torch does not compare."""
    try:
        with zipfile.ZipFile(home(path)) as parts:
            wrong = parts.testzip()
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError):
        return  # an older format, or no checkpoint: torch says which
    if wrong is not None:
        raise UserError(f"{path}: {wrong} in it is damaged (its CRC is not the one it says)")


def refuse_nan(path: Path, state: Mapping[str, Any]) -> None:
    """UserError where a tensor holds NaN or infinity; what is no tensor is left to others."""
    floats = {n: t for n, t in state.items() if isinstance(t, Tensor) and t.is_floating_point()}
    finite(path, {str(n): t.detach().float().numpy() for n, t in floats.items()})


def tensors(document: Any, path: Path) -> dict[str, Tensor]:
    """A state dict that was read from a file, without the "module." of data-parallel training.
    UserError where it is none."""
    if not isinstance(document, Mapping) or not all(
        isinstance(n, str) and isinstance(t, Tensor) for n, t in document.items()
    ):
        raise UserError(f"{path}: holds no state dict of named tensors")
    refuse_nan(path, document)
    return {name.removeprefix("module."): tensor for name, tensor in document.items()}


def write_pth(path: Path, value: Any) -> None:
    """torch.save plain tensors and containers, making the folder; never half a file. UserError
    where the disk refuses, which torch calls a RuntimeError."""
    with whole(path, RuntimeError) as temporary:
        torch.save(value, temporary)


def read_safetensors(
    path: Path, described: str, kind: Kind = ANYTHING
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata, whose entry `described`, if there is one, is JSON and is merged in.

    UserError for a file that is not whole, whose tensors are not those that were written, or whose
    metadata are not of the kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(home(path), "pt") as tensors:
            about: dict[str, Any] = dict(tensors.metadata() or {})
            weights = {name: tensors.get_tensor(name) for name in tensors.keys()}
        more = _object(about.pop(described, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error})") from error
    if KEY in about:
        verified(path, {name: t.numpy() for name, t in weights.items()}, about)
    refuse_nan(path, weights)
    return weights, check(about | more, kind, f"{path}: metadata")


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("its metadata is no JSON object")
    return value


def write_safetensors(path: Path, state: Mapping[str, Tensor], about: dict[str, str]) -> None:
    """Write a state dict, floats as float32, with metadata, making the folder; never half a
    file. UserError where the disk refuses."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    floats = {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
    kept = {n: t.detach().cpu().contiguous() for n, t in floats.items()}
    sealed = {KEY: seal({n: t.numpy() for n, t in kept.items()})}
    with whole(path, SafetensorError) as temporary:
        save_file(kept, temporary, about | sealed)


def differing(net: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Names that only one of the two has, then those of another shape; [] where the state fits."""
    mine = net.state_dict()
    unmatched = sorted(mine.keys() ^ state.keys())
    return unmatched + [n for n in mine if n in state and mine[n].shape != state[n].shape]


def of_network(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A learner's checkpoint without its optimiser and generators."""
    return {n: t for n, t in held.items() if not n.startswith(("opt.", "rng."))}
