"""What runs on disk say about rows of targets.csv: the computed columns of
`common.reports.target_rows`."""

import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from common.errors import UserError
from common.reports.target_rows import Row, parse_metric
from common.reports.verdicts import verdict
from common.runs.read_back import Record, interval, number, read_run


def measure(run: Record, metric: str) -> float:
    """The metric's value of a run. UserError names the run where it has none."""
    how, name = parse_metric(metric)
    error = name.endswith("_error")
    key = name.removesuffix("_error") + "_accuracy" if error else name
    values = [number(line.get(key)) for line in run.epochs]
    numbers = [100 - value if error else value for value in values if value is not None]
    if not numbers or (how == "last" and values[-1] is None):
        raise UserError(f"{run.path / 'metrics.jsonl'}: no {key} for the metric {metric}")
    if how == "best":
        how = "max" if name.endswith("accuracy") else "min"
    return numbers[-1] if how == "last" else max(numbers) if how == "max" else min(numbers)


def recompute(rows: list[Row], results: Path) -> list[Row]:
    """The rows with their computed columns taken from the runs in `results/<id>/seed-<s>`."""
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
    how, name = parse_metric(row.metric)
    last = [measure(run, name) for run in runs] if how != "last" else []
    return replace(
        row,
        ours=round(fmean(values), 4) if values else None,
        interval=None if half is None else round(half, 4),
        n=len(values),
        last=round(fmean(last), 4) if last else None,
        hardware=_distinct(_hardware(run) for run in runs),
        commit=_distinct(commit for run in runs for commit in _commits(run)),
    )


def check_run(row: Row, run: Record) -> None:
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
    for word, following in zip(words, [*words[1:], ""], strict=False):
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


def _hardware(run: Record) -> str:
    known = run.environment
    cores = f"{known['cores']} cores" if known.get("cores") else ""
    device = str((known.get("hardware") or {}).get("device") or known.get("device") or "")
    on_cpu = "cpu" in device.lower()
    parts = [known.get("processor"), cores, "" if on_cpu else device]
    return ", ".join(str(part) for part in parts if part)


def _commits(run: Record) -> list[str]:
    """What the run was begun with, and what it was resumed with."""
    commits = []
    for part in (run.environment, *run.environment.get("resumed", ())):
        commit = str(part.get("git_commit") or "")[:12]
        commits.append(commit + ("+changes" if commit and part.get("git_dirty") else ""))
    return commits


def _distinct(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(value for value in values if value))
