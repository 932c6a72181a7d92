"""Run directories that were edited, cut, thinned out, and are resumed or read."""

import os
import random
import shutil
from pathlib import Path

from tests.fuzz import edits
from tests.fuzz.case import EITHER, REFUSED, TAKEN, Case, plain
from tests.fuzz.programs import TRAINERS, WORKING

READERS = ("common.report", "common.curves", "asap.alignment", "brainprop.curves", "burstprop.fig5")
EVALUATES = {
    "asap.eval": "asap.train",
    "brainprop.evaluate": "brainprop.main",
    "burstprop.evaluate": "burstprop.train_mnist",
    "lra_e.evaluate": "lra_e.mnist.mnist_torch",
    "s3net.tinyimagenet.eval": "s3net.tinyimagenet.train",
}
DOCUMENTS = ("config.json", "environment.json", "summary.json", "checkpoints/last/state.json")
FILES = (*DOCUMENTS, "metrics.jsonl", "checkpoints/last/tensors.safetensors")


def programs() -> list[str]:
    """Every trainer, twice as often as those that only read runs."""
    return [*TRAINERS, *TRAINERS, *READERS, *(name for name in EVALUATES if name in WORKING)]


def make(chance: random.Random, module: str, work: Path, stock: Path) -> Case:
    """A copy of a whole run, changed in one place."""
    resumes = module in TRAINERS
    source = module if resumes else EVALUATES.get(module) or _read_by(chance, module)
    run = work / "run"
    shutil.copytree(stock / source, run, symlinks=True)
    if resumes:
        words = _resume(chance, run)
    elif module in EVALUATES:
        words = [str(run) if w == "W" else w for w in plain(module, work, stock, Path("W"))]
    else:
        words = [w for w in plain(module, work, stock) if not w.startswith(str(stock))]
        words = [str(run), *words]
    note, certain = _change(chance, run, resumes)
    expect = REFUSED if certain else TAKEN if note == "whole" else EITHER
    return Case("runs", module, words, expect, note, work, keep=run if resumes else None)


def _read_by(chance: random.Random, module: str) -> str:
    own = {
        "asap": "asap.train",
        "brainprop": "brainprop.main",
        "burstprop": "burstprop.train_mnist",
    }
    return own.get(module.split(".")[0]) or chance.choice(sorted(own.values()))


def _resume(chance: random.Random, run: Path) -> list[str]:
    epochs = [] if chance.random() < 0.2 else ["--epochs", "2", "--allow-change", "epochs"]
    return ["--resume", str(run), *epochs]


def _change(chance: random.Random, run: Path, resumes: bool) -> tuple[str, bool]:
    """Change a run; what was done, and whether a resume certainly cannot go on from it."""
    what = chance.choice(
        ("json", "json", "json", "bytes", "gone", "folder", "link", "whole", "metrics", "locked")
    )
    if what == "json":
        return edits.json_file(chance, run / chance.choice(DOCUMENTS)), False
    if what == "bytes":
        name = chance.choice(FILES)
        note, broken = edits.bytes_file(chance, run / name)
        # A summary is written anew; and of metrics that are cut the rest may be whole lines.
        needed = name not in ("summary.json", "metrics.jsonl")
        return note, broken and needed and resumes
    if what == "gone":
        name = chance.choice((*FILES, "checkpoints", "checkpoints/last"))
        path = run / name
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path)
        certain = name in ("config.json", "checkpoints", "metrics.jsonl", FILES[-1], DOCUMENTS[-1])
        if name == DOCUMENTS[-1] and _steps(run) > 1:
            certain = False
        return f"{name} is gone", certain and resumes
    if what == "folder":
        name = chance.choice(FILES[:1] + FILES[3:])
        (run / name).unlink()
        (run / name).mkdir()
        return f"{name} is a folder", resumes and (name != DOCUMENTS[-1] or _steps(run) < 2)
    if what == "link":
        (run / "checkpoints/last").unlink()
        os.symlink(chance.choice(("nowhere", "last", "../..")), run / "checkpoints/last")
        return "checkpoints/last leads astray", False
    if what == "metrics":
        path = run / "metrics.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        at = chance.randrange(len(lines))
        lines[at] = chance.choice((b"", b"\xff\xfe\n", b"{}\n", b"[]\n", b"\x00" * 9, b'{"kind"\n'))
        path.write_bytes(b"".join(lines))
        return f"metrics.jsonl, line {at + 1} is {lines[at]!r}", resumes
    if what == "locked":
        (run / ".lock").unlink(missing_ok=True)
        (run / ".lock").mkdir()
        return ".lock is a folder", resumes
    return "whole", False


def _steps(run: Path) -> int:
    return len(list((run / "checkpoints").glob("step-*")))
