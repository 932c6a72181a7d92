"""The study of depth as one figure and one table."""

from math import nan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from common.files.writing import write_figure
from lra_e.deep.study import DATASETS, RULES, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Angles = Literal["credit_angle", "error_weight_angle"]


def draw(records: list[Point], target: Path) -> None:
    """One row of three panels a dataset."""
    import matplotlib

    from common.reports.figures import COLOURS, GREYS, STYLE

    colours = {"lra_e": COLOURS[0], "fixed_e": COLOURS[1], "bp": GREYS[0]}
    datasets = sorted({r["dataset"] for r in records}, key=list(DATASETS).index)
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


def _accuracies(axes: "Axes", records: list[Point], colours: dict[str, str]) -> None:
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
        ends.append((fmean(mine[-1]["test_accuracy"]), RULES[rule], colours[rule]))
    low, high = axes.get_ylim()
    height = -1e9
    for end, name, colour in sorted(ends):  # names one above the other, however close the ends
        height = max(end, height + 0.06 * (high - low))
        right = max(r["depth"] for r in records) + 0.15
        axes.text(right, height, f"{name} {end:.1f}", color=colour, va="center", fontsize=9)
    axes.set_xticks(sorted({r["depth"] for r in records}))
    axes.set_xlabel("hidden layers")
    axes.set_ylabel("test accuracy (%)")
    axes.set_xlim(right=axes.get_xlim()[1] + 3)  # room for the names


def _angles(
    axes: "Axes", records: list[Point], shade: dict[int, Any], kind: Angles, label: str
) -> None:
    for record in records:
        wanted = ("lra_e", "fixed_e") if kind == "credit_angle" else ("lra_e",)
        if record["rule"] not in wanted:
            continue
        points = [(int(k[1:]), nan if v is None else v) for k, v in record[kind].items()]
        solid = record["rule"] == "lra_e"
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            "o-" if solid else "o--",
            color=shade[record["depth"]],
            markersize=3,
            linewidth=1.8 if solid else 1,
            label=f"{record['depth']} hidden" if solid else None,
        )
    axes.axhline(90, color="black", linewidth=0.8, linestyle=(0, (1, 2)))
    values = (v for r in records for v in r[kind].values() if v is not None)
    highest = max([90.0, *values])
    axes.set_ylim(-3, highest + 26)  # room for the names
    axes.set_yticks(range(0, int(highest) + 1, 30))
    axes.set_xlabel("layer")
    axes.set_ylabel(label)
    axes.locator_params(axis="x", integer=True)
    axes.legend(
        frameon=False, fontsize=8.5, loc="upper left", ncols=3, handlelength=1.2, columnspacing=1
    )


def table(records: list[Point]) -> str:
    """The accuracies as a markdown table, mean and range over the seeds."""
    depths = sorted({r["depth"] for r in records})
    lines = [
        "| data | rule | " + " | ".join(f"{d} hidden" for d in depths) + " |",
        "|---|---|" + "---|" * len(depths),
    ]
    known = {(r["dataset"], r["rule"], r["depth"]): r["test_accuracy"] for r in records}
    for dataset in dict.fromkeys(r["dataset"] for r in records):
        for rule in RULES:
            cells = []
            for depth in depths:
                seeds = known.get((dataset, rule, depth))
                range_ = f"({min(seeds):.2f}–{max(seeds):.2f})" if seeds else ""
                cells.append(f"{fmean(seeds):.2f} {range_}" if seeds else "–")
            lines.append(f"| {DATASETS[dataset]} | {RULES[rule]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
