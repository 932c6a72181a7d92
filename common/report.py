"""Run directories → figures and one self-contained HTML page.

    python -m common.report runs/lra_e/mnist_torch-lra_e-1 runs/... --out page.html

`read_run` reads a run directory as the files are, also while the run is going or after it
crashed. `group` puts runs that differ only in the seed into one `Series`. Percentages are
0-100, angles degrees, times seconds.
"""

import json
import math
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import stdev
from typing import TYPE_CHECKING, Any

from common.cli import argument, command, option
from common.errors import UserError
from common.rundir import rule_of

if TYPE_CHECKING:
    from common.page import Section

# Options that do not change what is learnt: runs that differ only here are repetitions.
HOUSEKEEPING = frozenset(
    "out resume seed data_dir no_download device threads quiet audit audit_every audit_images "
    "checkpoint_every allow_change deterministic compat".split()
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
        return str(self._fact("dataset") or self.options.get("data") or "?")

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
    path = Path(path)
    if not (path / "config.json").is_file():
        raise UserError(f"{path} is no run directory: there is no config.json in it")
    config = _read_json(path / "config.json")
    if not isinstance(config.get("options"), dict):
        raise UserError(f"{path / 'config.json'}: no options in it")
    lines = _read_lines(path / "metrics.jsonl")
    return Run(
        path=path,
        config=config,
        environment=_read_json(path / "environment.json", missing={}),
        epochs=[line for line in lines if line.get("kind") == "epoch"],
        audits=[line for line in lines if line.get("kind") == "audit"],
        summary=_read_json(path / "summary.json", missing={}),
    )


def _read_json(path: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    if missing is not None and not path.exists():
        return missing
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected an object, found {type(content).__name__}")
    return content


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl. A torn last line (killed while writing) is left out."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    lines = text.split("\n")
    content = []
    for number_, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            content.append(json.loads(line))
            if not isinstance(content[-1], dict):
                raise ValueError("not an object")
        except ValueError as error:
            if number_ == len(lines):  # no newline after it: the writer was stopped here
                break
            raise UserError(f"{path}, line {number_}: {error}") from None
    return content


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
        options = {k: v for k, v in run.options.items() if k not in HOUSEKEEPING}
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


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def sections(runs: list[Run], unit: str = "angle") -> list["Section"]:
    """One section of a page for every (paper, data set) among the runs, figures saved on the way.

    A run's own figures go to `RUN/figures/*.png` (skipped where the directory is read-only); the
    section's figures show all its runs together.
    """
    from common import figures
    from common.page import Section

    places: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        places.setdefault((run.paper, run.dataset), []).append(run)
        for name, figure in figures.draw(group([run]), unit=unit).items():
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
    from common.page import page, write

    runs = [read_run(path) for path in options.run]
    title = options.title or " and ".join(dict.fromkeys(run.name for run in runs))
    unit = "angle" if options.unit == "degrees" else options.unit
    print(write(options.out, page(title, sections(runs, unit), unit=unit)))


if __name__ == "__main__":
    main()
