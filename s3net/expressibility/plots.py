"""The figures of the study."""

from pathlib import Path
from typing import Any

import numpy as np

from common.reports.figures import COLOURS
from s3net.plots import canvas, save

COLOUR = {
    "residual": COLOURS[1],
    "proposed": COLOURS[0],
    "dense": COLOURS[2],
    "plain": "#6b7280",
    "proposed_with_identity": COLOURS[3],
}


def compared(rows: list[dict[str, Any]], gaps: list[Any], file: Path) -> None:
    """Test error against depth by wiring; beside it the gap with its interval, where there is."""
    kinds = list(dict.fromkeys(r["kernel"] for r in rows))
    figure, axes = panels(2 if gaps else 1)
    for kind in kinds:
        style = "-" if kind == "ntk" else "--"
        for wiring in dict.fromkeys(r["wiring"] for r in rows):
            mine = [r for r in rows if (r["wiring"], r["kernel"]) == (wiring, kind)]
            k, mse = ([r[name] for r in mine] for name in ("K", "mse"))
            about = {"color": COLOUR[wiring], "label": f"{wiring}, {kind.upper()}"}
            axes[0].plot(k, mse, style, marker="o", markersize=3, **about)
    if max(r["blocks"] for r in rows) > 16:
        for axis in axes:
            axis.set_xscale("log", base=2)
    axes[0].set_xlabel("K = B + 2, dense layers on the main path")
    axes[0].set_ylabel("test MSE")
    axes[0].set_title("the notebook's split", fontsize=10)
    where = {"loc": "upper left", "bbox_to_anchor": (0, -0.2)}
    axes[0].legend(frameon=False, fontsize=7, ncols=len(kinds), handlelength=4, **where)
    for i, kind in enumerate(kinds if gaps else ()):
        chosen = [g for g in gaps if g.kernel == kind]
        x = np.array([g.blocks + 2 for g in chosen]) * (1 + 0.015 * i)
        mean = np.array([g.mean for g in chosen])
        low, high = (np.array([getattr(g, side) for g in chosen]) for side in ("low", "high"))
        about = {"color": ("#1f2430", "#9aa1ab")[i], "label": kind.upper()}
        reach = [mean - low, high - mean]
        axes[1].errorbar(x, mean, reach, fmt="o", markersize=3, capsize=2, **about)
    if gaps:
        axes[1].axhline(0, color="0.5", linewidth=0.8)
        axes[1].set_xlabel("K")
        axes[1].set_ylabel("MSE, residual minus proposed")
        axes[1].set_title(f"{gaps[0].splits} random splits, 95 % intervals", fontsize=10)
        axes[1].legend(frameon=False, fontsize=8)
    save(figure, file)


def panels(count: int) -> tuple[Any, Any]:
    """A figure of so many panels side by side, and its axes."""
    figure, (axes,) = canvas(1, count, (4.6 * count, 3.9))
    return figure, axes
