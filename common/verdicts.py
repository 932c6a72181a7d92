"""Rows of `targets.csv`: a published number, ours, and the verdict that is computed from runs.

Columns of `<paper>/targets.csv` (a blank cell: unknown or none):

    id            name of the row, unique in the file
    source        table or figure of the paper
    dataset, network, rule
    metric        test_accuracy: last epoch's value; best_test_accuracy: best epoch's;
                  min(test_error), max(test_accuracy): over the epochs; test_error is 100 - accuracy
    paper         the published value; paper_spread: its published spread (standard deviation)
    recipe        "paper", or what was shortened
    command       the command line of one run, without seed and out
    seeds         1 2 3
    ours*         mean over the seeds; interval*: half width of its 95 % t interval; n*: seeds run
    verdict*      see `verdict`
    hardware*, commit*    from the runs' environment.json
    cost          what the row costs to run, in words

The starred columns come from the finished runs in `<paper>/results/<id>/seed-<s>/` and from
nothing else (`recompute`).
"""

import csv
import io
import math
import re
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from common.errors import UserError, unknown
from common.report import Run, interval, number, read_run

VERDICTS = ("match", "no", "partial", "inconclusive", "short", "not run", "no paper value")
FLOOR = 0.5  # points: half width of the band around the paper's value where its spread is unknown
TINY = 1e-9  # so that a bound hit exactly is inside


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
    verdict: str = "not run"
    hardware: str = ""
    commit: str = ""
    cost: str = ""

    @property
    def in_percent(self) -> bool:
        return "accuracy" in self.metric or "error" in self.metric

    @property
    def band(self) -> float:
        """Half width of what counts as the paper's value: max(2 x spread, 0.5 points), in the
        metric's unit; the half point is for percentages, other units have their spread alone."""
        return max(2 * (self.paper_spread or 0.0), FLOOR if self.in_percent else 0.0)

    @property
    def comparable(self) -> bool:
        """May a verdict be computed: the paper's recipe, a paper value, at least three seeds."""
        return self.recipe == "paper" and self.paper is not None and self.n >= 3


COLUMNS = tuple(field.name for field in fields(Row))


def verdict(row: Row, rows: Iterable[Row]) -> str:
    """The verdict of `row` among the `rows` of its file.

    not run         no run on disk
    no paper value  the paper's value is not known to us
    short           the recipe is not the paper's
    match           ours ± interval lies wholly inside paper ± band
    partial         it lies wholly outside, but the ordering of the rules holds (`ordering_holds`)
    no              it lies wholly outside, and the ordering does not hold or cannot be told
    inconclusive    everything else, fewer than three seeds included
    """
    if row.n == 0 or row.ours is None:
        return "not run"
    if row.paper is None:
        return "no paper value"
    if row.recipe != "paper":
        return "short"
    if not row.comparable or row.interval is None:
        return "inconclusive"
    gap = abs(row.ours - row.paper)
    if gap + row.interval <= row.band + TINY:
        return "match"
    if gap - row.interval > row.band + TINY:
        return "partial" if ordering_holds(row, rows) else "no"
    return "inconclusive"


def ordering_holds(row: Row, rows: Iterable[Row]) -> bool:
    """Does our ordering of the rules agree with the paper's, as far as `row` is concerned?

    Compared are the other comparable rows of the same source, data set, network and metric. The
    paper orders a pair whose values differ by more than twice the larger of the two spreads. Ours
    agrees if the means differ in the same direction and the two 95 % intervals do not overlap.
    True if the paper orders at least one pair and ours agrees with every pair that it orders.
    """
    ordered = False
    for other in rows:
        same = (other.source, other.dataset, other.network, other.metric) == (
            row.source, row.dataset, row.network, row.metric)  # fmt: skip
        if other.id == row.id or other.rule == row.rule or not same or not other.comparable:
            continue
        assert row.paper is not None and other.paper is not None
        assert row.ours is not None and other.ours is not None
        theirs, ours = row.paper - other.paper, row.ours - other.ours
        if abs(theirs) <= 2 * max(row.paper_spread or 0.0, other.paper_spread or 0.0):
            continue
        ordered = True
        apart = abs(ours) > (row.interval or 0.0) + (other.interval or 0.0)
        if not apart or (ours > 0) != (theirs > 0):
            return False
    return ordered


def measure(run: Run, metric: str) -> float:
    """The metric's value of a run. UserError names the run where it has none."""
    how, name = parse_metric(metric)
    error = name.endswith("_error")
    key = name.removesuffix("_error") + "_accuracy" if error else name
    values = [number(line.get(key)) for line in run.epochs]
    found = [100 - value if error else value for value in values if value is not None]
    if not found or (how == "last" and values[-1] is None):
        raise UserError(f"{run.path / 'metrics.jsonl'}: no {key} for the metric {metric}")
    if how == "best":
        how = "max" if name.endswith("accuracy") else "min"
    return found[-1] if how == "last" else max(found) if how == "max" else min(found)


