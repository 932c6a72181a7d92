"""The figures of the saliency study."""

from pathlib import Path
from typing import Any

import numpy as np

from common.figures import COLOURS


def grid(columns: list[tuple[str, Any]], names: list[str], file: Path) -> None:
    """A row a photo; columns of (title, list of images): colour, or grey from dark to light."""
    axes, figure = _axes(len(names), len(columns))
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
    _save(figure, file)


def curves(percentiles: np.ndarray, dice: dict[str, np.ndarray], file: Path) -> None:
    """Mean Dice over the photos against the percentile, with its standard error; (P, N) a model."""
    axes, figure = _axes(1, 1, (4.8, 3.4))
    axis = axes[0][0]
    for (name, values), colour in zip(dice.items(), COLOURS * 3, strict=False):
        mean, error = values.mean(1), values.std(1, ddof=1) / np.sqrt(values.shape[1])
        axis.plot(percentiles, mean, color=colour, label=name, linewidth=1.6)
        axis.fill_between(percentiles, mean - error, mean + error, color=colour, alpha=0.18, lw=0)
    axis.set_xlabel("percentile of the saliency map")
    axis.set_ylabel("Dice with the object")
    axis.invert_xaxis()
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_ylim(bottom=0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    _save(figure, file)


def _axes(rows: int, columns: int, size: tuple[float, float] | None = None) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size or (1.35 * columns + 0.3, 1.35 * rows + 0.3))
    FigureCanvasAgg(figure)
    return figure.subplots(rows, columns, squeeze=False), figure


def _save(figure: Any, file: Path) -> None:
    figure.tight_layout(pad=0.4)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
