"""One self-contained HTML page about runs: no link to anything outside it, no script.

`page(title, sections)` serves one run, several runs and the demo. Every number in the table of
runs stands in a `<data value=...>` element with the full value of the run's file beside the
rounded one that is read. Everything that comes from files is escaped.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

from common.files.writing import write_text
from common.reports import figures
from common.reports.grouping import differing
from common.runs.read_back import Record, Series, interval, number


@dataclass(frozen=True)
class Section:
    """A part of the page: runs that belong together; `notes` are lines, of left-out runs say."""

    title: str
    subtitle: str
    runs: tuple[Record, ...]
    series: tuple[Series, ...]
    notes: tuple[str, ...] = field(default=())


CSS = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2430; --soft: #5d6675;
  --line: #e3e5ea; --fill: #f6f7f9; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181e; --ink: #e4e7ec; --soft: #9aa3b2;
  --line: #2e3440; --fill: #1c2028; }
  svg { filter: brightness(1.4); --line: #232831; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 3rem 0 .2rem; }
p { margin: .2rem 0 .8rem; max-width: 46rem; } h3 { font-size: 1rem; margin: 1.4rem 0 .1rem; }
.soft, caption { color: var(--soft); font-size: .88rem; }
.note { border-left: 3px solid var(--line); padding-left: .7rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; white-space: nowrap; padding-bottom: .3rem; }
th, td { padding: .32rem .8rem .32rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); } td.n, th.n { text-align: right; white-space: nowrap; }
#runs td { white-space: nowrap; }
.figures { display: grid; gap: 1.2rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); }
figure { margin: 0; max-width: 36rem; } svg { width: 100%; height: auto; display: block; }
svg text { fill: currentColor; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--soft); font-size: .92rem; }
pre { background: var(--fill); padding: .7rem .9rem; overflow-x: auto; font-size: .82rem; }
code { font-size: .85em; overflow-wrap: anywhere; }
"""
PERSONAL = ("time", "command", "resumed")  # of the environment: each run's own
BEST = "test %: after the last epoch. best test %: in the best epoch, chosen by the test set."
KINDS = {  # prefixes of the figures' names: heading, caption
    ("accuracy", "loss"): (
        "Learning curves",
        "Solid: test; dashed: training. Several seeds: thin, their mean, as far as all of them go, "
        "thick. The untrained network (epoch 0) is left out.",
    ),
    ("credit",): (
        "Credit angles",
        "Angle between the rule's update and backprop's gradient of the same network, layer by "
        "layer, the first layer darkest. 0° is backprop's own direction; at 90° (dotted) none of "
        "it is left. Gaps: the gradient is too small to compare.",
    ),
    ("feedback",): (
        "Feedback angles",
        "Angle between each layer's feedback weights and its transposed forward weights. At 90° "
        "(dotted) the two are unrelated.",
    ),
}


def page(title: str, sections: Sequence[Section], intro: str = "", unit: str = "angle") -> str:
    """The page as HTML. `unit`: "angle" (degrees) or "cosine" for the credit figures."""
    runs = [run for section in sections for run in section.runs]
    colours = figures.palette(one for section in sections for one in section.series)
    body = [f"<h1>{escape(title)}</h1>"]
    if intro:
        body.append(f'<p class="soft">{escape(intro)}</p>')
    body += [runs_table(runs), f'<p class="soft">{BEST}</p>']
    for section in sections:
        body.append(f"<section><h2>{escape(section.title)}</h2>")
        if section.subtitle:
            body.append(f'<p class="soft">{escape(section.subtitle)}</p>')
        body += [f'<p class="note">{escape(note)}</p>' for note in section.notes]
        drawn = figures.draw(section.series, colours, unit)
        for prefixes, (heading, caption) in KINDS.items():
            some = [figures.svg(f) for n, f in drawn.items() if n.split("_")[0] in prefixes]
            if some:
                body.append(f'<h3>{heading}</h3><p class="soft">{escape(caption)}</p>')
                panels = "".join(f"<figure>{one}</figure>" for one in some)
                body.append(f'<div class="figures">{panels}</div>')
        body += [means_table(section.series), options(section.runs), "</section>"]
    body += ["<h2>Commands</h2>", commands(runs), "<h2>Environment</h2>", environment(runs)]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body>"
        + "\n".join(part for part in body if part)
        + "</body></html>\n"
    )


def write(path: Path, html: str) -> Path:
    """Write the page (folders made as needed); the absolute path of it."""
    write_text(path, html)
    return path.resolve()


