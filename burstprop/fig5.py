"""Fig. 5c, d of the paper: `python -m burstprop.fig5 RUN... --out FILE.png`

RUN is a run of train_mnist or train_cifar10, such as `--recipe fig5 --seed 1`. Runs that differ in
the seed alone are one curve, mean and standard deviation, as far as all of them go. Above, the
angles of W and Y at the start of an epoch; below, those of the rule's delta and backprop's,
averaged over an epoch if the run was told so.
"""

from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.cli import Options, argument, command, option
from common.cli.params import path
from common.errors import UserError
from common.files.documents import run_options
from common.files.writing import write_figure
from common.reports.figures import palette
from common.reports.grouping import group, tell_apart
from common.runs.read_back import Record, Series, number, read_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    (True, True): "learned feedback, recurrent input",
    (True, False): "learned feedback",
    (False, True): "fixed feedback, recurrent input",
    (False, False): "fixed feedback",
}


def variant(run: Record) -> str:
    """What tells its curve from others. UserError where it is no run of burstprop's."""
    named = ("weight_fa_learning", "recurrent_input")
    options = run_options(run.path, run.config, "burstprop", named)
    return LABELS[bool(options["weight_fa_learning"]), bool(options["recurrent_input"])]


def angles(run: Record, kind: str) -> dict[int, list[tuple[int, float]]]:
    """Pair of layers -> (epoch, degrees). UserError where the run has none."""
    degrees: dict[int, list[tuple[int, float]]] = {}
    for line in run.epochs:
        for key, value in line.items():
            name, _, layer = key.partition("/")
            if name == f"{kind}_angle" and layer.isdecimal():
                angle = number(value)  # None: what is too small to have a direction is a gap
                points = degrees.setdefault(int(layer), [])
                points.append((line["epoch"], nan if angle is None else angle))
    if not degrees:
        raise UserError(
            f"{run.path}: no {kind} angles; they are of runs of burstprop with "
            "--delta-angles last or epoch"
        )
    return degrees


def draw(runs: list[Record]) -> "Figure":
    """The figure: a column a layer, weight angles above, delta angles below."""
    import numpy as np
    from matplotlib.figure import Figure

    series = group(runs)
    names = tell_apart([one.runs[0] for one in series], [variant(one.runs[0]) for one in series])
    colours = palette([Series(name, "burstprop", ()) for name in names])
    kinds = ("weight", "delta")
    columns = 1 + max(max(angles(run, kind)) for run in runs for kind in kinds)
    figure = Figure(figsize=(2.9 * columns + 0.6, 5.4))
    axes = figure.subplots(2, columns, sharey="row", sharex=True, squeeze=False)
    for row, (kind, label) in enumerate((("weight", "W and Y"), ("delta", "delta and backprop's"))):
        highest = 105.0
        for name, one in zip(names, series, strict=True):
            each, colour = [angles(run, kind) for run in one.runs], colours[name]
            for layer in sorted(set.intersection(*(set(a) for a in each))):
                tables = [dict(a[layer]) for a in each]
                epochs = sorted(set.intersection(*map(set, tables)))
                values = np.array([[t[epoch] for epoch in epochs] for t in tables])
                mean, spread = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else 0.0
                axis = axes[row][layer]
                marker = "." if len(epochs) == 1 else ""
                axis.plot(epochs, mean, color=colour, linewidth=1.6, label=name, marker=marker)
                axis.fill_between(epochs, mean - spread, mean + spread, color=colour, alpha=0.2)
                highest = max([highest, *(y for y in mean + spread + 5 if y == y)])
        for layer in range(columns):
            axis = axes[row][layer]
            axis.axhline(90, color="0.6", linewidth=0.7, linestyle=":")
            axis.set_ylim(0, highest)
            axis.spines[["top", "right"]].set_visible(False)
            axis.set_title(_title(row, layer), fontsize=9)
        axes[row][0].set_ylabel(f"degrees between\n{label}")
    for axis in axes[1]:
        axis.set_xlabel("epochs")
    axes[0][0].legend(frameon=False, fontsize=7, loc="lower left")
    figure.tight_layout()
    return figure


def _title(row: int, layer: int) -> Any:
    return f"weights of layer {layer + 2}" if row == 0 else f"units of layer {layer + 1}"


@dataclass(frozen=True, kw_only=True)
class Fig5Options(Options):
    """What fig5 takes."""

    runs: tuple[Path, ...] = argument(type=path, nargs=-1, help="Run directories.")
    out: Path = option(type=path, default=Path("fig5.png"), help="Where the figure goes.")


@command(Fig5Options, paper="burstprop", name="fig5")
def main(options: Fig5Options) -> None:
    """Draw how feedback weights, and what layers learn from, align."""
    write_figure(draw(read_runs(options.runs)), options.out, dpi=110)
    click.echo(options.out)


if __name__ == "__main__":
    main()
