"""The runs of the study of depth: which there are, how one is trained, what they came to."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple, TypedDict

from common.errors import UserError
from common.files import documents
from common.reports.grouping import differing, housekeeping
from common.runs import checkpoint
from common.runs.read_back import Record, read_run

SCRIPT = "lra_e.mnist.mnist_torch"
DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "digits"}
RULES = {"lra_e": "LRA-E", "fixed_e": "E fixed", "bp": "backprop"}


class Case(NamedTuple):
    """One run of the study."""

    dataset: str
    depth: int
    rule: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Where its run directory is."""
        return out / self.dataset / f"h{self.depth}-{self.rule}" / f"seed-{self.seed}"


class Point(TypedDict):
    """What all seeds of one data set, depth and rule came to; lists are by seed, angles are means
    over the seeds in degrees, layer by layer."""

    dataset: str
    depth: int
    rule: str
    epochs: int
    seeds: list[int]
    test_accuracy: list[float]
    train_accuracy: list[float]
    credit_angle: dict[str, float | None]
    error_weight_angle: dict[str, float | None]
    made: list[str]


def cases(
    datasets: Sequence[str], depths: Sequence[int], rules: Sequence[str], seeds: int
) -> Iterator[Case]:
    """All runs, a whole seed before the next, so that what is there early can be compared."""
    for seed, dataset, depth, rule in product(range(1, seeds + 1), datasets, depths, rules):
        yield Case(dataset, depth, rule, seed)


def train(case: Case, out: Path, again: Sequence[str], afresh: Sequence[str]) -> None:
    """Train one case in a process of its own, unless it is there; UserError names its log.

    again, afresh   further words of the program's command line, of any run; of one that begins
    """
    folder = case.folder(out)
    if (folder / "summary.json").is_file():
        if documents.read(folder / "summary.json", documents.SUMMARY)["status"] == "finished":
            return
    words = [sys.executable, "-m", SCRIPT, "--quiet", *again]
    if checkpoint.newest(folder):
        words += ["--resume", str(folder)]
    else:
        layers = "-".join(["784", *["256"] * case.depth, "10"])
        words += ["--dataset", case.dataset, "--layers", layers, "--rule", case.rule]
        words += ["--seed", str(case.seed), "--audit", "--out", str(folder), *afresh]
    log = folder.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        done = subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        last = log.read_text(errors="replace").rstrip().rpartition("\n")[2]
        raise UserError(f"{folder}: the run ended with code {done.returncode}: {last} (see {log})")


def collect(out: Path) -> list[Point]:
    """What the figure shows, from the runs in a folder. UserError where one is not of the study,
    or where the runs of one point are of several recipes."""
    points: dict[tuple[str, int, str], list[Record]] = {}
    for config in sorted(out.glob("*/h*-*/seed-*/config.json")):
        run = read_run(config.parent)
        if run.status == "finished":
            _check(run)
            key = (run.dataset, len(run.options["layers"]) - 2, run.rule)
            points.setdefault(key, []).append(run)
    if not points:
        raise UserError(f"{out}: no finished run of the study is here")
    names = [*DATASETS, *RULES]
    keys = sorted(points, key=lambda key: (names.index(key[0]), key[1], names.index(key[2])))
    return [_point(key, points[key]) for key in keys]


def _point(key: tuple[str, int, str], runs: list[Record]) -> Point:
    if different := differing(runs, housekeeping(runs)):
        folder, names = runs[0].path.parent, ", ".join(different)
        raise UserError(f"{folder}: its runs are of several recipes: {names} differ")
    dataset, depth, rule = key
    return Point(
        dataset=dataset,
        depth=depth,
        rule=rule,
        epochs=runs[0].final["epoch"],
        seeds=[run.seed for run in runs],
        test_accuracy=[run.final["test_accuracy"] for run in runs],
        train_accuracy=[run.final["train_accuracy"] for run in runs],
        credit_angle=_mean_angles([run.audits[-1]["credit"] for run in runs]),
        error_weight_angle=_mean_angles([run.audits[-1]["feedback"] for run in runs]),
        made=sorted({_made(run) for run in runs}),
    )


def _check(run: Record) -> None:
    """UserError for a run that is not of the study, or has no audit or no accuracies."""
    options = documents.run_options(run.path, run.config, "lra_e", ("layers",))
    layers = documents.table(layers=documents.many(documents.COUNT))
    documents.check(options, layers, f"{run.path / 'config.json'}: options")
    documents.check({"seed": run.seed}, documents.table(seed=documents.COUNT), str(run.path))
    if run.dataset not in DATASETS or run.rule not in RULES:
        raise UserError(f"{run.path}: {run.rule} on {run.dataset} is no case of the study")
    metrics = run.path / "metrics.jsonl"
    if not run.audits or "feedback" not in run.audits[-1]:
        raise UserError(f"{metrics}: no audit with feedback weights; train with --audit")
    figures = dict.fromkeys(("test_accuracy", "train_accuracy"), documents.NUMBER)
    documents.check(run.final, documents.table(**figures), f"{metrics}: the last epoch")


def _made(run: Record) -> str:
    """Commit, processor and framework of a run."""
    about = run.environment
    versions = about.get("packages", {})
    commit = str(about.get("git_commit"))[:12]
    return f"commit {commit}, {about.get('processor')}, torch {versions.get('torch')}"


def _mean_angles(audits: list[dict[str, Any]]) -> dict[str, float | None]:
    """Layer -> mean angle over the seeds; None where a seed has none that means anything."""
    angles: dict[str, float | None] = {}
    for layer in audits[0]:
        here = [a[layer] for a in audits if layer in a]
        known = [entry.get("angle") for entry in here if not entry.get("too_small")]
        known = [angle for angle in known if angle is not None]
        angles[layer] = fmean(known) if len(known) == len(audits) else None
    return angles
