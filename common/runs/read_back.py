"""Run directories read back, as the files are: also while a run is going or after it crashed.

`read_run` gives the `Record` of one directory; `Series` are records of one recipe, seed by seed.
Percentages are 0-100, angles degrees, times seconds.
"""

import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import stdev
from typing import Any

from common.errors import UserError
from common.files import documents
from common.files.paper_folders import rule_option
from common.files.paths import home
from common.files.reading import read as read_file
from common.runs.directory import rule_of


@dataclass(frozen=True)
class Record:
    """A run directory's content; `summary` is {} while the run has not ended."""

    path: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    epochs: list[dict[str, Any]]
    audits: list[dict[str, Any]]
    summary: dict[str, Any]

    @property
    def options(self) -> dict[str, Any]:
        return self.config["options"]

    @property
    def seed(self) -> Any:
        return self._fact("seed")

    @property
    def rule(self) -> str:
        return str(self.summary.get("rule") or rule_of(self.paper, self.options) or "?")

    @property
    def dataset(self) -> str:
        """What the run found under the name that was asked for: ten classes of Tiny ImageNet are
        tiny_imagenet_10."""
        known = self.summary.get("dataset") or self.config.get("dataset")
        return str(known or self._fact("dataset") or self.options.get("data") or "?")

    @property
    def paper(self) -> str:
        return str(self.config.get("paper") or "?")

    @property
    def name(self) -> str:
        """The run's name without its seed, e.g. `mnist_torch-lra_e`."""
        return str(self.config.get("name") or self.path.name).removesuffix(f"-{self.seed}")

    @property
    def status(self) -> str:
        return str(self.summary.get("status", "unfinished"))

    @property
    def final(self) -> dict[str, Any]:
        """The last epoch line ({} before the first)."""
        return self.epochs[-1] if self.epochs else {}

    @cached_property
    def best(self) -> dict[str, Any]:
        """The epoch line with the highest test accuracy (the first of equals)."""
        lines = [line for line in self.epochs if number(line.get("test_accuracy")) is not None]
        return max(lines, key=lambda line: line["test_accuracy"], default={})

    @property
    def command(self) -> str:
        """The command line that repeats the run: as it was typed, but without --out."""
        words = [str(word) for word in self.environment.get("command") or []][1:]
        for i in reversed(range(len(words))):
            if words[i] == "--out":
                del words[i : i + 2]
            elif words[i].startswith("--out="):
                del words[i]
        return shlex.join(["python", "-m", str(self.config.get("script", "?")), *words])

    def epoch_of(self, line: dict[str, Any]) -> float:
        """Where a line lies on the axis of epochs; audits inside an epoch fall between two."""
        if self.final.get("step") and self.final.get("epoch") and line.get("step") is not None:
            return line["step"] * self.final["epoch"] / self.final["step"]
        return line.get("epoch", 0)

    def _fact(self, key: str) -> Any:
        value = self.summary.get(key)
        return self.options.get(key) if value is None else value


@dataclass(frozen=True)
class Series:
    """Runs of one recipe that differ only in the seed; `label` is unique within a section."""

    label: str
    rule: str
    runs: tuple[Record, ...]


def number(value: Any) -> float | None:
    """`value` as a finite float, else None (missing, null, NaN, infinite)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def interval(values: list[float]) -> float | None:
    """Half width of the 95 % t interval of the mean: t(0.975, n-1) * s / sqrt(n); None if n < 2."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def read_run(path: str | Path) -> Record:
    """Read a run directory. UserError if it is none or if a file in it cannot be understood."""
    path = home(path)
    if not (path / "config.json").is_file():
        raise UserError(f"{path} is no run directory: there is no config.json in it")
    lines = _lines(path / "metrics.jsonl")
    return Record(
        path=path,
        config=_config(path / "config.json"),
        environment=_optional(path / "environment.json", documents.ENVIRONMENT),
        epochs=[line for line in lines if line.get("kind") == "epoch"],
        audits=[line for line in lines if line.get("kind") == "audit"],
        summary=_optional(path / "summary.json", documents.SUMMARY),
    )


def _config(path: Path) -> dict[str, Any]:
    """The record of how a run was started, whose rule is a word."""
    config = documents.read(path, documents.CONFIG)
    option = rule_option(config["paper"])
    if wrong := documents.fault(
        config["options"].get(option), documents.SCALAR, f"options.{option}"
    ):
        raise UserError(f"{path}: {wrong}")
    return config


def read_runs(paths: Iterable[str | Path]) -> list[Record]:
    """`read_run` of each directory, once each: one named twice (or by a link) is no second seed."""
    once: dict[Path, str | Path] = {}
    for path in paths:
        once.setdefault(Path(path).resolve(), path)
    return [read_run(path) for path in once.values()]


def _optional(path: Path, kind: documents.Kind) -> dict[str, Any]:
    return documents.read(path, kind) if path.exists() else {}


def _lines(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl. A torn last line (killed while writing) is left out."""
    if not path.exists():
        return []
    return documents.read_lines(path, read_file(path), torn=True)