def parse_metric(metric: str) -> tuple[str, str]:
    """("last", "best", "min" or "max"; name in the epoch lines). ValueError if it is no metric."""
    found = re.fullmatch(r"(min|max)\((\w+)\)|(best)_(\w+)|(\w+)", metric)
    if not found:
        raise ValueError("is no NAME, best_NAME, min(NAME) or max(NAME)")
    return found[1] or found[3] or "last", found[2] or found[4] or found[5]


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
    if missing := [column for column in COLUMNS if column not in header]:
        raise UserError(f"{path}, line 1: the column {missing[0]} is missing")
    rows: list[Row] = []
    for cells in reader:
        where = f"{path}, line {reader.line_num}"
        if "?" in cells or None in cells.values():
            raise UserError(f"{where}: {len(COLUMNS)} columns expected")
        rows.append(_row(where, cells))
        if rows[-1].id in {row.id for row in rows[:-1]}:
            raise UserError(f"{where}, column id: {rows[-1].id!r} is there twice")
    return rows


def _row(where: str, cells: dict[str, str]) -> Row:
    values: dict[str, Any] = {}
    for column, cell in cells.items():
        try:
            values[column] = _parse(column, cell.strip())
        except ValueError as error:
            raise UserError(f"{where}, column {column}: {cell!r} {error}") from None
    return Row(**values)


def _parse(column: str, cell: str) -> Any:
    """A cell's value; ValueError says what is wrong with it."""
    if column in ("paper", "paper_spread", "ours", "interval"):
        return _number(cell, negative=column in ("paper", "ours")) if cell else None
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


def recompute(rows: list[Row], results: Path) -> list[Row]:
    """The rows with their starred columns taken from the runs in `results/<id>/seed-<s>`."""
    filled = [_measured(row, results / row.id) for row in rows]
    return [replace(row, verdict=verdict(row, filled)) for row in filled]


def _measured(row: Row, folder: Path) -> Row:
    runs = []
    for path in sorted(folder.glob("seed-*")):
        run = read_run(path)
        check_run(row, run)
        runs.append(run)
    values = [measure(run, row.metric) for run in runs]
    half = interval(values)
    return replace(
        row,
        ours=round(fmean(values), 4) if values else None,
        interval=None if half is None else round(half, 4),
        n=len(values),
        hardware=_distinct(_hardware(run) for run in runs),
        commit=_distinct(commit for run in runs for commit in _commits(run)),
    )


def check_run(row: Row, run: Run) -> None:
    """UserError unless the run is the row's: finished, of its seeds, script and options."""
    seed = run.path.name.removeprefix("seed-")
    if run.status != "finished":
        raise UserError(f"{run.path}: the run is {run.status}, not finished")
    if not seed.isdecimal() or int(seed) not in row.seeds or str(run.seed) != seed:
        raise UserError(f"{run.path}: seed {run.seed} of the run, seeds {row.seeds} of the row")
    if run.dataset != row.dataset:
        raise UserError(f"{run.path}: a run on {run.dataset}, the row says {row.dataset}")
    words = shlex.split(row.command)
    if words[:2] == ["python", "-m"] and run.config.get("script") != words[2]:
        raise UserError(f"{run.path}: made by {run.config.get('script')}, the row says {words[2]}")
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        key, value = name.lstrip("-").replace("-", "_"), value if equals else following
        theirs = run.options.get({"data": "dataset"}.get(key, key))
        if word.startswith("-") and not isinstance(theirs, bool | list | None):
            if _comparable(theirs) != _comparable(value):
                raise UserError(f"{run.path}: {key} is {theirs} in the run, {value} in the row")


def _comparable(value: Any) -> float | str:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value).lower()


def _hardware(run: Run) -> str:
    known = run.environment
    cores = f"{known['cores']} cores" if known.get("cores") else ""
    device = str((known.get("hardware") or {}).get("device") or known.get("device") or "")
    on_cpu = "cpu" in device.lower()
    parts = [known.get("processor"), cores, "" if on_cpu else device]
    return ", ".join(str(part) for part in parts if part)


def _commits(run: Run) -> list[str]:
    """What the run was begun with, and what it was resumed with."""
    found = []
    for part in (run.environment, *run.environment.get("resumed", ())):
        commit = str(part.get("git_commit") or "")[:12]
        found.append(commit + ("+changes" if commit and part.get("git_dirty") else ""))
    return found


def _distinct(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(value for value in values if value))
