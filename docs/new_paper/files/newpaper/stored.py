"""Trained networks on disk: a run directory, or a safetensors file that --export wrote."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from common.backends.torch_files import differing, of_network, read_safetensors, write_safetensors
from common.errors import UserError
from common.files.documents import TEXT, check, loose, options_of
from common.files.paths import home
from common.runs.checkpoint import of_run
from newpaper.networks import Network, make_network

ABOUT = loose(rule=TEXT, dataset=TEXT)


class Stored(NamedTuple):
    """state: the network's tensors by name; about: rule and dataset that made them."""

    state: dict[str, Tensor]
    about: dict[str, Any]


def read(path: Path) -> Stored:
    """A run directory or a safetensors file. UserError where it is none."""
    path = home(path)
    if path.is_dir():
        options = options_of(path, "newpaper", ("rule", "dataset"))
        about = {name: options[name] for name in ("rule", "dataset")}
        held, _ = read_safetensors(of_run(path, "last") / "tensors.safetensors", "options")
        where = f"{path / 'config.json'}: options"
        return Stored(of_network(held), check(about, ABOUT, where))
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or run directory")
    return Stored(*read_safetensors(path, "options", ABOUT))


def network(stored: Stored, where: Path) -> Network:
    """The network that was stored. UserError where the tensors are none of ours."""
    count = sum(name.startswith("W.") for name in stored.state)
    W = [stored.state.get(f"W.{layer}") for layer in range(count)]
    if not W or any(w is None or w.dim() != 2 or not w.numel() for w in W):
        raise UserError(f"{where}: has no weights W.0, W.1, ..., so it is no network of newpaper")
    net = make_network([W[0].shape[1], *(w.shape[0] for w in W if w is not None)])  # type: ignore[union-attr]
    if wrong := differing(net, stored.state):
        raise UserError(f"{where} does not match this network: {', '.join(wrong[:4])} differ")
    net.load_state_dict(stored.state)
    return net


def export(stored: Stored, path: Path) -> None:
    """Write the network as float32, with what made it. UserError where the disk refuses."""
    write_safetensors(path, stored.state, {"options": json.dumps(stored.about)})
