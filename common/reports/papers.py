"""The paper folders, as their `paper.toml` files describe them.

A paper is a top-level package that holds a `paper.toml`:

    title = "..."            authors = "..."        venue = "..."       year = 2019
    doi = "..."  or  arxiv = "..."                  rule = "the rule in one line"
    framework = "TensorFlow and PyTorch"            command = "python -m ..."
    our_row = "id in targets.csv of the number that the main README shows, or empty"
    backprop = ["ebp"]       # optional: what its runs call backprop as a rule; default ["bp"]
    rule_option = "feedback" # optional: the option that names a run's rule; default "rule"
    housekeeping = ["save"]    # optional: options of its scripts that change nothing that is learnt

    [[demo]]                 # any number: the runs of `python -m common.demo`
    label = "LRA-E"          rule = "lra_e"         # rule "bp" is the backprop baseline
    module = "lra_e.mnist.mnist_torch"              args = ["--data", "digits"]
    needs = ["torch"]        # optional: modules to import; default: every framework of the paper

`common` knows no paper by name: everything here is found by looking at the folders.
"""

import importlib.util
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from common.errors import UserError, unknown
from common.files.paper_folders import content, folders, root

__all__ = ["Demo", "Paper", "backprop_rules", "choose", "find_papers", "read_paper", "root"]

IMPORT_NAMES = {"PyTorch": "torch", "TensorFlow": "tensorflow", "JAX": "jax"}


@dataclass(frozen=True)
class Demo:
    """One run of the demo: `python -m module *args`."""

    label: str
    rule: str
    module: str
    args: tuple[str, ...]
    needs: tuple[str, ...]

    def missing(self) -> list[str]:
        """The modules this run needs that are not installed (nothing is imported)."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


@dataclass(frozen=True)
class Paper:
    """A paper folder: `name` is the folder's (and the package's) name."""

    name: str
    folder: Path
    title: str
    rule: str
    framework: str
    command: str
    authors: str = ""
    venue: str = ""
    year: int | str = ""
    doi: str = ""
    arxiv: str = ""
    our_row: str = ""
    backprop: tuple[str, ...] = ("bp",)
    rule_option: str = "rule"
    housekeeping: tuple[str, ...] = ()
    demo: tuple[Demo, ...] = ()

    @property
    def citation(self) -> str:
        """Authors, venue, year and identifier in one line, whichever are known."""
        place = f"{self.venue} {self.year}".strip()
        identifier = f"doi:{self.doi}" if self.doi else f"arXiv:{self.arxiv}" if self.arxiv else ""
        return " · ".join(part for part in (self.authors, place, identifier) if part)


def find_papers(folder: Path | None = None) -> list[Paper]:
    """Every paper below `folder` (see `paper_folders.folders`). UserError on a bad file."""
    return [read_paper(path) for path in folders(folder or root())]


def backprop_rules() -> set[str]:
    """What the papers' runs call backprop, the baseline of all other rules."""
    return {rule for paper in find_papers() for rule in paper.backprop}


def choose(names: tuple[str, ...] | list[str], folder: Path | None = None) -> list[Paper]:
    """The papers with these names (none given: all); UsageError for a name that is no paper."""
    papers = {paper.name: paper for paper in find_papers(folder)}
    for name in names:
        if name not in papers:
            raise unknown("paper", name, papers)
    return [paper for paper in papers.values() if not names or paper.name in names]


def read_paper(folder: Path) -> Paper:
    """Read `folder/paper.toml`. UserError names the file and the key that is wrong."""
    path, facts = folder / "paper.toml", content(folder)
    allowed = {field.name for field in fields(Paper)} - {"name", "folder"}
    _check(path, "", facts, allowed, {"title", "rule", "framework", "command"})
    lists = {
        name: facts.pop(name, list(getattr(Paper, name))) for name in ("backprop", "housekeeping")
    }
    for name, given in lists.items():
        if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
            raise UserError(f"{path}: {name!r} must be a list of texts")
    if not isinstance(facts.get("rule_option", ""), str):
        raise UserError(f"{path}: 'rule_option' must be a text")
    frameworks = [module for name, module in IMPORT_NAMES.items() if name in facts["framework"]]
    demos = []
    for number, entry in enumerate(facts.pop("demo", []), start=1):
        where = f"demo {number}: "
        _check(path, where, entry, {f.name for f in fields(Demo)}, {"label", "rule", "module"})
        args = tuple(str(arg) for arg in entry.get("args", []))
        needs = tuple(entry.get("needs", frameworks))
        demos.append(Demo(entry["label"], entry["rule"], entry["module"], args, needs))
    facts |= {name: tuple(given) for name, given in lists.items()}
    return Paper(name=folder.name, folder=folder, demo=tuple(demos), **facts)


def _check(path: Path, where: str, table: dict[str, Any], allowed: set[str], must: set[str]):
    for key in table:
        if key not in allowed:
            names = ", ".join(sorted(allowed))
            raise UserError(f"{path}: {where}{key!r} is no key of a paper; keys are {names}")
    for key in sorted(must):
        if not isinstance(table.get(key), str) or not table[key].strip():
            raise UserError(f"{path}: {where}{key!r} must be a non-empty text")
