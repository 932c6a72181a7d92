"""How many times more epochs does BrainProp need than backprop? From runs' learning curves.

    python -m brainprop.curves RUN... [--out FOLDER]

draws test error against epochs, one line a recipe (mean over its seeds) in one panel a data set
and network, and writes for each accuracy the first epoch that reaches it and the ratio of the
rules: the paper's abstract says 1 to 3.5. OUT gets curves.png and curves.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from common.cli import Options, argument, command, option
from common.cli.params import path
from common.errors import UserError
from common.files.writing import write_json
from common.reports.curves import accuracies, save
from common.reports.figures import Curve
from common.reports.grouping import group
from common.runs.read_back import Record, Series, read_runs

LEVELS = (50, 80, 90, 95, 97, 98, 98.5, 99, 99.2, 99.3)
NAMES = {"brainprop": "BrainProp", "ebp": "EBP"}


def first_epochs(curves: Sequence[Curve], level: float) -> list[int | None]:
    """For each run the first epoch (from 1) that reaches a level; None: it does not."""
    return [next((int(e) for e, value in curve if value >= level), None) for curve in curves]


def compare(series: Sequence[Series]) -> list[dict[str, Any]]:
    """For each level that every run of both rules reaches: mean first epochs and their ratio.

    A rule with several recipes has a line each under its recipe's name, and no ratio.
    """
    groups = {one.label: [accuracies(run) for run in one.runs] for one in series}
    rows = []
    for level in LEVELS:
        reached = {rule: first_epochs(curves, level) for rule, curves in groups.items()}
        known = {rule: [e for e in epochs if e] for rule, epochs in reached.items()}
        means = {r: fmean(e) for r, e in known.items() if e and len(e) == len(reached[r])}
        row = {"accuracy": level, "epochs": reached, "ratio": None}
        if {"brainprop", "ebp"} <= means.keys():
            row["ratio"] = round(means["brainprop"] / means["ebp"], 2)
        if any(epoch is not None for epochs in reached.values() for epoch in epochs):
            rows.append(row)
    return rows


@dataclass(frozen=True, kw_only=True)
class CurvesOptions(Options):
    """What brainprop.curves takes."""

    runs: tuple[Path, ...] = argument(nargs=-1, type=path, help="Run directories.")
    out: Path = option(type=path, default=Path("."), help="Folder of curves.png and curves.json.")


@command(CurvesOptions, paper="brainprop", name="curves")
def main(options: CurvesOptions) -> None:
    """Compare the learning curves of BrainProp and backprop."""
    panels: dict[str, list[Record]] = {}
    for run in read_runs(options.runs):
        if run.options.get("architecture") is None:
            raise UserError(f"{run.path}: not a run of brainprop.main")
        width = run.options["width"]
        panel = f"{run.options['dataset']} {run.options['architecture']}"
        panel += "" if width == 1 else f", widths × {width:g}"
        panels.setdefault(panel, []).append(run)
    groups = {panel: group(runs) for panel, runs in panels.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    table = {name: compare(series) for name, series in groups.items()}
    write_json(options.out / "curves.json", table)
    save(groups, options.out / "curves.png", NAMES)
    for name, rows in table.items():
        click.echo(name)
        for row in rows:
            shown = ", ".join(f"{NAMES.get(r, r)} {e}" for r, e in row["epochs"].items())
            click.echo(f"  {row['accuracy']} %: {shown}; ratio {row['ratio']}")


if __name__ == "__main__":
    main()
