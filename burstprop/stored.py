"""What burstprop keeps on disk. Nothing in a file is ever executed.

Written, beside the files of a run, is what the original's results directory holds (burstprop, 7):
params.txt, copies of the sources that train, initial_model.pth, model.pth; the last two are plain
state dicts. Read are trained networks of MNIST and CIFAR-10: a results directory, a
model.pth, a safetensors file with its metadata.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from burstprop.fidelity import REVISIONS
from burstprop.networks import BurstNetwork, make_network
from common.backends.torch_files import (
    read_pth,
    read_safetensors,
    refuse_nan,
    write_pth,
    write_safetensors,
)
from common.errors import UserError
from common.files.documents import TEXT, check, loose, maybe, one_of, options_of
from common.files.paths import home
from common.files.writing import write_bytes, write_text

ABOUT = ("dataset", "revision", "epochs", "seed")  # what a run tells of its network
KNOWN = loose(dataset=maybe(TEXT), revision=maybe(one_of(*REVISIONS)))
RATES = ("hidden_lr", "output_lr")  # what params.txt has as a list
PACKAGE = Path(__file__).resolve().parent


def write_beginning(
    directory: Path, net: nn.Module, record: Mapping[str, Any], rates: Sequence[float]
) -> None:
    """What the original writes before it trains; record: all options, rates: one a layer."""
    shown = {name: value for name, value in record.items() if name not in RATES}
    write_params(directory, shown | {"lr": list(rates)})
    copy_sources(directory)
    save_network(net, directory / "initial_model.pth")


def write_params(directory: Path, values: Mapping[str, Any]) -> None:
    """params.txt: when it began, then a hyperparameter a line."""
    lines = [f"Timestamp: {datetime.now():%Y-%m-%d %H:%M:%S}"]
    lines += [f"{name}: {value}" for name, value in values.items()]
    write_text(directory / "params.txt", "\n".join(lines) + "\n")


def copy_sources(directory: Path) -> None:
    """Copies of every file of this package that this process runs, in the package's folders."""
    # A script is `__main__`. No other module is asked: some import more when they are.
    running = [m for n, m in sys.modules.items() if n.split(".")[0] in (__package__, "__main__")]
    files = {file for module in running if (file := getattr(module, "__file__", None))}
    for path in {Path(file).resolve() for file in files}:
        if path.is_relative_to(PACKAGE):
            target = directory / path.relative_to(PACKAGE)
            target.parent.mkdir(exist_ok=True)
            write_bytes(target, path.read_bytes())


def save_network(net: nn.Module, path: Path) -> None:
    """The state dict, contiguous and on the CPU, whole or not at all."""
    write_pth(path, {n: t.detach().cpu().contiguous() for n, t in net.state_dict().items()})


class Stored(NamedTuple):
    """state: tensors by name; about: what made them, as far as the file knows."""

    state: dict[str, Tensor]
    about: dict[str, Any]


def read(path: Path) -> Stored:
    """UserError where it is no network of burstprop's."""
    path = home(path)
    if path.is_dir():
        options = options_of(path, "burstprop")
        settings = {name: options.get(name) for name in ABOUT}
        about = check(settings, KNOWN, f"{path / 'config.json'}: options")
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
        net = make_network("mnist", hidden=layers - 1, feedback=None)
    elif first.shape[1] == 1:
        net = make_network("mnist_conv", feedback=None)
    else:
        wide = "_wide" if state["fc1.weight"].shape[0] == 1480 else ""
        net = make_network(f"cifar10{wide}", feedback=None)
    mine = net.state_dict()
    for name, tensor in mine.items():
        if name not in state or state[name].shape != tensor.shape:
            theirs = tuple(state[name].shape) if name in state else "missing"
            raise UserError(
                f"{where}: {name} is {theirs}, not {tuple(tensor.shape)}: no network of "
                "train_mnist or train_cifar10"
            )
    for name, tensor in state.items():  # feedback weights, whose angles are told
        W = state.get(name.removesuffix("_fa")) if name.endswith(".weight_fa") else None
        if W is not None and (tensor.shape != W.shape or not tensor.is_floating_point()):
            raise UserError(
                f"{where}: {name} is {tensor.dtype} {tuple(tensor.shape)}, which is no "
                f"feedback through weights of {tuple(W.shape)}"
            )
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
    from burstprop.inspection.angles import angles

    degrees = {}
    for name, Y in state.items():
        layer = name.removesuffix(".weight_fa")
        if name.endswith(".weight_fa") and f"{layer}.weight" in state:
            W = state[f"{layer}.weight"]
            degrees[layer] = float(angles(W.reshape(1, -1), Y.reshape(1, -1)))
    return degrees


@torch.no_grad()
def accuracy(net: BurstNetwork, batches: Any, device: torch.device) -> float:
    """Percent of all images of the batches."""
    correct, total = torch.zeros((), dtype=torch.int64, device=device), 0
    for images, labels in batches:
        correct += (net(images).argmax(1) == labels).sum()
        total += len(labels)
    return 100 * int(correct) / total
