"""Rows of `targets.csv`: a published number, and ours beside it.

`EXPLAINED` has the columns of `<paper>/targets.csv` (`python -m common.targets columns` shows
them); a blank cell: unknown or none. Those that are `COMPUTED` come from the finished runs in
`<paper>/results/<id>/seed-<s>/` and from nothing else (`common.reports.measured`).
"""

import csv
import io
import math
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import UserError, unknown

VERDICTS = (
    "match",
    "agrees",
    "no",
    "partial",
    "inconclusive",
    "short",
    "not run",
    "no paper value",
)


class Metric(NamedTuple):
    """Which epoch's value of which number: epoch is "last", "best", "min" or "max"; name is that
    of an epoch line (`test_accuracy`) or test_error for 100 - test_accuracy."""

    epoch: str
    name: str

    @property
    def chosen_by_test(self) -> bool:
        """Is the epoch chosen by what it does on the test set?"""
        return self.epoch != "last" and self.name.startswith("test_")


@dataclass(frozen=True)
class Row:
    """A row of targets.csv; see the module's docstring for the columns."""

    id: str
    source: str
    dataset: str
    network: str
    rule: str
    metric: str
    paper: float | None
    paper_spread: float | None
    recipe: str
    command: str
    seeds: tuple[int, ...]
    ours: float | None = None
    interval: float | None = None
    n: int = 0
    last: float | None = None
    verdict: str = "not run"
    hardware: str = ""
    commit: str = ""
    cost: str = ""

    @property
    def in_percent(self) -> bool:
        return "accuracy" in self.metric or "error" in self.metric

    @property
    def like_for_like(self) -> bool:
        """May ours stand beside the paper's: the paper's recipe (which is data, network and
        training), a paper value, and a run?"""
        return self.recipe == "paper" and self.paper is not None and self.n > 0

    @property
    def comparable(self) -> bool:
        """May a verdict be computed: like for like, with at least three seeds."""
        return self.like_for_like and self.n >= 3


COLUMNS = tuple(field.name for field in fields(Row))
EXPLAINED = {
    "id": "name of the row, unique in the file: letters, digits and . _ -",
    "source": "table or figure of the paper; `published nowhere` for a number of one's own",
    "dataset": "data set as a run names it: mnist, cifar10, tiny_imagenet_10",
    "network": "network in words, as the table shows it: 784-500x2-10",
    "rule": "learning rule as runs name it",
    "metric": "test_accuracy: the last epoch's; best_test_accuracy: the best epoch's; "
    "min(test_error), max(test_accuracy): over the epochs; test_error is 100 - accuracy",
    "paper": "published value, empty where there is none",
    "paper_spread": "its published standard deviation",
    "recipe": "`paper` for the paper's own data, network and training, else what was shortened",
    "command": "command line of one run, without --seed and --out",
    "seeds": "seeds to run, with blanks between: 1 2 3",
    "ours": "mean over the seeds run",
    "interval": "half width of its 95 % t interval",
    "n": "seeds run",
    "last": "mean of the last epoch's value, where the metric takes another epoch's",
    "verdict": "what ours says of the paper's (common/reports/verdicts.py)",
    "hardware": "what the runs ran on",
    "commit": "what they ran",
    "cost": "what the row costs to run, in words",
}
COMPUTED = ("ours", "interval", "n", "last", "verdict", "hardware", "commit")
"""Taken from the runs; a file that somebody writes need not have these,"""
OPTIONAL = ("paper_spread", "cost", *COMPUTED)
"""nor the first two of these."""


def parse_metric(metric: str) -> Metric:
    """The metric that a cell names. ValueError if it is none."""
    match = re.fullmatch(r"(min|max)\((\w+)\)|(best)_(\w+)|(\w+)", metric)
    if not match:
        raise ValueError("is no NAME, best_NAME, min(NAME) or max(NAME)")
    return Metric(match[1] or match[3] or "last", match[2] or match[4] or match[5])


def read_targets(path: Path) -> list[Row]:
    """Read a targets.csv. UserError names file, line, column and value of what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    reader = csv.DictReader(io.StringIO(text), restkey="?", restval=None)
    header = reader.fieldnames or []
    for column in header:
        if column not in COLUMNS:
            raise UserError(f"{path}, line 1: {unknown('column', column, COLUMNS)}")
    if missing := [column for column in COLUMNS if column not in (*header, *OPTIONAL)]:
        what = f"{missing[0]} is missing: {EXPLAINED[missing[0]]}"
        raise UserError(f"{path}, line 1: the column {what}")
    rows: list[Row] = []
    for cells in reader:
        where = f"{path}, line {reader.line_num}"
        if "?" in cells or None in cells.values():
            raise UserError(f"{where}: {len(header)} columns expected")
        rows.append(_row(where, cells))
        if rows[-1].id in {row.id for row in rows[:-1]}:
            raise UserError(f"{where}, column id: {rows[-1].id!r} is there twice")
    return rows


def _row(where: str, cells: dict[str, str]) -> Row:
    values: dict[str, Any] = {"paper_spread": None}
    for column, cell in cells.items():
        try:
            values[column] = _parse(column, cell.strip())
        except ValueError as error:
            raise UserError(f"{where}, column {column}: {cell!r} {error}") from None
    return Row(**values)


def _parse(column: str, cell: str) -> Any:
    """A cell's value; ValueError says what is wrong with it."""
    if column in ("paper", "paper_spread", "ours", "interval", "last"):
        return _number(cell, negative=column in ("paper", "ours", "last")) if cell else None
    if column == "n":
        return int(_number(cell or "0", whole=True))
    if column == "seeds":
        return tuple(int(_number(seed, whole=True)) for seed in cell.split())
    if column == "verdict" and cell not in ("", *VERDICTS):
        raise ValueError(f"is none of {', '.join(VERDICTS)}")
    if column == "id" and not re.fullmatch(r"[\w.-]+", cell):
        raise ValueError("is no name of letters, digits and . _ -")
    if column == "metric":
        parse_metric(cell)
    if column in ("recipe", "rule", "dataset") and not cell:
        raise ValueError("must not be empty")
    return cell


def _number(cell: str, negative: bool = False, whole: bool = False) -> float:
    kind = "a whole number" if whole else "a number"
    try:
        value = int(cell) if whole else float(cell)
    except ValueError:
        raise ValueError(f"is not {kind}") from None
    if not math.isfinite(value) or (value < 0 and not negative):
        raise ValueError(f"is not {kind}" + ("" if negative else " >= 0"))
    return value


def format_targets(rows: list[Row]) -> str:
    """The rows as csv text, which `read_targets` reads back."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = asdict(row) | {"seeds": " ".join(map(str, row.seeds))}
        writer.writerow(["" if cells[name] is None else cells[name] for name in COLUMNS])
    return buffer.getvalue()
