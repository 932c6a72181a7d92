"""What the pages say to type: Python blocks, examples in docstrings, command lines.

A page is a README. Its fenced Python blocks are meant to run as they are printed, each on its own;
one that is not says so by Sybil's comment `<!-- skip: next -->` in the line above. Its commands are
whatever begins with `python -m`, `torchrun`, `nox -s` or `pip install`, indented or in backticks.
"""

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from common.files import paper_folders

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", *(path.name for path in paper_folders.folders()))
PAGES = [ROOT / "README.md", *(ROOT / name / "README.md" for name in PACKAGES[1:])]
FRAMEWORKS = ("torch", "torchvision", "tensorflow", "keras", "jax", "neural_tangents")

STARTS = r"python3? -m|python3? [\w/]+\.py|torchrun|nox -s|pip install|cd "
# A command ends where its comment begins, or its backticks.
INDENTED = re.compile(rf"(?m)^ {{4,}}((?:{STARTS}).*?)\s*(?:\s#.*)?$")
PROMPT = re.compile(r"(?m)^ *>>> ")
QUOTED = re.compile(rf"`((?:{STARTS})[^`]*)`")


def short(path: Path) -> str:
    """The path as a test's name has it."""
    return path.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """One fenced Python block of a page; `example` is Sybil's."""

    page: Path
    line: int
    example: Any

    @property
    def id(self) -> str:
        return f"{short(self.page)}:{self.line}"


def blocks() -> list[Block]:
    """Every fenced Python block, in order."""
    examples = []
    sybil = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()])
    for page in PAGES:
        examples += [Block(page, e.line, e) for e in sybil.parse(page).examples()]
    return examples


def commands(page: Path) -> list[str]:
    """The commands of a page, each one once, in the page's order."""
    return commands_in(page.read_text(encoding="utf-8"))


def commands_in(text: str) -> list[str]:
    """The commands of a text, in its order; `a && b` are two."""
    hits = sorted((m.start(), m[1]) for p in (INDENTED, QUOTED) for m in p.finditer(text))
    parts = (part.strip() for _, line in hits for part in re.split(r"&&|;", line))
    return list(dict.fromkeys(part for part in parts if part))


def words(line: str) -> list[str]:
    """A command's words as somebody would type them: `[RUN]` is given, of `a|b` the first, and
    `RUN...` once; text, not a shell's, so `*` stays."""
    parts = shlex.split(line)
    return [re.sub(r"^\[(.*)\]$", r"\1", w).removesuffix("...").split("|")[0] for w in parts]


def modules_with_examples() -> list[Path]:
    """Modules with an example in a docstring."""
    modules = []
    for package in (*PACKAGES, "benchmarks", "tests"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if PROMPT.search(text) and any(map(PROMPT.search, docstrings(path))):
                modules.append(path)
    return modules


def docstrings(path: Path) -> list[str]:
    """The docstrings of a file: the module's, its classes' and functions'."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return [text for text in texts if text]