def runs_table(runs: Sequence[Record]) -> str:
    """One row a run. Accuracies in percent; images/s are those of the last epoch."""
    head = [
        "paper",
        "rule",
        "data",
        "name",
        "run",
        "seed",
        "epochs",
        "train %",
        "test %",
        "best test %",
    ]
    head += ["seconds", "images/s", "parameters"]
    rows = []
    for run in runs:
        best = run.best.get("epoch")
        at = f' <span class="soft">epoch {escape(str(best))}</span>' if run.best else ""
        name = escape(run.path.name)
        if run.status != "finished":
            reason = run.summary.get("reason")
            name += f" <b>({escape(run.status + (f': {reason}' if reason else ''))})</b>"
        rows.append(
            [escape(run.paper), escape(run.rule), escape(run.dataset), escape(run.name), name]
            + [_data(run.seed, "{}"), _data(run.final.get("epoch"), "{}")]
            + [_data(run.final.get(key), "{:.2f}") for key in ("train_accuracy", "test_accuracy")]
            + [_data(run.best.get("test_accuracy"), "{:.2f}") + at]
            + [_data(run.summary.get("seconds"), "{:,.1f}")]
            + [_data(run.final.get("images_per_second"), "{:,.0f}")]
            + [_data(run.summary.get("parameters"), "{:,}")]
        )
    return _table(head, rows, numbers_from=5, name="runs")


def means_table(series: Sequence[Series]) -> str:
    """Mean test accuracy with its 95 % interval, where a recipe was run with several seeds."""
    rows = []
    for one in series:
        values = [
            v for run in one.runs if (v := number(run.final.get("test_accuracy"))) is not None
        ]
        if len(values) > 1:
            half = interval(values)
            ours = f"{_data(fmean(values), '{:.2f}')} ± {_data(half, '{:.2f}')}"
            rows.append([escape(one.label), ours, _data(len(values), "{}")])
    return _table(["recipe", "test %, mean ± 95 %", "seeds"], rows, 1) if rows else ""


def options(runs: Sequence[Record]) -> str:
    """The options in which the runs differ, and all of them folded away."""
    head = ["option", *(run.path.name for run in runs)]

    def table(names: Sequence[str], title: str = "") -> str:
        values = [[escape(_plain(run.options.get(name))) for run in runs] for name in names]
        rows = [[f"<code>{escape(n)}</code>", *row] for n, row in zip(names, values, strict=True)]
        return _table(head, rows, caption=title)

    names = list(dict.fromkeys(name for run in runs for name in run.options))
    short = [name for name in differing(list(runs)) if name not in ("out", "resume")]
    html = table(short, "Options that differ between the runs") if short else ""
    return html + _fold("All options", table(names)) if names else html


def commands(runs: Sequence[Record]) -> str:
    """The command of every run, one a line."""
    return f"<pre>{escape(chr(10).join(dict.fromkeys(run.command for run in runs)))}</pre>"


def environment(runs: Sequence[Record]) -> str:
    """Each distinct environment once: one open, further ones folded, named after their runs."""
    distinct: dict[str, list[Record]] = {}
    for run in runs:
        facts = {key: value for key, value in run.environment.items() if key not in PERSONAL}
        distinct.setdefault(json.dumps(facts, sort_keys=True), []).append(run)
    parts = []
    for text, members in distinct.items():
        rows = [[escape(k), escape(_plain(v))] for k, v in json.loads(text).items()]
        table = _table(["", ""], rows) if rows else "<p>not recorded</p>"
        names = ", ".join(str(run.path.name) for run in members)
        parts.append(table if len(distinct) == 1 else _fold(names, table))
    return "".join(parts)


def _data(value: Any, pattern: str) -> str:
    """A value of a file, rounded to be read and in full for whoever checks."""
    if value is None:
        return "–"
    try:
        shown = pattern.format(value)
    except (TypeError, ValueError):
        shown = str(value)
    return f'<data value="{escape(str(value))}">{escape(shown)}</data>'


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    if value is None or isinstance(value, bool):
        return "–" if value is None else "yes" if value else "no"
    return str(value)


def _table(
    head: list[str],
    rows: list[list[str]],
    numbers_from: int = 99,
    caption: str = "",
    name: str = "",
) -> str:
    """A table in a frame that scrolls sideways; cells are HTML, the head and caption plain text."""
    kinds = ['class="n"' if i >= numbers_from else "" for i in range(len(head))]
    top = "".join(f"<th {k}>{escape(h)}</th>" for h, k in zip(head, kinds, strict=True))
    lines = "".join(
        f"<tr>{''.join(f'<td {k}>{c}</td>' for c, k in zip(row, kinds, strict=True))}</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    mark = f' id="{name}"' if name else ""
    head_row = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f'<div class="scroll"><table{mark}>{title}{head_row}<tbody>{lines}</tbody></table></div>'


def _fold(title: str, inner: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"
