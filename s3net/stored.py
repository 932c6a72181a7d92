"""Trained networks on disk: a run, the original's .pth.tar, or safetensors with its metadata."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from common.backends.torch_files import (
    differing,
    of_network,
    read_pth,
    read_safetensors,
    refuse_nan,
    tensors,
    write_safetensors,
)
from common.errors import UserError
from common.files import documents
from common.files.paths import home

STORED = Path(__file__).with_name("weights")
"""The small networks that this repository trained: <model>.safetensors."""
ABOUT = documents.loose(
    model=documents.TEXT,
    wiring=documents.maybe(documents.TEXT),
    dataset=documents.TEXT,
    image_size=documents.SIDE,
    test_accuracy=documents.NUMBER,
    tested_on=documents.TEXT,
    classes=documents.many(documents.TEXT),
)
SETTINGS = ("model", "wiring", "dataset", "image_size", "seed", "epochs")


class Stored(NamedTuple):
    """state: tensors by name; about: what made them, "classes" (names) and "model" if known."""

    state: dict[str, Tensor]
    about: dict[str, Any]


def read(path: Path) -> Stored:
    """A run directory, a .safetensors or a .pth file. UserError where it is none of them; nothing
    in a file is ever executed."""
    path = home(path)
    if path.is_dir():
        return _run(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or run directory")
    if path.suffix == ".safetensors":
        return Stored(*read_safetensors(path, "about", ABOUT))
    return _pth(path)


def load(net: nn.Module, stored: Stored, where: Path) -> None:
    """Into a network, strictly. UserError that says what does not match."""
    if wrong := differing(net, stored.state):
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(f"{where} does not match this network: {', '.join(wrong[:3])}{more} differ")
    net.load_state_dict(stored.state)


def export(stored: Stored, more: dict[str, Any], path: Path) -> None:
    """Write a network as float32 safetensors, with what made it as its metadata."""
    write_safetensors(path, stored.state, {"about": json.dumps(stored.about | more)})


def _pth(path: Path) -> Stored:
    held = read_pth(path)
    state = tensors(held.get("state_dict", held) if isinstance(held, dict) else held, path)
    refuse_nan(path, state)
    return Stored(state, {})


def _run(path: Path) -> Stored:
    from common.runs.checkpoint import of_run

    config = documents.read(path / "config.json", documents.CONFIG)
    options = documents.run_options(path, config, "s3net")
    held, _ = read_safetensors(of_run(path, "last") / "tensors.safetensors", "about")
    options = {"model": options.get("arch")} | options  # ImageNet's name for it
    if config.get("dataset"):
        options["dataset"] = config["dataset"]  # what the run found under the name asked for
    about = {n: options[n] for n in SETTINGS if options.get(n) is not None}
    documents.check(about, ABOUT, f"{path / 'config.json'}: options")
    return Stored(of_network(held), about)
