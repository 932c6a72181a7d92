"""Trained networks of MNIST and CIFAR-10 on disk: a results directory, a model.pth, a safetensors
file with its metadata. Nothing in a file is ever executed."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from burstprop import networks
from burstprop.fidelity import REVISIONS
from burstprop.networks import BurstNetwork
from common.backends.torch_files import read_pth, read_safetensors, refuse_nan, write_safetensors
from common.errors import UserError
from common.files.documents import TEXT, check, loose, maybe, one_of, options_of
from common.files.paths import home

ABOUT = ("dataset", "revision", "epochs", "seed")  # what a run tells of its network
KNOWN = loose(dataset=maybe(TEXT), revision=maybe(one_of(*REVISIONS)))


class Stored(NamedTuple):
    """state: tensors by name; about: what made them, as far as the file knows."""

    state: dict[str, Tensor]
    about: dict[str, Any]


def read(path: Path) -> Stored:
    """UserError where it is no network of burstprop's."""
    path = home(path)
    if path.is_dir():
        options = options_of(path, "burstprop")
        told = {name: options.get(name) for name in ABOUT}
        about = check(told, KNOWN, f"{path / 'config.json'}: options")
        return Stored(_checked(read_pth(path / "model.pth"), path), about)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or results directory")
    if path.suffix == ".safetensors":
        state, about = read_safetensors(path, "options", KNOWN)
        return Stored(_checked(state, path), about)
    return Stored(_checked(read_pth(path), path), {})


def _checked(state: Any, path: Path) -> dict[str, Tensor]:
    names = state if isinstance(state, dict) else {}
    if not any(name in names for name in ("fc1.weight", "conv1.weight")):
        raise UserError(f"{path}: not a network of burstprop: it has no fc1.weight")
    if not all(isinstance(tensor, Tensor) for tensor in names.values()):
        raise UserError(f"{path}: not a network of burstprop: it holds more than tensors")
    refuse_nan(path, names)
    return names


def network(state: dict[str, Tensor], where: Path) -> BurstNetwork:
    """The network whose forward weights these are; feedback and recurrent ones do not compute
    outputs. UserError where the shapes are those of none of ours."""
    first = state.get("conv1.weight")
    if first is None:
        layers = sum(name.endswith(".weight") for name in state)
        net = networks.mnist(layers - 1, feedback=None)
    elif first.shape[1] == 1:
        net = networks.mnist_conv(feedback=None)
    else:
        net = networks.cifar10(wide=state["fc1.weight"].shape[0] == 1480, feedback=None)
    mine = net.state_dict()
    for name, tensor in mine.items():
        if name not in state or state[name].shape != tensor.shape:
            found = tuple(state[name].shape) if name in state else "missing"
            raise UserError(f"{where}: {name} is {found}, not {tuple(tensor.shape)}: no network of "
                            "train_mnist or train_cifar10")  # fmt: skip
    for name, tensor in state.items():  # feedback weights, whose angles are told
        twin = state.get(name.removesuffix("_fa")) if name.endswith(".weight_fa") else None
        if twin is not None and (tensor.shape != twin.shape or not tensor.is_floating_point()):
            raise UserError(f"{where}: {name} is {tensor.dtype} {tuple(tensor.shape)}, which is no "
                            f"feedback through weights of {tuple(twin.shape)}")  # fmt: skip
    net.load_state_dict({name: state[name] for name in mine})
    return net


def export(stored: Stored, more: dict[str, str], path: Path) -> None:
    """Forward weights, and the feedback weights that somebody hears, as float32, with what made
    them."""
    first = "conv1" if "conv1.weight" in stored.state else "fc1"
    kept = {
        name: tensor
        for name, tensor in stored.state.items()
        if name.endswith((".weight", ".bias", ".weight_fa")) and name != f"{first}.weight_fa"
    }
    write_safetensors(path, kept, {"options": json.dumps(stored.about)} | more)


def angles_of(state: dict[str, Tensor]) -> dict[str, float]:
    """Degrees between W and Y, for every layer that has both."""
    from burstprop.angles import angles

    found = {}
    for name, Y in state.items():
        layer = name.removesuffix(".weight_fa")
        if name.endswith(".weight_fa") and f"{layer}.weight" in state:
            W = state[f"{layer}.weight"]
            found[layer] = float(angles(W.reshape(1, -1), Y.reshape(1, -1)))
    return found


@torch.no_grad()
def accuracy(net: BurstNetwork, batches: Any, device: torch.device) -> float:
    """Percent of all images of the batches."""
    correct, total = torch.zeros((), dtype=torch.int64, device=device), 0
    for images, labels in batches:
        correct += (net(images).argmax(1) == labels).sum()
        total += len(labels)
    return 100 * int(correct) / total
