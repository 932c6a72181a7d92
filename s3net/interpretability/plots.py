"""The figures of the saliency study."""

from pathlib import Path
from typing import Any

import numpy as np

from common.reports.figures import COLOURS
from s3net.plots import canvas, save


def grid(columns: list[tuple[str, Any]], names: list[str], file: Path) -> None:
    """A row a photo; columns of (title, list of images): colour, or grey from dark to light."""
    rows, wide = len(names), len(columns)
    figure, axes = canvas(rows, wide, (1.35 * wide + 0.3, 1.35 * rows + 0.3))
    for j, (title, images) in enumerate(columns):
        for i, image in enumerate(images):
            axes[i][j].imshow(image, cmap="gray", interpolation="nearest")
            axes[i][j].set_xticks([])
            axes[i][j].set_yticks([])
            for side in axes[i][j].spines.values():
                side.set_visible(False)
        axes[0][j].set_title(title, fontsize=9)
    for i, name in enumerate(names):
        axes[i][0].set_ylabel(name.replace("ILSVRC2012_val_", ""), fontsize=7)
    save(figure, file, dpi=130, pad=0.4)


def curves(percentiles: np.ndarray, dice: dict[str, np.ndarray], file: Path) -> None:
    """Mean Dice over the photos against the percentile, with its standard error; (P, N) a model."""
    figure, ((axis,),) = canvas(1, 1, (4.8, 3.4))
    lowest = 0.0
    for (name, values), colour in zip(dice.items(), COLOURS * 3, strict=False):
        mean, error = values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1])
        axis.plot(percentiles, mean, color=colour, label=name, linewidth=1.6)
        axis.fill_between(percentiles, mean - error, mean + error, color=colour, alpha=0.18, lw=0)
        lowest = min(lowest, float((mean - error).min()))
    axis.set_xlabel("percentile of the saliency map")
    axis.set_ylabel("Dice with the object")
    axis.invert_xaxis()
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_ylim(bottom=lowest)
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    save(figure, file, dpi=130, pad=0.4)
