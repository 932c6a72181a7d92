"""The networks that the commands know, by name; importing this imports no framework."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import ArgumentError
from s3net.tinyimagenet.comparison.graphs import FILE, Wiring, read
from s3net.tinyimagenet.comparison.graphs import STORED as STORED_GRAPHS

S3 = (
    "s3net_new",
    "s3net_k96",
    "s3net_new1",
    "s3net_new2",
    "s3net_large",
    "s3net_new_big",
    "s3net_new_big2",
    "s3net65",
)
SMALL = ("s3net_small", "densenet_small", "resnet_small")
TORCHVISION = ("mobilenet_v2", "efficientnet_b0")
OURS = ("ghostnet", "se_resnet50", "oct_resnet50", "lambda_resnet50", "scalenet50", "randwire_ws")
MODELS = (*S3, *SMALL, *TORCHVISION, *OURS)


class Recipe(NamedTuple):
    """What the nine programs differ in, besides their networks."""

    batch_size: int = 64
    lr: float = 0.1


RECIPES = {
    "mobilenet_v2": Recipe(96),
    "efficientnet_b0": Recipe(96),
    "ghostnet": Recipe(96),
    "se_resnet50": Recipe(96, 0.005),
    "oct_resnet50": Recipe(96),
    "lambda_resnet50": Recipe(96),
    "scalenet50": Recipe(64, 0.01),
    "randwire_ws": Recipe(64, 0.01),
}
TABLE_LR = {"se_resnet50": 0.05}
"""Rates of the paper's table IV that are not the program's."""


def recipe(model: str) -> Recipe:
    """Of the program that trains this network; S3's for those that no program has."""
    return RECIPES.get(model, Recipe())


def make(
    name: str,
    classes: int,
    dropout: float = 0.0,
    wiring: str | None = None,
    graphs: Wiring | None = None,
) -> Any:
    """A network with so many outputs, drawn from torch's generator.

    name     one of MODELS, or a model of torchvision
    dropout  of S3's layers; wiring of its blocks, None: its own
    graphs   of randwire_ws; None: the study's
    ArgumentError for a name that nobody knows, and for dropout or a wiring that the network
    has not.
    """
    from s3net.networks import PLANS, build

    if name in PLANS:
        return build(name, classes, dropout, wiring)
    for argument, value in (("dropout", dropout), ("wiring", wiring)):
        if value:
            raise ArgumentError(argument, f"(={value}) is for S3 nets; {name} has its own")
    if name in OURS:
        return _ours(name, classes, graphs)
    from torchvision.models import get_model, list_models

    if name not in list_models():
        raise ArgumentError("model", f"(={name}) must be one of {', '.join(MODELS)}, or a model of "
                            "torchvision")  # fmt: skip
    return get_model(name, weights=None, num_classes=classes)


def _ours(name: str, classes: int, graphs: Wiring | None) -> Any:
    if name == "randwire_ws":
        from s3net.tinyimagenet.comparison.rand_wire import RandWire

        return RandWire(classes, graphs or read(STORED_GRAPHS))
    from s3net.tinyimagenet.comparison.ghost import GhostNet
    from s3net.tinyimagenet.comparison.lambda_net import lambda_resnet50
    from s3net.tinyimagenet.comparison.octave import oct_resnet50
    from s3net.tinyimagenet.comparison.scale_net import scalenet50
    from s3net.tinyimagenet.comparison.se_resnet import se_resnet50

    builders: dict[str, Callable[[int], Any]] = {
        "ghostnet": GhostNet,
        "se_resnet50": se_resnet50,
        "oct_resnet50": oct_resnet50,
        "lambda_resnet50": lambda_resnet50,
        "scalenet50": scalenet50,
    }
    return builders[name](classes)


def classes_of(name: str, state: dict[str, Any]) -> int:
    """Outputs of the network of this name that the state is of; 1000 where it does not tell."""
    import torch

    # Outputs are the first axis of the last matrix, whatever the blocks' wiring and graphs.
    with torch.device("meta"):
        matrices = [n for n, t in make(name, 1).state_dict().items() if t.ndim >= 2]
    return len(state[matrices[-1]]) if matrices[-1] in state else 1000


class Opened(NamedTuple):
    """A trained network: where it is from, the side of its images, and what is known of it."""

    net: Any
    name: str
    size: int
    stored: Any
    about: str


def open_network(name: str | None, path: Path | None, size: int | None = None) -> Opened:
    """A network with its weights, in eval mode.

    name   of the network; None: as the file says, else s3net_small
    path   as `stored.read` takes it; None: the small one of that name in `s3net/weights`
    Raises UserError where the file is none or does not match the network, or its images are too
    small for it.
    """
    import torch

    from common.backends.torch_trial import fits
    from s3net.stored import STORED, Stored, load
    from s3net.stored import read as read_stored

    if path is None:
        name = name or "s3net_small"
        if name not in SMALL:
            raise ArgumentError(
                "model", f"(={name}) must be NAME=FILE, or one of {', '.join(SMALL)}"
            )
        path = STORED / f"{name}.safetensors"
    stored: Stored = read_stored(path)
    said = stored.about.get("model")
    if name and said and name != said:
        raise ArgumentError("model", f"(={name}) does not match {path}, which is {said}")
    name = name or said
    if name is None:
        raise ArgumentError("model", f"is missing: {path} does not say what it is")
    wiring = stored.about.get("wiring")
    graphs = path / FILE if path.is_dir() else None
    net = make(
        name,
        classes_of(name, stored.state),
        wiring=wiring,
        graphs=read(graphs) if graphs and graphs.is_file() else None,
    )
    load(net, stored, path)
    known = stored.about.get("test_accuracy")
    about = "weights of unknown accuracy" if known is None else (
        f"{known:.2f} % of {stored.about.get('tested_on', 'unnamed images')}"
    )  # fmt: skip
    size = size or stored.about.get("image_size", 224)
    fits(net, (3, size, size), torch.float32)
    return Opened(net.eval(), name, size, stored, about)
