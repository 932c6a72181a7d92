"""Test error against epochs, rules side by side: mean of the seeds, and every seed faintly.

    python -m common.curves RUN... [--out FILE.png]

draws a panel a data set, a line a rule, for a README; `common.report` makes a page of everything.
Errors are on a logarithmic axis, on which curves that still fall do not look flat.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from common.cli import Options, argument, command, option
from common.figures import STYLE, Curve, mean, palette, save_png
from common.options import path
from common.report import Run, Series, number, read_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panels = dict[str, dict[str, list[list[float]]]]  # panel -> rule -> accuracies (%) of each run
LEAST = 0.01  # percent; 0 has no place on a logarithmic axis


def accuracies(run: Run) -> list[float]:
    """Test accuracy (percent) by epoch, from the first."""
    values = (number(line.get("test_accuracy")) for line in run.epochs if line["epoch"] > 0)
    return [value for value in values if value is not None]


def errors(panels: Panels, names: Mapping[str, str] | None = None) -> "Figure":
    """The figure. names: rule -> how the legend calls it."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    names = names or {}
    rules = dict.fromkeys(rule for groups in panels.values() for rule in groups)
    colours = palette([Series(rule, rule, ()) for rule in rules])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(panels), 3.2), layout="constrained")
        for axes, (panel, groups) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
        ):
            for rule, shown in groups.items():
                curves: list[Curve] = [
                    [(epoch, max(100 - value, LEAST)) for epoch, value in enumerate(each, 1)]
                    for each in shown
                ]
                for curve in curves:
                    axes.plot(*zip(*curve, strict=True), color=colours[rule], alpha=0.3, lw=1)
                label = f"{names.get(rule, rule)} (n = {len(curves)})"
                axes.plot(*zip(*mean(curves), strict=True), color=colours[rule], lw=2, label=label)
            axes.set(title=panel, xlabel="epoch", ylabel="test error (%)", yscale="log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.legend(frameon=False, loc="upper right")
    return figure


def save(panels: Panels, file: Path, names: Mapping[str, str] | None = None) -> None:
    """`errors` as a PNG; UserError if it cannot be written."""
    save_png(errors(panels, names), file)


@command(paper="common", name="curves")
@argument("runs", nargs=-1, type=path, required=True, help="run directories")
@option("--out", type=path, default=Path("curves.png"), help="The figure.")
def main(options: Options) -> None:
    """Draw the learning curves of runs: a panel a data set, a line a rule."""
    panels: Panels = {}
    for folder in options.runs:
        run = read_run(folder)
        panels.setdefault(run.dataset, {}).setdefault(run.rule, []).append(accuracies(run))
    save(panels, options.out)
    click.echo(options.out)


if __name__ == "__main__":
    main()
