"""Deep nets are the paper's point: where does LRA-E learn, and where does the credit die?

    python -m lra_e.depth --out runs/lra_e/depth

trains 3, 5 and 8 hidden layers of 256 with LRA-E, with E fixed, and with backprop, by the recipe of
`lra_e.mnist.mnist_torch`, several seeds each; then draws accuracy, the angle between each layer's
update and its gradient, and the angle between E and W transposed, against depth. Runs that are
there already are kept, unfinished ones resumed.
"""

import subprocess
import sys
from collections.abc import Iterator
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import click

from common.cli import Options, command, option
from common.cli.params import choice, path, positive_int, threads
from common.errors import UserError
from common.files import documents
from common.files.writing import write_figure, write_json
from common.runs import checkpoint

SCRIPT = "lra_e.mnist.mnist_torch"
RULES = ("lra_e", "fixed_e", "bp")
DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "digits"}
ORDER = list(DATASETS)
NAMES = {"lra_e": "LRA-E", "fixed_e": "E fixed", "bp": "backprop"}


class Case(NamedTuple):
    """One run of the study."""

    dataset: str
    depth: int
    rule: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Where its run directory is."""
        return out / self.dataset / f"h{self.depth}-{self.rule}" / f"seed-{self.seed}"

    def layers(self) -> str:
        """784, as many times 256 as it has hidden layers, 10."""
        return "-".join(["784", *["256"] * self.depth, "10"])


def cases(options: Any) -> Iterator[Case]:
    """All runs, a whole seed before the next, so that what is there early can be compared."""
    for seed in range(1, options.seeds + 1):
        for dataset in options.dataset:
            for depth in options.depth:
                for rule in options.rule:
                    yield Case(dataset, depth, rule, seed)


def run(case: Case, options: Any) -> None:
    """Train one case in a process of its own, unless it is there; UserError names its log."""
    folder = case.folder(options.out)
    if (folder / "summary.json").is_file():
        if documents.read(folder / "summary.json", documents.SUMMARY)["status"] == "finished":
            return
    words = [sys.executable, "-m", SCRIPT, "--quiet", "--threads", str(options.threads)]
    if checkpoint.newest(folder):
        words += ["--resume", str(folder)]
    else:
        words += [
            *("--dataset", case.dataset, "--layers", case.layers(), "--rule", case.rule),
            *("--seed", str(case.seed), "--epochs", str(options.epochs), "--audit"),
            *("--out", str(folder)),
        ]
        if options.data_dir:
            words += ["--data-dir", str(options.data_dir)]
        if options.limit_train:
            words += ["--limit-train", str(options.limit_train)]
    log = folder.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        done = subprocess.run(words, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        last = log.read_text(errors="replace").rstrip().rpartition("\n")[2]
        raise UserError(f"{folder}: the run ended with code {done.returncode}: {last} (see {log})")


def collect(out: Path) -> list[dict[str, Any]]:
    """What the figure shows, from the runs in a folder: one record a dataset, depth and rule."""
    from common.reports.grouping import HOUSEKEEPING, differing
    from common.runs.read_back import read_run

    found: dict[tuple[str, int, str], list[Any]] = {}
    for config in sorted(out.glob("*/h*-*/seed-*/config.json")):
        case = read_run(config.parent)
        if case.status == "finished":
            _check(case)
            key = (case.dataset, len(case.options["layers"]) - 2, case.rule)
            found.setdefault(key, []).append(case)
    if not found:
        raise UserError(f"{out}: no finished run of the study is here")
    records = []
    for (dataset, depth, rule), runs in sorted(found.items(), key=_reading_order):
        if more := differing(runs, HOUSEKEEPING):
            folder = runs[0].path.parent
            raise UserError(f"{folder}: its runs are of several recipes: {', '.join(more)} differ")
        last = [one.audits[-1] for one in runs]
        records.append(
            {
                "dataset": dataset,
                "depth": depth,
                "rule": rule,
                "epochs": runs[0].final["epoch"],
                "seeds": [one.seed for one in runs],
                "test_accuracy": [one.final["test_accuracy"] for one in runs],
                "train_accuracy": [one.final["train_accuracy"] for one in runs],
                "credit_angle": _mean_angles([audit["credit"] for audit in last]),
                "error_weight_angle": _mean_angles([audit["feedback"] for audit in last]),
                "made": sorted({_made(one) for one in runs}),
            }
        )
    return records


def _check(run: Any) -> None:
    """UserError for a run that is not of the study, or has no audit or no accuracies."""
    options = documents.run_options(run.path, run.config, "lra_e", ("layers",))
    layers = documents.table(layers=documents.many(documents.COUNT))
    documents.check(options, layers, f"{run.path / 'config.json'}: options")
    if run.dataset not in ORDER or run.rule not in RULES:
        raise UserError(f"{run.path}: {run.rule} on {run.dataset} is no case of the study")
    metrics = run.path / "metrics.jsonl"
    if not run.audits or "feedback" not in run.audits[-1]:
        raise UserError(f"{metrics}: no audit with feedback weights; train with --audit")
    figures = dict.fromkeys(("test_accuracy", "train_accuracy"), documents.NUMBER)
    documents.check(run.final, documents.table(**figures), f"{metrics}: the last epoch")


def _made(run: Any) -> str:
    """Commit, processor and framework of a run."""
    about = run.environment
    versions = about.get("packages", {})
    commit = str(about.get("git_commit"))[:12]
    return f"commit {commit}, {about.get('processor')}, torch {versions.get('torch')}"


def _reading_order(item: tuple[tuple[str, int, str], Any]) -> tuple[int, int, int]:
    dataset, depth, rule = item[0]
    return ORDER.index(dataset), depth, RULES.index(rule)


def _mean_angles(audits: list[dict[str, Any]]) -> dict[str, float | None]:
    """Layer -> mean angle over the seeds; None where a seed has none that means anything."""
    angles: dict[str, float | None] = {}
    for layer in audits[0]:
        here = [a[layer] for a in audits if layer in a]
        known = [entry.get("angle") for entry in here if not entry.get("too_small")]
        known = [angle for angle in known if angle is not None]
        angles[layer] = fmean(known) if len(known) == len(audits) else None
    return angles


def draw(records: list[dict[str, Any]], target: Path) -> None:
    """One row of three panels a dataset."""
    import matplotlib

    from common.reports.figures import COLOURS, GREYS, STYLE

    colours = {"lra_e": COLOURS[0], "fixed_e": COLOURS[1], "bp": GREYS[0]}
    datasets = sorted({r["dataset"] for r in records}, key=ORDER.index)
    depths = sorted({r["depth"] for r in records})
    shades = matplotlib.colormaps["viridis"]
    shade = {d: shades(0.15 + 0.65 * i / max(1, len(depths) - 1)) for i, d in enumerate(depths)}
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11.5, 3.3 * len(datasets)), layout="constrained")
        grid = figure.subplots(len(datasets), 3, squeeze=False)
        for row, dataset in zip(grid, datasets, strict=True):
            mine = [r for r in records if r["dataset"] == dataset]
            _accuracies(row[0], mine, colours)
            _angles(row[1], mine, shade, "credit_angle", "update to gradient (°)")
            _angles(row[2], mine, shade, "error_weight_angle", "E to W transposed (°)")
            row[0].set_title(DATASETS[dataset], loc="left", fontweight="bold")
            row[1].set_title("solid: LRA-E, dashed: E fixed", loc="left", fontsize=9)
            row[2].set_title("LRA-E", loc="left", fontsize=9)
        write_figure(figure, target, dpi=150, facecolor="white")


def _accuracies(axes: Any, records: list[dict[str, Any]], colours: dict) -> None:
    ends = []
    for rule in RULES:
        mine = [r for r in records if r["rule"] == rule]
        if not mine:
            continue
        x = [r["depth"] for r in mine]
        axes.plot(x, [fmean(r["test_accuracy"]) for r in mine], color=colours[rule], linewidth=2)
        for r in mine:
            seeds = r["test_accuracy"]
            axes.plot([r["depth"]] * len(seeds), seeds, "o", color=colours[rule], markersize=3)
        ends.append((fmean(mine[-1]["test_accuracy"]), NAMES[rule], colours[rule]))
    low, high = axes.get_ylim()
    height = -1e9
    for end, name, colour in sorted(ends):  # names one above the other, however close the ends
        height = max(end, height + 0.06 * (high - low))
        axes.text(
            max(r["depth"] for r in records) + 0.15, height, f"{name} {end:.1f}", color=colour,
            va="center", fontsize=9,
        )  # fmt: skip
    axes.set_xticks(sorted({r["depth"] for r in records}))
    axes.set_xlabel("hidden layers")
    axes.set_ylabel("test accuracy (%)")
    axes.set_xlim(right=axes.get_xlim()[1] + 3)  # room for the names


def _angles(axes: Any, records: list[dict[str, Any]], shade: dict, kind: str, label: str) -> None:
    for record in records:
        wanted = ("lra_e", "fixed_e") if kind == "credit_angle" else ("lra_e",)
        if record["rule"] not in wanted:
            continue
        points = [(int(k[1:]), nan if v is None else v) for k, v in record[kind].items()]
        solid = record["rule"] == "lra_e"
        axes.plot(
            [x for x, _ in points], [y for _, y in points], "o-" if solid else "o--",
            color=shade[record["depth"]], markersize=3, linewidth=1.8 if solid else 1,
            label=f"{record['depth']} hidden" if solid else None,
        )  # fmt: skip
    axes.axhline(90, color="black", linewidth=0.8, linestyle=(0, (1, 2)))
    values = (v for r in records for v in r[kind].values() if v is not None)
    highest = max([90.0, *values])
    axes.set_ylim(-3, highest + 26)  # room for the names
    axes.set_yticks(range(0, int(highest) + 1, 30))
    axes.set_xlabel("layer")
    axes.set_ylabel(label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=8.5, loc="upper left", ncols=3, handlelength=1.2,
                columnspacing=1)  # fmt: skip


def table(records: list[dict[str, Any]]) -> str:
    """The accuracies as a markdown table, mean and range over the seeds."""
    depths = sorted({r["depth"] for r in records})
    lines = [
        "| data | rule | " + " | ".join(f"{d} hidden" for d in depths) + " |",
        "|---|---|" + "---|" * len(depths),
    ]
    for dataset in dict.fromkeys(r["dataset"] for r in records):
        for rule in RULES:
            cells = []
            for depth in depths:
                found = [
                    r["test_accuracy"]
                    for r in records
                    if (r["dataset"], r["depth"], r["rule"]) == (dataset, depth, rule)
                ]
                cells += [f"{fmean(x):.2f} ({min(x):.2f}–{max(x):.2f})" for x in found] or ["–"]
            lines.append(f"| {DATASETS[dataset]} | {NAMES[rule]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@command(paper="lra_e", name="depth")
@option(
    "--dataset",
    "--data",
    "dataset",
    type=choice(*DATASETS),
    multiple=True,
    default=["mnist", "fashion_mnist"],
    help="Data sets; may be repeated.",
)
@option(
    "--depth",
    type=positive_int,
    multiple=True,
    default=[3, 5, 8],
    help="Hidden layers; may be repeated.",
)
@option(
    "--rule",
    type=choice(*RULES),
    multiple=True,
    default=list(RULES),
    help="Rules; may be repeated.",
)
@option("--seeds", type=positive_int, default=3, help="Seeds 1 to this number.")
@option("--epochs", type=positive_int, default=30, help="Of every run.")
@option("--out", type=path, default=Path("runs/lra_e/depth"), help="Folder of the study.")
@option("--data-dir", type=path, default=None, help="Folder of the data sets.")
@option("--limit-train", type=positive_int, default=None, help="Train on so many images only.")
@option("--threads", type=threads, default=1, help="CPU threads of a run.")
@option("--only-figure/--all", default=False, help="Draw what is there, train nothing.")
def main(options: Options) -> None:
    """Train nets of several depths with LRA-E, fixed E and backprop, and draw what they learnt."""
    planned = [] if options.only_figure else list(cases(options))
    for i, case in enumerate(planned, 1):
        click.echo(f"[{i}/{len(planned)}] {case.dataset}, {case.depth} hidden, {case.rule}, "
                   f"seed {case.seed}")  # fmt: skip
        run(case, options)
    records = collect(options.out)
    numbers, figure = options.out / "depth.json", options.out / "depth.png"
    write_json(numbers, records)
    draw(records, figure)
    click.echo(table(records))
    click.echo(f"{numbers}\n{figure}")


if __name__ == "__main__":
    main()
