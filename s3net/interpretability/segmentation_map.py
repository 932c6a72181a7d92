"""Does it look at the object? `python -m s3net.interpretability.segmentation_map --images DIR
--masks DIR --model NAME`.

Thresholds FullGrad maps at a percentile, draws them beside the object's cut-out, and measures the
overlap (Dice) at percentiles 99 to 80, beside that of a blob in the centre, which knows nothing.
Writes segmentation.png, dice.png and dice.csv.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import numpy as np

from common.cli import command, option
from common.cli.params import Number, path, positive_int
from common.errors import UsageError
from common.files.writing import write_table
from s3net.interpretability.options import StudyOptions, results


@dataclass(frozen=True, kw_only=True)
class SegmentationOptions(StudyOptions):
    """What segmentation_map takes."""

    out: Path = results("runs/s3net/segmentation")
    masks: Path = option(
        type=path, required=True, help="Folder of cut-outs, named as the photographs begin."
    )
    percentile: float = option(
        type=Number(float, 0, 100),
        default=90.0,
        help="Percentile of a map above which the figure is white.",
    )
    dice_percentiles: str = option(
        default="99:80",
        metavar="FIRST:LAST",
        help="Percentiles of the Dice curve, in steps of one.",
    )
    red_mask: bool = option(
        is_flag=True,
        default=False,
        help="Masks as the original made them: the red channel only (its defect).",
    )
    rows: int = option(type=positive_int, default=4, help="Photographs in the figure.")


@command(SegmentationOptions, paper="s3net", name="segmentation_map")
def main(options: SegmentationOptions) -> None:
    """Threshold saliency maps and measure how well they cover the object."""
    from common.backends import torch_backend
    from s3net.interpretability.fullgrad import report
    from s3net.interpretability.plots import curves, grid
    from s3net.interpretability.segmentation import centre, dice, segment
    from s3net.interpretability.study import explain, files, masks, open_model, photos

    percentiles = _range(options.dice_percentiles)
    device = torch_backend.choose_device(options.device)
    paths = files(options.images, options.limit)
    overlap: dict[str, np.ndarray] = {}
    columns: list[tuple[str, list[np.ndarray]]] = []
    read = cache(lambda size: photos(paths, size))
    cut_outs = cache(lambda size: masks(read(size).names, options.masks, size, options.red_mask))
    for word in options.models:
        opened = open_model(word, options.image_size)
        shown, truth = read(opened.size), cut_outs(opened.size)
        one = explain(opened, shown.pixels, batch=options.batch_size, device=device)
        report(one)
        name = word.partition("=")[0]
        overlap[name] = dice(one.saliency, truth, percentiles)
        binary = segment(one.saliency[: options.rows], np.array([options.percentile]))[0]
        columns = columns or [("object", list(truth[: options.rows]))]
        columns.append((name, list(binary)))
    grid(columns, shown.names[: options.rows], options.out / "segmentation.png")
    blob = np.broadcast_to(centre(truth.shape[1]), truth.shape)
    overlap["a blob in the centre"] = dice(blob, truth, percentiles)
    curves(percentiles, overlap, options.out / "dice.png")
    rows = [
        [image, name, *(f"{v:.4f}" for v in curve)]
        for name, values in overlap.items()
        for image, curve in zip(shown.names, values.T, strict=True)
    ]
    head = ["image", "model", *(f"dice_{p:g}" for p in percentiles)]
    write_table(options.out / "dice.csv", [head, *rows])
    for name, values in overlap.items():
        mean = values.mean(1)
        best = int(mean.argmax())
        click.echo(
            f"{name}: mean Dice over {values.shape[1]} photographs {mean[best]:.3f} at "
            f"percentile {percentiles[best]:g}, {mean.mean():.3f} over all"
        )
    click.echo(options.out / "segmentation.png")
    click.echo(options.out / "dice.png")


def _range(text: str) -> np.ndarray:
    first, _, last = text.partition(":")
    try:
        low, high = sorted((int(first), int(last)))
    except ValueError:
        low, high = -1, -1
    if not 0 <= low <= high <= 100:
        raise UsageError(
            f"option --dice-percentiles (={text}) must be FIRST:LAST, two whole numbers between 0 "
            "and 100, such as 99:80"
        )
    return np.arange(high, low - 1, -1)


if __name__ == "__main__":
    main()
