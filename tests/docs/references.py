"""References from code and pages to docs/papers, and what those pages offer to refer to.

A reference is `(burstprop, 5.1)`: a paper and sections of its page, or `(burstprop, D7, D8)`: rows
of its table of defects. S3Net's studies are parts of its page: `(s3net, ntk 5)`. In the files of
one paper D7 may also stand alone.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.docs.pages import ROOT

PAPERS = sorted(path.parent.name for path in ROOT.glob("*/paper.toml"))
PARTS = ("cifar100", "tinyimagenet", "imagenet", "ntk", "interpretability")

SECTION = rf"(?:(?:{'|'.join(PARTS)}) )?\d+(?:\.\d+)*"
DEFECT = r"[A-Z]\d+"
REFERENCE = re.compile(rf"\(({'|'.join(PAPERS)}),\s((?:{'|'.join(PARTS)}|[A-Z]?\d)[^()]*)\)")
BARE = re.compile(r"(?<![\w(])D\d+\b")
# What references looked like before there were pages to follow them to.
LOST = re.compile(
    r"(?i)\bspecification|\bdefects? \d|\bdefects? D\d|\bsections? \d+(?:\.\d+)* (?:of|says)|§"
    r"|\bs3net(?:_\w+)?\.md\b(?<!papers/s3net\.md)"
)

HEADING = re.compile(rf"(?m)^#{{2,4}} ({SECTION}) \S")
STEP = re.compile(r"(?m)^\*\*(\d+(?:\.\d+)+)\*\* \S")
ROW = re.compile(rf"(?m)^\| ({DEFECT}) \|(.*)\|$")


def page(paper: str) -> Path:
    """Where the paper is explained."""
    return ROOT / "docs" / "papers" / f"{paper}.md"


@cache
def text_of(paper: str) -> str:
    """Its page's text."""
    return page(paper).read_text(encoding="utf-8")


def sections(text: str) -> set[str]:
    """Numbers of a page's sections and steps, with the part where there is one."""
    return {*HEADING.findall(text), *STEP.findall(text)}


def defects(text: str) -> dict[str, set[str]]:
    """Number of a defect -> the switches of its row, as options: --fa-feedback."""
    return {
        number: set(re.findall(r"`(--[\w-]+)`", row.split("|")[2]))
        for number, row in ROW.findall(text)
    }


def flat(text: str) -> str:
    """The text as one line, without the # of comments that go on."""
    return re.sub(r"\s+(?:# )?", " ", text)


def references(text: str) -> Iterator[tuple[str, str]]:
    """Paper and section or defect of every reference; a line's end and its # may stand inside."""
    for paper, items in REFERENCE.findall(flat(text)):
        for item in items.split(", "):
            yield paper, item.strip()


def unresolved(text: str, paper: str | None) -> list[str]:
    """References in a text that lead nowhere; paper: whose file it is, if one's."""
    missing = []
    for name, item in references(text):
        known = defects(text_of(name)).keys() | sections(text_of(name))
        missing += [] if item in known else [f"({name}, {item})"]
    for bare in BARE.findall(REFERENCE.sub("", flat(text))):
        if paper and bare not in defects(text_of(paper)):
            missing.append(f"{bare} ({paper})")
    return missing


def owner(path: Path) -> str | None:
    """The paper that a file is about, by its folder or, in tests, its name."""
    name = path.relative_to(ROOT)
    if name.parts[0] in PAPERS:
        return name.parts[0]
    of = [paper for paper in PAPERS if paper in name.as_posix()]
    return of[0] if len(of) == 1 else None


@cache
def files() -> list[Path]:
    """Every .py, .md and .toml of the repository, apart from what builds and runs leave."""
    paths = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in ("common", "benchmarks", "tests", "docs", *PAPERS):
        paths += (ROOT / folder).rglob("*")
    return sorted(path for path in paths if path.suffix in (".py", ".md", ".toml"))


def switches(paper: str) -> Iterator[tuple[str, str]]:
    """Defect and option of every field made by `switch(...)` in a paper's folder: two defects of
    one field come as two."""
    for path in sorted((ROOT / paper).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.value, ast.Call):
                continue
            if getattr(node.value.func, "id", "") != "switch":
                continue
            words = {word.arg: word.value for word in node.value.keywords}
            option = "--" + ast.unparse(node.target).replace("_", "-")
            for defect in ast.literal_eval(words["defect"]).split(", "):
                yield defect, option
