"""Figures drawn without a display, and written."""

from pathlib import Path
from typing import Any

from common.files.writing import write_figure


def canvas(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """(figure, axes as an array (rows, columns)) of a size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: Any, file: Path, *, dpi: int = 120, pad: float = 1.08) -> None:
    """Write it, making its folder; `pad` in units of the font's size."""
    figure.tight_layout(pad=pad)
    write_figure(figure, file, dpi=dpi)
