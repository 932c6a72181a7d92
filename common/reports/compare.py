"""Run directories → figures and one self-contained HTML page.

    python -m common.report runs/lra_e/mnist_torch-lra_e-1 runs/... --out page.html

Runs that differ only in the seed are one series (`common.reports.grouping.group`).
"""

import os
from dataclasses import dataclass
from pathlib import Path

from common.cli import Options, argument, command, option
from common.reports import figures
from common.reports.grouping import group
from common.reports.page import Section, page, write
from common.runs.read_back import Record, read_runs


def sections(runs: list[Record], unit: str = "angle") -> list[Section]:
    """One section of a page for every (paper, data set) among the runs, figures saved on the way.

    A run's own figures go to `RUN/figures/*.png` (skipped where the directory is read-only); the
    section's figures show all its runs together.
    """
    places: dict[tuple[str, str], list[Record]] = {}
    for run in runs:
        places.setdefault((run.paper, run.dataset), []).append(run)
        for name, figure in figures.draw(group([run]), unit=unit).items():
            if os.access(run.path, os.W_OK):
                figures.save_png(figure, run.path / "figures" / f"{name}.png")
    return [
        Section(f"{paper} on {dataset}", "", tuple(members), tuple(group(members)))
        for (paper, dataset), members in places.items()
    ]


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """What `report` takes."""

    run: tuple[str, ...] = argument(nargs=-1, help="Run directories, one or several.")
    out: Path = option(type=Path, default=Path("report.html"), help="File of the page.")
    unit: str = option(
        type=["degrees", "cosine"], default="degrees", help="Unit of the credit angles."
    )
    title: str = option(default="", help="Title of the page.", show_default="the runs' names")


@command(ReportOptions, paper="common", name="report")
def main(options: ReportOptions) -> None:
    """Draw run directories' figures and write one self-contained HTML page about them."""
    runs = read_runs(options.run)
    title = options.title or " and ".join(dict.fromkeys(run.name for run in runs))
    unit = "angle" if options.unit == "degrees" else options.unit
    print(write(options.out, page(title, sections(runs, unit), unit=unit)))


if __name__ == "__main__":
    main()
