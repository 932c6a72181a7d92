"""Which runs belong together and what tells them apart: seeds of one recipe, differing options."""

import json
from collections.abc import Iterable
from typing import Any

from common.files import paper_folders
from common.runs.read_back import Record, Series

# Options of all training scripts that do not change what is learnt.
_COMMON = frozenset(
    "out resume seed data_dir no_download device threads quiet audit audit_every audit_images "
    "checkpoint_every allow_change deterministic compat".split()
)


def housekeeping(runs: Iterable[Record]) -> frozenset[str]:
    """The options that do not change what is learnt, of these runs' papers too: runs that differ
    only there are repetitions."""
    return _COMMON.union(*(paper_folders.housekeeping(paper) for paper in {r.paper for r in runs}))


def differing(runs: list[Record], ignore: frozenset[str] = frozenset()) -> list[str]:
    """Names of the options whose values differ between the runs, in the order of the files."""
    names = dict.fromkeys(name for run in runs for name in run.options if name not in ignore)
    return [name for name in names if len({_text(run.options.get(name)) for run in runs}) > 1]


def group(runs: list[Record]) -> list[Series]:
    """Series of runs that are equal but for the seed, in the order in which they came.

    The label is the rule; where that does not tell two series apart, also the run's name or the
    options in which they differ (`lra_e, beta=0.2`). A seed that was run twice is no second seed:
    the repetition is a series of its own, labelled with its directory.
    """
    kept = housekeeping(runs)
    recipes: dict[tuple[Any, ...], list[Record]] = {}
    for run in runs:
        options = {  # one that is not set is one that an older program did not have
            k: v for k, v in run.options.items() if k not in kept and v is not None
        }
        key = (run.paper, run.name, run.rule, run.dataset, _text(options))
        copy = 0
        while run.seed in [other.seed for other in recipes.get((*key, copy), [])]:
            copy += 1
        recipes.setdefault((*key, copy), []).append(run)
    known = {"dataset", "data", *(paper_folders.rule_option(run.paper) for run in runs)}
    series = []
    for (*_, copy), members in recipes.items():
        first = members[0]
        same = [other[0] for other in recipes.values() if other[0].rule == first.rule]
        details = differing(same, kept | known)
        parts = [f"{name}={first.options.get(name)}" for name in details]
        if len({run.name for run in same}) > 1:
            parts.insert(0, first.name)
        if copy:
            parts.append(first.path.name)
        series.append(Series(", ".join([first.rule, *parts]), first.rule, tuple(members)))
    return series


def tell_apart(runs: list[Record], titles: list[str], between: str = ", ") -> list[str]:
    """The titles, one a run, with what tells those apart that are alike: the options in which
    these runs differ, else the seed, else the directory."""
    distinct = list(titles)
    places: dict[str, list[int]] = {}
    for place, title in enumerate(titles):
        places.setdefault(title, []).append(place)
    for alike in places.values():
        members = [runs[place] for place in alike]
        names = differing(members, housekeeping(members))
        ways = [[f"{name}={run.options.get(name)}" for name in names] for run in members]
        for more in ([f"seed {run.seed}" for run in members], [str(run.path) for run in members]):
            if len({*map(tuple, ways)}) < len(ways):
                ways = [[*way, word] for way, word in zip(ways, more, strict=True)]
        for place, way in zip(alike, ways, strict=True):
            distinct[place] = between.join([titles[place], *(way if len(alike) > 1 else [])])
    return distinct


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
