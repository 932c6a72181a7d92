"""What a case is, how it is made from its number, and what is a fault of how it ended."""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.fuzz.programs import PROGRAMS, WEIGHTS

KINDS = ("options", "runs", "data", "weights", "inputs", "disk")
SHARES = (
    "options",
    "runs",
    "data",
    "options",
    "weights",
    "runs",
    "options",
    "data",
    "weights",
    "inputs",
    "runs",
    "disk",
)
"""Whose turn a number is."""

REFUSED, TAKEN, EITHER = "refused", "taken", "either"


@dataclass
class Case:
    """One call.

    expect  REFUSED where the words or a file are certainly wrong, TAKEN where they are certainly
            right, EITHER where it depends
    keep    a run directory that a refusal must leave as it is
    """

    kind: str
    module: str
    words: list[str]
    expect: str
    note: str
    folder: Path
    keep: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    patches: list[Callable[[], None]] = field(default_factory=list)
    skipped: str = ""

    def write(self, folder: Path) -> None:
        """What the check needs, before the program starts."""
        about: dict[str, Any] = {
            name: getattr(self, name) for name in "kind module words expect note skipped".split()
        }
        about["keep"] = str(self.keep) if self.keep else None
        about["held"] = held(self.keep) if self.keep else {}
        (folder / "case.json").write_text(json.dumps(about))


def plan(seed: int, number: int, kinds: tuple[str, ...] = KINDS) -> tuple[str, str]:
    """Kind and program of a case."""
    shares = [kind for kind in SHARES if kind in kinds]
    kind = shares[number % len(shares)]
    chance = random.Random(f"{seed}/{number}/program")
    programs = import_module(f"tests.fuzz.{kind}").programs()
    return kind, chance.choice(programs)


def build(task: dict[str, Any]) -> Case:
    """The case of a task: {seed, number, kind, module, folder, stock}; or, with `words`, itself."""
    folder = Path(task["folder"])
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    if "words" in task:
        return Case("stock", task["module"], task["words"], TAKEN, "a plain run", work)
    chance = random.Random(f"{task['seed']}/{task['number']}")
    maker = import_module(f"tests.fuzz.{task['kind']}").make
    return maker(chance, task["module"], work, Path(task["stock"]))


def plain(module: str, work: Path, stock: Path, weights: Path | None = None) -> list[str]:
    """A program's words with its places filled in."""
    words = PROGRAMS[module].words
    assert words is not None
    paper = module.split(".")[0]
    run = {
        "asap": "asap.train",
        "brainprop": "brainprop.main",
        "burstprop": "burstprop.train_mnist",
    }
    places = {
        "out": work / "run",
        "work": work,
        "images": stock / "images",
        "archive": stock / "tiny.zip",
        "weights": weights or WEIGHTS.get(module, Path()),
        "runs": stock / run.get(paper, "asap.train"),
    }
    return [word.format(**places) for word in words.split()]


def held(folder: Path) -> dict[str, str]:
    """Every file of a folder by the hash of its content; locks are no part of a run."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock")
    return {str(p): hashlib.md5(p.read_bytes()).hexdigest() for p in files}


def faults(case: dict[str, Any], ended: dict[str, Any], out: str, err: str) -> list[str]:
    """What is wrong with how a case ended."""
    code, faults_seen = ended["code"], []
    if code is None:
        return ["hangs"]
    if code < 0 or code not in (0, 1, 2, 130):
        faults_seen.append(f"ends with {code}")
    if "Traceback (most recent call last)" in out + err:
        faults_seen.append("traceback: " + err.strip().splitlines()[-1][:200])
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    if code and not faults_seen and len(lines) != 1:
        faults_seen.append(f"exit code {code} with {len(lines)} lines of error")
    if not code and lines:
        faults_seen.append(f"exit code 0 and {lines[0][:160]!r}")
    if case["expect"] == REFUSED and not code:
        faults_seen.append("silent acceptance")
    if case["expect"] == TAKEN and code and not faults_seen:
        faults_seen.append(f"refused: {lines[0][:200]}")
    if case["keep"] and code == 2 or case["keep"] and code == 1 and case["expect"] == REFUSED:
        after = held(Path(case["keep"]))
        changed = sorted(
            p for p in after.keys() | case["held"].keys() if after.get(p) != case["held"].get(p)
        )
        if changed:
            faults_seen.append(f"refused, but changed {Path(changed[0]).name}")
    return faults_seen
