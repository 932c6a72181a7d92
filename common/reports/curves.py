"""Test error against epochs, recipes side by side: mean of the seeds, and every seed faintly.

    python -m common.curves RUN... [--out FILE.png]

draws a panel a paper and data set, a line a recipe (`common.reports.grouping.group`: runs that
differ in the seed alone, each directory once), for a README; `common.reports.compare` makes a page
of everything. Errors are on a logarithmic axis, on which curves that still fall do not look flat:
no error at all is drawn at LEAST. The untrained network (epoch 0) is left out, as in
`common.reports.figures`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from common.cli import Options, argument, command, option
from common.cli.params import path
from common.reports.figures import STYLE, Curve, mean, palette, save_png
from common.reports.grouping import group
from common.runs.read_back import Record, Series, number, read_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panels = Mapping[str, Sequence[Series]]  # panel -> its recipes
LEAST = 0.01  # percent; 0 has no place on a logarithmic axis


def accuracies(run: Record) -> Curve:
    """(epoch, test accuracy in percent) of every epoch from the first that has one."""
    pairs = ((line["epoch"], number(line.get("test_accuracy"))) for line in run.epochs)
    return [(epoch, value) for epoch, value in pairs if epoch > 0 and value is not None]


def panels_of(runs: Sequence[Record]) -> dict[str, list[Series]]:
    """The runs' recipes by data set; by paper and data set, where there are several papers."""
    places: dict[str, list[Record]] = {}
    several = len({run.paper for run in runs}) > 1
    for run in runs:
        title = f"{run.paper}: {run.dataset}" if several else run.dataset
        places.setdefault(title, []).append(run)
    return {title: group(members) for title, members in places.items()}


def errors(panels: Panels, names: Mapping[str, str] | None = None) -> "Figure":
    """The figure. names: rule -> how the legend calls it."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    names = names or {}
    colours = palette(one for series in panels.values() for one in series)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(panels), 3.2), layout="constrained")
        for axes, (panel, series) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
        ):
            for one in series:
                curves: list[Curve] = [
                    [(epoch, max(100 - value, LEAST)) for epoch, value in shown]
                    for run in one.runs
                    if (shown := accuracies(run))
                ]
                style = {"color": colours[one.label], "marker": "" if _many(curves) else "."}
                for curve in curves:
                    axes.plot(*zip(*curve, strict=True), alpha=0.3, lw=1, **style)
                known = names.get(one.rule, one.rule)
                label = f"{known}{one.label.removeprefix(one.rule)} (n = {len(curves)})"
                average = mean(curves)
                axes.plot(
                    [x for x, _ in average], [y for _, y in average], lw=2, label=label, **style
                )
            axes.set(title=panel, xlabel="epoch", ylabel="test error (%)", yscale="log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.legend(frameon=False, loc="upper right")
    return figure


def _many(curves: list[Curve]) -> bool:
    """Does a line show them? One epoch is a point."""
    return all(len(curve) > 1 for curve in curves)


def save(panels: Panels, file: Path, names: Mapping[str, str] | None = None) -> None:
    """`errors` as a PNG; UserError if it cannot be written."""
    save_png(errors(panels, names), file)


@dataclass(frozen=True, kw_only=True)
class CurvesOptions(Options):
    """What `curves` takes."""

    runs: tuple[Path, ...] = argument(nargs=-1, type=path, required=True, help="Run directories.")
    out: Path = option(type=path, default=Path("curves.png"), help="File of the figure.")


@command(CurvesOptions, paper="common", name="curves")
def main(options: CurvesOptions) -> None:
    """Draw the learning curves of runs: a panel a data set, a line a recipe."""
    save(panels_of(read_runs(options.runs)), options.out)
    click.echo(options.out)


if __name__ == "__main__":
    main()
