"""What the two commands have in common on the command line."""

from collections.abc import Callable
from pathlib import Path

from common.cli import option
from common.cli.params import Device, batch, path, positive_int, side, together
from s3net.tinyimagenet.models import SMALL


def study_options(out: str) -> Callable:
    """A decorator: photos, networks, and where the results go."""

    return together(
        option("--images", type=path, required=True, help="Folder of photographs.",
               original=False),
        option("--model", "models", multiple=True, default=SMALL, original=False,
               metavar="NAME[=FILE]",
               help="Network: a small one of ours, one of torchvision, or any of them "
               "with your weights (safetensors, .pth, run directory). Repeat for more."),
        option("--image-size", type=side, default=None, original=False,
               help="Side of the images (default: the network's, else 224)."),
        option("--limit", type=positive_int, default=None, original=False,
               help="The first so many photographs only."),
        option("--batch-size", type=batch, default=10, original=False,
               help="Photographs a pass."),
        option("--device", type=Device(), default="auto", original=False,
               help="cpu, cuda, cuda:1 or an index."),
        option("--out", type=path, default=Path(out), original=False,
               help="Folder of the results."),
    )  # fmt: skip
