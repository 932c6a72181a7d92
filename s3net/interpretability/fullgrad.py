"""Where a network looks: `python -m s3net.interpretability.fullgrad --images DIR --model NAME`.

Draws FullGrad saliency maps, a row a photograph and a column a network, and checks for every one of
them that input and bias gradients add up to the logit (completeness). Writes fullgrad.png,
maps.npz (the maps as they are, a key a network) and fullgrad.csv (class and error of each).
"""

import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from common.cli import command, option
from common.files.writing import write_bytes, write_table
from s3net.interpretability.options import StudyOptions, results

if TYPE_CHECKING:
    from s3net.interpretability.study import Maps


@dataclass(frozen=True, kw_only=True)
class FullGradOptions(StudyOptions):
    """What fullgrad takes."""

    out: Path = results("runs/s3net/fullgrad")
    photos: bool = option(
        "--photos/--no-photos", default=True, help="The photographs as the first column."
    )


@command(FullGradOptions, paper="s3net", name="fullgrad")
def main(options: FullGradOptions) -> None:
    """Draw FullGrad saliency maps and check that they are complete."""
    from common.backends import torch_backend
    from s3net.interpretability.plots import grid
    from s3net.interpretability.study import explain, files, open_model, photos

    device = torch_backend.choose_device(options.device)
    paths = files(options.images, options.limit)
    read = cache(lambda size: photos(paths, size))
    maps: dict[str, Maps] = {}
    for word in options.models:
        opened = open_model(word, options.image_size)
        shown = read(opened.size)
        one = explain(opened, shown.pixels, batch=options.batch_size, device=device)
        maps[word.partition("=")[0]] = one
        report(one)
    names = shown.names
    columns = [("photograph", list(read(224).pixels))] if options.photos else []
    columns += [(name, list(one.saliency)) for name, one in maps.items()]
    grid(columns, names, options.out / "fullgrad.png")
    arrays = io.BytesIO()
    named: dict[str, Any] = {name: one.saliency for name, one in maps.items()}
    np.savez_compressed(arrays, names=names, **named)
    write_bytes(options.out / "maps.npz", arrays.getvalue())
    rows = [
        [image, name, int(target), f"{error:.3g}"]
        for name, one in maps.items()
        for image, target, error in zip(names, one.targets, one.errors, strict=True)
    ]
    head = ["image", "model", "class", "completeness_error"]
    write_table(options.out / "fullgrad.csv", [head, *rows])
    click.echo(options.out / "fullgrad.png")


def report(one: "Maps") -> None:
    """A line about a network's maps, with a warning where they are not complete."""
    from s3net.interpretability.study import TOLERANCE

    worst = float(one.errors.max())
    click.echo(
        f"{one.model} ({one.about}): {len(one.errors)} maps, completeness within {worst:.1e}"
    )
    if not worst <= TOLERANCE:
        click.echo(
            f"warning: {one.model}: the gradients do not add up to the logit (relative error "
            f"{worst:.1e}, allowed {TOLERANCE:.0e}): FullGrad holds for nets of ReLUs, "
            "convolutions, batch norms and linear layers only",
            err=True,
        )


if __name__ == "__main__":
    main()
