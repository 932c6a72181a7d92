"""Run directories → figures and one self-contained HTML page.

    python -m common.report runs/lra_e/mnist_torch-lra_e-1 runs/... --out page.html

`read_run` reads a run directory as the files are, also while the run is going or after it
crashed. `group` puts runs that differ only in the seed into one `Series`. Percentages are
0-100, angles degrees, times seconds.
"""

import json
import math
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import stdev
from typing import TYPE_CHECKING, Any

from common.cli import argument, command, option
from common.errors import UserError
from common.files import documents
from common.files.paths import home
from common.files.reading import read as read_file
from common.runs.directory import rule_of

if TYPE_CHECKING:
    from common.reports.page import Section

# Options that do not change what is learnt: runs that differ only here are repetitions.
HOUSEKEEPING = frozenset(
    "out directory save resume seed data_dir no_download device threads workers quiet audit "
    "audit_every audit_images checkpoint_every allow_change deterministic compat".split()
)


@dataclass(frozen=True)
class Run:
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
        return str(self.summary.get("rule") or rule_of(self.options) or "?")

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
    runs: tuple[Run, ...]


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


def read_run(path: str | Path) -> Run:
    """Read a run directory. UserError if it is none or if a file in it cannot be understood."""
    path = home(path)
    if not (path / "config.json").is_file():
        raise UserError(f"{path} is no run directory: there is no config.json in it")
    lines = _lines(path / "metrics.jsonl")
    return Run(
        path=path,
        config=documents.read(path / "config.json", documents.CONFIG),
        environment=_optional(path / "environment.json", documents.ENVIRONMENT),
        epochs=[line for line in lines if line.get("kind") == "epoch"],
        audits=[line for line in lines if line.get("kind") == "audit"],
        summary=_optional(path / "summary.json", documents.SUMMARY),
    )


def read_runs(paths: Iterable[str | Path]) -> list[Run]:
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


def differing(runs: list[Run], ignore: frozenset[str] = frozenset()) -> list[str]:
    """Names of the options whose values differ between the runs, in the order of the files."""
    names = dict.fromkeys(name for run in runs for name in run.options if name not in ignore)
    return [name for name in names if len({_text(run.options.get(name)) for run in runs}) > 1]


def group(runs: list[Run]) -> list[Series]:
    """Series of runs that are equal but for the seed, in the order in which they came.

    The label is the rule; where that does not tell two series apart, also the run's name or the
    options in which they differ (`lra_e, beta=0.2`). A seed that was run twice is no second seed:
    the repetition is a series of its own, labelled with its directory.
    """
    recipes: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        options = {  # one that is not set is one that an older program did not have
            k: v for k, v in run.options.items() if k not in HOUSEKEEPING and v is not None
        }
        key = (run.paper, run.name, run.rule, run.dataset, _text(options))
        copy = 0
        while run.seed in [other.seed for other in recipes.get((*key, copy), [])]:
            copy += 1
        recipes.setdefault((*key, copy), []).append(run)
    series = []
    for (*_, copy), members in recipes.items():
        first = members[0]
        same = [other[0] for other in recipes.values() if other[0].rule == first.rule]
        details = differing(same, HOUSEKEEPING | {"rule", "dataset", "data"})
        parts = [f"{name}={first.options.get(name)}" for name in details]
        if len({run.name for run in same}) > 1:
            parts.insert(0, first.name)
        if copy:
            parts.append(first.path.name)
        series.append(Series(", ".join([first.rule, *parts]), first.rule, tuple(members)))
    return series


def tell_apart(runs: list[Run], titles: list[str], between: str = ", ") -> list[str]:
    """The titles, one a run, with what tells those apart that are alike: the options in which
    these runs differ, else the seed, else the directory."""
    told = list(titles)
    places: dict[str, list[int]] = {}
    for place, title in enumerate(titles):
        places.setdefault(title, []).append(place)
    for alike in places.values():
        members = [runs[place] for place in alike]
        names = differing(members, HOUSEKEEPING)
        ways = [[f"{name}={run.options.get(name)}" for name in names] for run in members]
        for more in ([f"seed {run.seed}" for run in members], [str(run.path) for run in members]):
            if len({*map(tuple, ways)}) < len(ways):
                ways = [[*way, word] for way, word in zip(ways, more, strict=True)]
        for place, way in zip(alike, ways, strict=True):
            told[place] = between.join([titles[place], *(way if len(alike) > 1 else [])])
    return told


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def sections(runs: list[Run], unit: str = "angle") -> list["Section"]:
    """One section of a page for every (paper, data set) among the runs, figures saved on the way.

    A run's own figures go to `RUN/figures/*.png` (skipped where the directory is read-only); the
    section's figures show all its runs together.
    """
    from common.reports import figures
    from common.reports.page import Section

    places: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        places.setdefault((run.paper, run.dataset), []).append(run)
        for name, figure in figures.draw(group([run]), unit=unit).items():
            if os.access(run.path, os.W_OK):
                figures.save_png(figure, run.path / "figures" / f"{name}.png")
    return [
        Section(f"{paper} on {dataset}", "", tuple(members), tuple(group(members)))
        for (paper, dataset), members in places.items()
    ]


@command(paper="common", name="report")
@argument("run", nargs=-1, help="run directories, one or several")
@option("--out", type=Path, default="report.html", help="The page.")
@option("--unit", type=["degrees", "cosine"], default="degrees", help="Of credit angles.")
@option("--title", default="", help="The page's title.", show_default="the runs' names")
def main(options: Any) -> None:
    """Draw run directories' figures and write one self-contained HTML page about them."""
    from common.reports.page import page, write

    runs = read_runs(options.run)
    title = options.title or " and ".join(dict.fromkeys(run.name for run in runs))
    unit = "angle" if options.unit == "degrees" else options.unit
    print(write(options.out, page(title, sections(runs, unit), unit=unit)))


if __name__ == "__main__":
    main()
