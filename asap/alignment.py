"""Is the alignment learnt? `python -m asap.alignment RUN... --out FILE.png`

RUN is a run of asap.train with --audit or --audit-every. For each, two panels against training
steps: the cosine of forward and feedback weights, and of the rule's update and backprop's gradient,
a line a layer, the input's side dark. Where one of the two is too small to have a direction, the
line has a gap. Bands are the spread over the batches of an audit.
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
from common.reports.audit_lines import band, measured
from common.reports.grouping import tell_apart
from common.runs.read_back import Record, number, read_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOWEST = -0.3  # cosine down to which every panel reaches; further where there is something


def curves(lines: list[dict[str, Any]], what: str) -> dict[str, list[tuple[int, float]]]:
    """layer -> (step, cosine) of "credit" or "feedback"; NaN where it is too small to mean
    anything or not there."""
    layers = dict.fromkeys(layer for line in lines for layer in line[what])
    cosines: dict[str, list[tuple[int, float]]] = {layer: [] for layer in layers}
    for line in lines:
        for layer, points in cosines.items():
            value = (line.get(what) or {}).get(layer, {})
            cosine = None if value.get("too_small") else number(value.get("cosine"))
            points.append((line["step"], nan if cosine is None else cosine))
    return cosines


def scatter(lines: list[dict[str, Any]], what: str, layer: str) -> list[tuple[int, float, float]]:
    """(step, low, high): mean and spread of a layer's cosine over an audit's batches, where the
    lines tell them."""
    pairs = ((line["step"], band(line[what].get(layer, {}), "cosine")) for line in lines)
    return [(step, *limits) for step, limits in pairs if limits]


def titles(runs: list[Record]) -> list[str]:
    """What each run trained, in two lines and as many more as tell it from runs alike.

    UserError where one is no run of asap's, or holds no audits.
    """
    labels, named = [], ("model", "dataset", "feedback", "feedback_init")
    for run in runs:
        options = run_options(run.path, run.config, "asap", named)
        if not run.audits:
            raise UserError(f"{run.path}: no audits; train with --audit or --audit-every")
        first = f"{options['model']}, {options['dataset']}, {options['feedback']}"
        labels.append(f"{first}\nlinear feedback: {options['feedback_init']}")
    return tell_apart(runs, labels, between="\n")


def draw(runs: list[Record]) -> "Figure":
    """The figure: a column a run, weights above, updates below. UserError without audits."""
    import matplotlib
    from matplotlib.figure import Figure

    heads = titles(runs)
    figure = Figure(figsize=(3.4 * len(runs) + 0.8, 5.6))
    axes = figure.subplots(2, len(runs), sharey="row", squeeze=False)
    colours = matplotlib.colormaps["viridis"]
    panels = (("feedback", "cos(W, B)"), ("credit", "cos(update, gradient)"))
    for row, (what, label) in enumerate(panels):
        lowest = LOWEST
        for column, run in enumerate(runs):
            axis = axes[row][column]
            layers = curves(run.audits, what)
            for i, (layer, points) in enumerate(layers.items()):
                colour = colours(0.9 * i / max(1, len(layers) - 1))
                name = layer if len(layers) <= 6 or i in (0, len(layers) - 1) else None
                axis.plot(
                    *zip(*points, strict=True),
                    color=colour,
                    linewidth=1.4,
                    label=name,
                    marker="." if len(points) == 1 else "",
                )
                bands = scatter(run.audits, what, layer)
                if bands:
                    axis.fill_between(
                        *zip(*bands, strict=True), color=colour, alpha=0.12, linewidth=0
                    )
                ends = [y for _, y in points if y == y] + [low for _, low, _ in bands]
                lowest = min([lowest, *(y - 0.05 for y in ends)])
            axis.axhline(0, color="0.6", linewidth=0.7)
            axis.set_xscale("symlog", linthresh=1)
            axis.set_xlim(left=0)
            axis.spines[["top", "right"]].set_visible(False)
            if not column:
                axis.set_ylabel(label)
            if row:
                taken = measured(run.audits).replace("; ", ";\n")  # as wide as a column
                axis.set_xlabel(f"training steps\n{taken}", fontsize=8)
            else:
                axis.set_title(heads[column], fontsize=9)
            if layers:
                axis.legend(frameon=False, fontsize=7, loc="best")
        axes[row][0].set_ylim(lowest, 1.05)  # shared by the row
    figure.tight_layout()
    return figure


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions(Options):
    """What `alignment` takes."""

    runs: tuple[Path, ...] = argument(
        type=path, nargs=-1, required=True, help="Run directories with audits."
    )
    out: Path = option(type=path, default=Path("alignment.png"), help="Where the figure goes.")


@command(AlignmentOptions, paper="asap", name="alignment")
def main(options: AlignmentOptions) -> None:
    """Draw how forward and feedback weights, updates and gradients align."""
    write_figure(draw(read_runs(options.runs)), options.out, dpi=110)
    click.echo(options.out)


if __name__ == "__main__":
    main()
