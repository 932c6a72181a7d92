"""What the two commands have in common on the command line; no framework."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.cli import Options, option
from common.cli.params import Device, batch, path, positive_int, side
from s3net.tinyimagenet.recipes import SMALL


@dataclass(frozen=True, kw_only=True)
class StudyOptions(Options):
    """Photos and networks; `out`, where the results go, has a default of each command."""

    images: Path = option(type=path, required=True, help="Folder of photographs.")
    models: tuple[str, ...] = option(
        "--model",
        multiple=True,
        default=SMALL,
        metavar="NAME[=FILE]",
        help="Network: a small one of ours, one of torchvision, or any of them with your weights "
        "(safetensors, .pth, run directory). Repeat for more.",
    )
    image_size: int | None = option(
        type=side, help="Side of the images (default: the network's, else 224)."
    )
    limit: int | None = option(type=positive_int, help="Use only the first so many photographs.")
    batch_size: int = option(type=batch, default=10, help="Photographs a pass.")
    device: str | int = option(
        type=Device(), default="auto", help="Device: cpu, cuda, cuda:1 or an index."
    )


def results(folder: str) -> Any:
    """The field `out`: where a command's results go."""
    return option(default=Path(folder), help="Folder of the results.")
