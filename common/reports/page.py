"""One self-contained HTML page about runs: no link to anything outside it, no script.

`page(title, sections)` serves one run, several runs and the demo. What it says is gathered here;
how it looks stands in `templates/`. Every number in the table of runs stands in a
`<data value=...>` element with the full value of the run's file beside the rounded one that is
read. Everything that comes from files is escaped: the templates do so by themselves.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

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


PERSONAL = ("time", "command", "resumed")  # of the environment: each run's own
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
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=title,
            intro=intro,
            runs=runs,
            sections=[_shown(section, colours, unit) for section in sections],
            commands=list(dict.fromkeys(run.command for run in runs)),
            environments=list(_environments(runs)),
        )
    )


def write(path: Path, html: str) -> Path:
    """Write the page (folders made as needed); the absolute path of it."""
    write_text(path, html)
    return path.resolve()


def _templates() -> Environment:
    """Whatever they print is escaped, but for the drawings, which they call safe."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    templates.filters |= {"plain": _plain, "rounded": _rounded}
    return templates


def _shown(section: Section, colours: dict[str, str], unit: str) -> dict[str, Any]:
    """What the template says of a section."""
    names = list(dict.fromkeys(name for run in section.runs for name in run.options))
    differ = [n for n in differing(list(section.runs)) if n not in ("out", "resume")]
    return {
        "title": section.title,
        "subtitle": section.subtitle,
        "notes": section.notes,
        "runs": section.runs,
        "figures": list(_figures(section, colours, unit)),
        "means": list(_means(section.series)),
        "options": names,
        "differing": differ,
    }


def _figures(section: Section, colours: dict[str, str], unit: str) -> Iterator[dict[str, Any]]:
    """The section's drawings, kind by kind."""
    drawn = figures.draw(section.series, colours, unit)
    for prefixes, (heading, caption) in KINDS.items():
        some = [figures.svg(f) for n, f in drawn.items() if n.split("_")[0] in prefixes]
        if some:
            yield {"heading": heading, "caption": caption, "drawings": some}


def _means(series: Sequence[Series]) -> Iterator[dict[str, Any]]:
    """Mean test accuracy with its 95 % interval, where a recipe was run with several seeds."""
    for one in series:
        finals = (number(run.final.get("test_accuracy")) for run in one.runs)
        values = [value for value in finals if value is not None]
        if len(values) > 1:
            half, seeds = interval(values), len(values)
            yield {"label": one.label, "mean": fmean(values), "half": half, "seeds": seeds}


def _environments(runs: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Each distinct environment once, with the names of its runs."""
    distinct: dict[str, list[str]] = {}
    for run in runs:
        facts = {key: value for key, value in run.environment.items() if key not in PERSONAL}
        distinct.setdefault(json.dumps(facts, sort_keys=True), []).append(run.path.name)
    for text, names in distinct.items():
        yield {"facts": json.loads(text), "runs": names}


def _rounded(value: Any, pattern: str) -> str:
    """A value as it is read; as it is, where the pattern is not for values like it."""
    try:
        return pattern.format(value)
    except (TypeError, ValueError):
        return str(value)


def _plain(value: Any) -> str:
    """An option's value, or a fact of the environment, in words."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, list):
        return " ".join(map(_plain, value))
    if value is None or isinstance(value, bool):
        return "–" if value is None else "yes" if value else "no"
    return str(value)
