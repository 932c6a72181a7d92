"""Trained networks on disk: a run, the original's .pth.tar, or safetensors with its metadata."""

import json
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.errors import UserError

STORED = Path(__file__).with_name("weights")
"""The small networks that this repository trained: <model>.safetensors."""
SETTINGS = ("model", "dataset", "image_size", "seed", "epochs")


class Stored(NamedTuple):
    """state: tensors by name; about: what made them, "classes" (names) and "model" if known."""

    state: dict[str, Tensor]
    about: dict[str, Any]


def read(path: Path) -> Stored:
    """A run directory, a .safetensors or a .pth file. UserError where it is none of them; nothing
    in a file is ever executed."""
    if path.is_dir():
        return _run(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or run directory")
    return _safetensors(path) if path.suffix == ".safetensors" else _pth(path)


def load(net: nn.Module, stored: Stored, where: Path) -> None:
    """Into a network, strictly. UserError that says what does not match."""
    mine = net.state_dict()
    wrong = sorted(set(mine) ^ set(stored.state))
    wrong += [n for n in mine if n in stored.state and mine[n].shape != stored.state[n].shape]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(f"{where} does not match this network: {', '.join(wrong[:3])}{more} differ")
    net.load_state_dict(stored.state)


def export(stored: Stored, more: dict[str, Any], path: Path) -> None:
    """Write a network as float32 safetensors, with what made it as its metadata."""
    from safetensors.torch import save_file

    floats = {n: t.float() if t.is_floating_point() else t for n, t in stored.state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"about": json.dumps(stored.about | more)}
    save_file({n: t.contiguous() for n, t in floats.items()}, path, about)


def _pth(path: Path) -> Stored:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}: not a whole checkpoint of plain tensors ({type(error).__name__}); anything "
            "else in a file is refused"
        ) from None
    state = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise UserError(f"{path}: holds neither a state dict nor a checkpoint with one")
    return Stored({n.removeprefix("module."): t for n, t in state.items()}, {})


def _safetensors(path: Path) -> Stored:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as tensors:
            about = json.loads((tensors.metadata() or {}).get("about", "{}"))
            return Stored({name: tensors.get_tensor(name) for name in tensors.keys()}, about)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error})") from error


def _run(path: Path) -> Stored:
    from common.checkpoint import of_run, read_json

    config = read_json(path / "config.json")
    if config.get("paper") != "s3net":
        raise UserError(f"{path}: a run of {config.get('paper')}, not of s3net")
    held = _safetensors(of_run(path, "last") / "tensors.safetensors").state
    state = {n: t for n, t in held.items() if not n.startswith(("opt.", "rng."))}
    return Stored(state, {name: config["options"][name] for name in SETTINGS})
