"""Figures of runs: learning curves, credit angles of every layer, feedback-weight angles.

`draw(series)` gives small figures (one panel each, so that a page can put them side by side or,
on a phone, below each other). Lines are labelled at their ends. A series keeps its colour on a
whole page; backprop is grey; layers go from dark (first) to light (last).
matplotlib is imported when something is drawn, without pyplot and without a display.
"""

import io
import re
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from common.files.writing import write_figure
from common.reports import papers
from common.reports.audit_lines import band, measured
from common.runs.read_back import Record, Series, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREYS = ("#6b7280", "#9aa1ab")
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
INK, GRID = "#1f2430", "#e3e5ea"  # replaced by the page's own text and line colours in an SVG
SIZE = (4.6, 3.0)  # inches
LEGEND_ROW = 0.19  # inches a row of a legend takes above the panel
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
}
MOST_LABELS = 16
Curve = list[tuple[float, float]]
_salt = count()


def palette(series: Iterable[Series]) -> dict[str, str]:
    """Label → colour: greys for backprop, colour-blind safe ones in order of appearance."""
    backprop = papers.backprop_rules()
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for one in series:
        labels = kinds[one.rule in backprop]
        if one.label not in labels:
            labels.append(one.label)
    return {
        label: _darker(colours[i % len(colours)], i // len(colours))
        for labels, colours in ((kinds[True], GREYS), (kinds[False], COLOURS))
        for i, label in enumerate(labels)
    }


def _darker(colour: str, times: int) -> str:
    """The colour at 0.6 of its light, so many times: a seventh line is not the first one again."""
    light = (int(colour[i : i + 2], 16) * 0.6**times for i in (1, 3, 5))
    return "#" + "".join(f"{round(part):02x}" for part in light)


def draw(
    series: Sequence[Series], colours: dict[str, str] | None = None, unit: str = "angle"
) -> dict[str, "Figure"]:
    """Name → figure, for everything that the runs hold data for.

    `accuracy` and `loss` show all series together; the angle figures are one per series, named
    `credit_angles` / `feedback_angles` (with the number of the series when there are several).
    `unit`: "angle" (degrees) or "cosine", for the angles.
    """
    colours = colours or palette(series)
    names = {"accuracy": "accuracy (%)", "loss": "loss"}
    figures = {name: _curves(series, colours, name, label) for name, label in names.items()}
    for kind, what in (("credit", "gradient"), ("feedback", "forward weights")):
        for place, one in enumerate(series, start=1):
            name = f"{kind}_angles" + (f"_{place}" if len(series) > 1 else "")
            figures[name] = _layers(one, kind, what, unit)
    return {name: figure for name, figure in figures.items() if figure is not None}


def curve(run: Record, key: str) -> Curve:
    """(epoch, value) of `key` in the run's epoch lines, those without a finite value left out."""
    return _points(run, ((line, line.get(key)) for line in run.epochs))


def _trained(run: Record, key: str) -> Curve:
    """`curve` without the untrained network's point, which would press the rest together."""
    points = curve(run, key)
    return [point for point in points if point[0] > 0] or points


def layer_curves(run: Record, kind: str, unit: str) -> dict[str, Curve]:
    """Layer → (epoch, angle or cosine) from the audit lines, in forward order of the layers.

    Where the reference gradient is too small to mean anything, the value is NaN: a gap.
    """
    layers = dict.fromkeys(layer for line in run.audits for layer in line.get(kind) or {})
    curves = {}
    for layer in layers:
        pairs = ((line, (line.get(kind) or {}).get(layer) or {}) for line in run.audits)
        values = ((line, float("nan") if e.get("too_small") else e.get(unit)) for line, e in pairs)
        curves[layer] = _points(run, values, gaps=True)
    return curves


def mean(curves: Sequence[Curve]) -> Curve:
    """The mean over seeds, at the epochs that every seed has."""
    shared = set.intersection(*({x for x, _ in curve} for curve in curves)) if curves else set()
    tables = [dict(curve) for curve in curves]
    return [(x, fmean(table[x] for table in tables)) for x in sorted(shared)]


def save_png(figure: "Figure", path: Path) -> None:
    """Save as PNG (170 dpi), making the folder. UserError where the disk refuses."""
    write_figure(figure, path, dpi=170, facecolor="white")


def svg(figure: "Figure") -> str:
    """The figure as an `<svg>` element to stand in a page: no address in it, no fixed size, text
    and grid in the page's colours (`currentColor`, `var(--line)`), identifiers of its own."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": f"figure{next(_salt)}"}):
        figure.savefig(buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r' (xmlns(:\w+)?|version|width|height)="[^"]*"', "", text[: text.index(">")]) + (
        text[text.index(">") :].replace("xlink:href", "href")
    )
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px; font-family: inherit", text)
    return text.replace(INK, "currentColor").replace(GRID, "var(--line)")


def _points(run: Record, pairs: Iterable[tuple[dict[str, Any], Any]], gaps: bool = False) -> Curve:
    points = [(run.epoch_of(line), number(value)) for line, value in pairs]
    if gaps:
        return [(x, float("nan") if y is None else y) for x, y in points]
    return [(x, y) for x, y in points if y is not None]


def _panel(ylabel: str) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel="epochs", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.grid(axis="x", visible=False)
    return figure, axes


def _line(axes: "Axes", points: Curve, **style: Any) -> None:
    few = {"marker": "o", "markersize": 3} if len(points) <= 10 else {}
    axes.plot([x for x, _ in points], [y for _, y in points], **{**few, **style})


def _curves(
    series: Sequence[Series], colours: dict[str, str], what: str, ylabel: str
) -> "Figure | None":
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure, axes = _panel(ylabel)
        ends, everything = [], []
        for one in series:
            colour = colours[one.label]
            for part, dashes in (("train", (0, (3, 2))), ("test", "-")):
                seeds = [points for run in one.runs if (points := _trained(run, f"{part}_{what}"))]
                average = mean(seeds)
                everything += [y for points in seeds for _, y in points]
                style = {"color": colour, "linestyle": dashes}
                for points in seeds if len(seeds) > 1 else []:
                    _line(axes, points, linewidth=0.7, alpha=0.45, marker="", **style)
                if average:
                    width = 2.0 if part == "test" else 1.2
                    _line(axes, average, linewidth=width, gid=f"{one.label} {part}", **style)
                if average and (part == "test" or not curve(one.runs[0], f"test_{what}")):
                    digits = f"{average[-1][1]:.1f}" if what == "accuracy" else ""
                    ends.append((average[-1], f"{one.label} {digits}".strip(), colour))
        if not everything:
            return None
        low, high = min(everything), max(everything)
        if what == "loss" and low > 0 and high > 30 * low:
            axes.set_yscale("log")
            axes.set_ylim(low / 1.2, high * 1.2)
        else:
            room = 0.05 * (high - low) or 1.0
            axes.set_ylim(low - room, high + room)
        _label_ends(axes, ends)
    return figure


def _layers(one: Series, kind: str, what: str, unit: str) -> "Figure | None":
    import matplotlib

    seeds = [curves for run in one.runs if (curves := layer_curves(run, kind, unit))]
    if not seeds:
        return None
    layers = list(seeds[0])
    shades = matplotlib.colormaps["viridis"]
    degrees = unit == "angle"
    with matplotlib.rc_context(STYLE):
        figure, axes = _panel(f"angle to {what} (°)" if degrees else f"cosine to {what}")
        ends, low, high = [], 0.0, 0.0
        for depth, layer in enumerate(layers):
            colour = shades(0.18 + 0.7 * depth / max(1, len(layers) - 1))
            each = [curves[layer] for curves in seeds if layer in curves]
            values = [y for points in each for _, y in points if y == y]
            low, high = min([low, *values]), max([high, *values])
            for points in each if len(each) > 1 else []:
                _line(axes, points, color=colour, linewidth=0.6, alpha=0.4, marker="")
            if len(one.runs) == 1:
                _band(axes, one.runs[0], kind, layer, unit, colour)
            average = mean(each)
            _line(axes, average, color=colour, linewidth=1.8, gid=layer)
            known = [point for point in average if point[1] == point[1]]
            every = -(-len(layers) // MOST_LABELS)
            if known and (depth % every == 0 or depth == len(layers) - 1):
                ends.append((known[-1], layer, colour))
        if degrees:
            axes.set_yticks(range(0, 181, 30))
            axes.set_ylim(-3, max(93, high + 3))
        else:
            axes.set_ylim(min(-0.08, low - 0.05), 1.04)
        axes.axhline(90 if degrees else 0, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_title(one.label, loc="left", fontsize=11)
        extent = measured([line for run in one.runs for line in run.audits])
        if kind == "credit" and extent:
            axes.set_xlabel(f"epochs ({extent})")
        _label_ends(axes, ends)
    return figure


def _band(axes: "Axes", run: Record, kind: str, layer: str, unit: str, colour: Any) -> None:
    """The scatter from batch to batch, where the audits tell it."""
    entries = ((line, (line.get(kind) or {}).get(layer) or {}) for line in run.audits)
    points = [
        (run.epoch_of(line), *limits)
        for line, entry in entries
        if not entry.get("too_small") and (limits := band(entry, unit))
    ]
    if points:
        x, low, high = zip(*points, strict=True)
        axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)


def _label_ends(axes: "Axes", ends: list[tuple[tuple[float, float], str, Any]]) -> None:
    """Name lines at the right edge, in the lines' order, spread so that no two names overlap;
    names too long for that go above the panel."""
    axes.margins(x=0.02)
    if any(len(text) > 16 for _, text, _ in ends):
        from matplotlib.lines import Line2D

        lines = [Line2D([], [], color=colour, linewidth=2, label=text) for _, text, colour in ends]
        figure = axes.get_figure(root=True)
        assert figure is not None
        figure.set_figheight(SIZE[1] + LEGEND_ROW * len(lines))  # the panel keeps its own height
        figure.legend(handles=lines, loc="outside upper left", frameon=False, fontsize=8.5)
        return
    axes.autoscale_view()
    to_axes = axes.transData + axes.transAxes.inverted()
    placed = [(float(to_axes.transform(end)[1]), end, text, c) for end, text, c in ends]
    placed.sort(key=lambda item: item[0])
    gap = min(0.062, 1.0 / max(1, len(placed)))
    heights: list[float] = []
    for height, *_ in placed:
        heights.append(max(height, heights[-1] + gap if heights else 0.0))
    for i in reversed(range(len(heights))):
        limit = 1.0 if i == len(heights) - 1 else heights[i + 1] - gap
        heights[i] = min(heights[i], limit)
    for height, (_, end, text, colour) in zip(heights, placed, strict=True):
        axes.annotate(
            text,
            xy=end,
            xytext=(1.06, height),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkB": 2},
        )
