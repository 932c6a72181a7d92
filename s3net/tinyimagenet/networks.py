"""The networks that the commands know, by name; importing this imports no framework."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common.errors import ArgumentError
from s3net.tinyimagenet.comparison import graphs
from s3net.tinyimagenet.recipes import MODELS, OURS, SMALL

if TYPE_CHECKING:
    from torch import nn

    from s3net.stored import Stored


def make_network(
    name: str,
    classes: int,
    dropout: float = 0.0,
    wiring: str | None = None,
    drawn: graphs.Wiring | None = None,
) -> "nn.Module":
    """A network with so many outputs, drawn from torch's generator.

    name     one of MODELS, or a model of torchvision
    dropout  of S3's layers; wiring of its blocks, None: its own
    drawn    graphs of randwire_ws; None: the study's
    ArgumentError for a name that nobody knows, and for dropout or a wiring that the network
    has not.
    """
    from s3net import networks

    if name in networks.PLANS:
        return networks.make_network(name, classes, dropout, wiring)
    for argument, value in (("dropout", dropout), ("wiring", wiring)):
        if value:
            raise ArgumentError(argument, f"(={value}) is for S3 nets; {name} has its own")
    if name in OURS:
        return _comparison_model(name, classes, drawn)
    return networks.torchvision_network(name, classes, "model", MODELS)


def _comparison_model(name: str, classes: int, drawn: graphs.Wiring | None) -> "nn.Module":
    from s3net.tinyimagenet.comparison.ghost import GhostNet
    from s3net.tinyimagenet.comparison.lambda_net import lambda_resnet50
    from s3net.tinyimagenet.comparison.octave import oct_resnet50
    from s3net.tinyimagenet.comparison.rand_wire import RandWire
    from s3net.tinyimagenet.comparison.scale_net import scalenet50
    from s3net.tinyimagenet.comparison.se_resnet import se_resnet50

    builders: dict[str, Callable[[int], nn.Module]] = {
        "ghostnet": GhostNet,
        "se_resnet50": se_resnet50,
        "oct_resnet50": oct_resnet50,
        "lambda_resnet50": lambda_resnet50,
        "scalenet50": scalenet50,
        "randwire_ws": lambda classes: RandWire(classes, drawn or graphs.read(graphs.STORED)),
    }
    return builders[name](classes)


def classes_of(name: str, state: dict[str, Any]) -> int:
    """Outputs of the network of this name that the state is of; 1000 where it does not tell."""
    import torch

    # Outputs are the first axis of the last matrix, whatever the blocks' wiring and graphs.
    with torch.device("meta"):
        state_dict = make_network(name, 1).state_dict()
    last = [n for n, tensor in state_dict.items() if tensor.ndim >= 2][-1]
    return len(state[last]) if last in state else 1000


class Opened(NamedTuple):
    """A trained network: where it is from, the side of its images, and what is known of it."""

    net: "nn.Module"
    name: str
    size: int
    stored: "Stored | None"
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
    from s3net.stored import STORED, load, read

    if path is None:
        name = name or "s3net_small"
        if name not in SMALL:
            raise ArgumentError(
                "model", f"(={name}) must be NAME=FILE, or one of {', '.join(SMALL)}"
            )
        path = STORED / f"{name}.safetensors"
    stored = read(path)
    known = stored.about.get("model")
    if name and known and name != known:
        raise ArgumentError("model", f"(={name}) does not match {path}, which is {known}")
    name = name or known
    if name is None:
        raise ArgumentError("model", f"is missing: {path} does not say what it is")
    kept = path / graphs.FILE if path.is_dir() else None
    net = make_network(
        name,
        classes_of(name, stored.state),
        wiring=stored.about.get("wiring"),
        drawn=graphs.read(kept) if kept and kept.is_file() else None,
    )
    load(net, stored, path)
    about, accuracy = "weights of unknown accuracy", stored.about.get("test_accuracy")
    if accuracy is not None:
        about = f"{accuracy:.2f} % of {stored.about.get('tested_on', 'unnamed images')}"
    size = size or stored.about.get("image_size", 224)
    fits(net, (3, size, size), torch.float32)
    return Opened(net.eval(), name, size, stored, about)
