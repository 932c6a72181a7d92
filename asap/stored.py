"""Trained networks on disk: a run, the original's .pth, or a safetensors file with its metadata.

The original's files are read, and written, under its own names of the layers.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from asap.modes import Network
from asap.networks import ConvNet, ResNet
from asap.sharing import SHARING
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


ABOUT = loose(
    dataset=TEXT,
    model=TEXT,
    feedback=TEXT,
    wt=FLAG,
    width=WIDTH,
    fa_feedback=TEXT,
    shortcut_slip=FLAG,
    conv_bias=FLAG,
)
SETTINGS = (
    "dataset",
    "model",
    "feedback",
    "wt",
    "width",
    "fa_feedback",
    "shortcut_slip",
    "conv_bias",
)


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
        raise UserError(
            f"{where} does not match this network: {', '.join(wrong[:4])} differ; "
            "check --model, --feedback, --dataset and --width"
        )
    net.load_state_dict(stored.state)


def _pth(path: Path) -> Stored:
    document = read_pth(path)
    if not isinstance(document, dict) or not isinstance(document.get("net"), dict):
        raise UserError(f"{path}: not a checkpoint of asap: it has no 'net'")
    state = tensors(document["net"], path)
    about = {name: document[name] for name in ("acc", "epoch") if name in document}
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


# -- the original program's names of our layers, by network and mode (asap, 4) --------------------


def original_modules(net: Network) -> dict[str, str]:
    """Our module's name -> the original's."""
    if isinstance(net, ConvNet):
        return _convnet(net)
    assert isinstance(net, ResNet)
    return _resnet(net)


def _convnet(net: ConvNet) -> dict[str, str]:
    originals: dict[str, str] = {}
    for i in range(3):
        names = {
            "shares": (
                ("conv0", "layer1.conv", "layer2.conv")[i],
                ("bn0", "layer1.bn", "layer2.bn")[i],
                f"classifier.{3 * i + 1}",
                f"classifier.{3 * i + 2}",
            ),
            "dfa": (f"layer{i + 1}.0", f"layer{i + 1}.1", f"layer{i + 4}.1", f"layer{i + 4}.2"),
            "else": (
                f"layers.{4 * i}",
                f"layers.{4 * i + 1}",
                f"layers.{3 * i + 13}",
                f"layers.{3 * i + 14}",
            ),
        }["shares" if net.shares else "dfa" if net.mode == "dfa" else "else"]
        ours = (f"convs.{i}", f"conv_norms.{i}", f"linears.{i}", f"linear_norms.{i}")
        originals |= dict(zip(ours, names, strict=True))
    return originals | {f"receivers.{i}": f"feedback{i + 1}" for i in range(len(net.receivers))}


def _resnet(net: ResNet) -> dict[str, str]:
    shares = net.mode in SHARING
    stem = ("conv0", "bn0") if shares else ("conv1", "bn1")
    head = ("classifier.2", "classifier.3") if shares else ("classifier.0", "classifier.1")
    short = ("short_conv", "short_bn") if shares else ("shortcut.0", "shortcut.1")
    ours = ("stem", "stem_norm", "head", "head_norm", "receiver")
    originals = dict(zip(ours, (*stem, *head, "feedback1"), strict=True))
    parts = {
        "conv1": "conv1",
        "norm1": "bn1",
        "conv2": "conv2",
        "norm2": "bn2",
        "short_conv": short[0],
        "short_norm": short[1],
        "receiver1": "feedback1",
        "receiver2": "feedback2",
    }
    counts = list(net.stages)
    if shares:  # the block that widens is the last of its stage there
        counts = [counts[0] + 1, *counts[1:-1], counts[-1] - 1]
    places = [(stage, i) for stage, n in enumerate(counts, 1) for i in range(n)]
    for j, (stage, i) in enumerate(places):
        for part, name in parts.items():
            originals[f"blocks.{j}.{part}"] = f"layer{stage}.{i}.{name}"
    return originals


def to_original(net: Network) -> dict[str, Tensor]:
    """The network's state under the original's names; F as (classes, features)."""
    names, state = original_modules(net), {}
    for name, tensor in net.state_dict().items():
        module, _, leaf = name.rpartition(".")
        flat = tensor.flatten(1) if leaf == "weight_fb" else tensor
        state[f"{names[module]}.{leaf}"] = flat.detach().cpu().contiguous()
    return state


def load_original(net: Network, state: Mapping[str, Tensor], where: str) -> None:
    """Load a state under the original's names.

    The originals also hold feedback weights that their mode never uses (of a first convolution, of
    dfa's layers): those are passed over. UserError that says which names or shapes do not match.
    """
    ours = {old: name for name, old in _original_names(net).items()}
    mine = net.state_dict()
    spare = {k for k in state if k.endswith(".weight_fa") and k not in ours}
    absent = sorted(set(ours) - set(state))
    foreign = sorted(set(state) - set(ours) - spare)
    if absent or foreign:
        what = " and ".join(filter(None, [_list("lacks", absent), _list("has unknown", foreign)]))
        raise UserError(
            f"{where} does not match this network: it {what}; check --model and --feedback"
        )
    for old, name in ours.items():
        if state[old].numel() != mine[name].numel():
            raise UserError(
                f"{where} does not match this network: {old} has shape "
                f"{tuple(state[old].shape)}, ours {tuple(mine[name].shape)}; check "
                "--dataset and --width"
            )
    net.load_state_dict({n: state[old].reshape(mine[n].shape) for old, n in ours.items()})


def _original_names(net: Network) -> dict[str, str]:
    names = original_modules(net)
    split = [name.rpartition(".") for name in net.state_dict()]
    return {f"{module}.{leaf}": f"{names[module]}.{leaf}" for module, _, leaf in split}


def _list(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 4} more" if names[4:] else ""
    return f"{what} {', '.join(names[:4])}{more}"
