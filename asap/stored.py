"""Trained networks on disk: a run, the original's .pth, or a safetensors file with its metadata."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from asap.names import load_original
from asap.networks import Network
from common.backends.torch_files import (
    differing,
    of_network,
    read_pth,
    read_safetensors,
    tensors,
    write_safetensors,
)
from common.errors import UserError
from common.files.documents import FLAG, NUMBER, TEXT, WIDTH, check, loose, options_of, table
from common.files.documents import read as read_document
from common.files.paths import home


class Stored(NamedTuple):
    """state: tensors by name; about: what made them; original: the names are the original's."""

    state: dict[str, Tensor]
    about: dict[str, Any]
    original: bool


ABOUT = loose(dataset=TEXT, model=TEXT, feedback=TEXT, wt=FLAG, width=WIDTH, fa_feedback=TEXT,
              shortcut_slip=FLAG, conv_bias=FLAG)  # fmt: skip
SETTINGS = ("dataset", "model", "feedback", "wt", "width", "fa_feedback", "shortcut_slip",
            "conv_bias")  # fmt: skip


def read(path: Path) -> Stored:
    """A run directory, a .pth or a .safetensors file. UserError where it is none; nothing in a file
    is ever executed."""
    path = home(path)
    if path.is_dir():
        return _run(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or run directory")
    if path.suffix == ".safetensors":
        return Stored(*read_safetensors(path, "options", ABOUT), original=False)
    return _pth(path)


def load(net: Network, stored: Stored, where: Path) -> None:
    """Into a network, strictly. UserError that says what does not match."""
    if stored.original:
        load_original(net, stored.state, str(where))
        return
    if wrong := differing(net, stored.state):
        raise UserError(f"{where} does not match this network: {', '.join(wrong[:4])} differ; "
                        "check --model, --feedback, --dataset and --width")  # fmt: skip
    net.load_state_dict(stored.state)


def _pth(path: Path) -> Stored:
    found = read_pth(path)
    if not isinstance(found, dict) or not isinstance(found.get("net"), dict):
        raise UserError(f"{path}: not a checkpoint of asap: it has no 'net'")
    state = tensors(found["net"], path)
    about = {name: found[name] for name in ("acc", "epoch") if name in found}
    return Stored(state, about, True)


def _run(path: Path) -> Stored:
    from common.runs.checkpoint import of_run

    named = (*SETTINGS, "seed", "epochs")
    options = options_of(path, "asap", named)
    folder = of_run(path, "last")
    held, _ = read_safetensors(folder / "tensors.safetensors", "options")
    kind = table(scalars=loose(**{"feedback.c": NUMBER}))
    scale = read_document(folder / "state.json", kind)["scalars"].get("feedback.c")
    about = check(
        {name: options[name] for name in named}, ABOUT, f"{path / 'config.json'}: options"
    )
    state = of_network(held)
    return Stored(state if scale is None else _with_feedback(state, float(scale)), about, False)


def _with_feedback(state: dict[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Of a run of before 2026-12, which held W_0 - B_0 in the place of B = W - c (W_0 - B_0)."""
    kept = {name: t for name, t in state.items() if not name.endswith(".difference")}
    for layer in (n.removesuffix(".difference") for n in state.keys() - kept.keys()):
        W, difference = state[f"{layer}.weight"], state[f"{layer}.difference"]
        kept[f"{layer}.weight_fa"] = torch.add(W, difference, alpha=-scale)
    return kept


def export(stored: Stored, more: dict[str, str], path: Path) -> None:
    """Write the network, feedback weights included, as float32, with what made it."""
    about = {"options": json.dumps({n: v for n, v in stored.about.items() if n in SETTINGS})}
    write_safetensors(path, stored.state, about | more)
