"""Checkpoints that a crash cannot tear: whole folders, renamed into place, nothing ever unpickled.

RUN/checkpoints/step-00003480/tensors.safetensors   every tensor of the learner, tied ones once
RUN/checkpoints/step-00003480/state.json            all else, and each tensor's shape and dtype
RUN/checkpoints/{last,best}                         relative links, swapped by a rename
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.paths import home

FORMAT = 2


def write_text(path: Path, text: str) -> None:
    """Write a text file so that at any instant the old or the new one is there, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """`write_text` a document as JSON."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file; UserError naming it where it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from error


def save(run: Path, step: int, learner: Any, document: dict, links: tuple[str, ...]) -> Path:
    """Write the learner's state at a step with what the run wants to remember, and link it.

    Returns the checkpoint's folder; checkpoints that no link names any more are removed.
    """
    backend, folder = learner.backend, run / "checkpoints"
    folder.mkdir(exist_ok=True)
    state = learner.state()
    tensors = {n: t for n, t in state.items() if backend.is_tensor(t)} | backend.rng_state()
    first: dict[Any, str] = {}
    stored = {name: first.setdefault(backend.identity(t), name) for name, t in tensors.items()}
    notes = {n: backend.describe(t) | {"stored_as": stored[n]} for n, t in tensors.items()}
    scalars = {n: value for n, value in state.items() if n not in tensors}
    final = _free_name(folder, step)
    temporary = folder / f".writing-{final.name}-{os.getpid()}"
    try:
        temporary.mkdir()
        whole = {name: t for name, t in tensors.items() if stored[name] == name}
        backend.save_tensors(temporary / "tensors.safetensors", whole)
        write_json(
            temporary / "state.json",
            {"format": FORMAT, "run": document, "scalars": scalars, "tensors": notes},
        )
        _sync(temporary / "tensors.safetensors")
        _sync(temporary)
        os.rename(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sync(folder)
    for link in links:
        _point(folder / link, final.name)
    _sync(folder)
    _sweep(folder)
    return final


def newest(run: Path) -> Path | None:
    """The checkpoint that `last` names, else the newest whole one; None where there is none."""
    folder = home(run) / "checkpoints"
    candidates = [folder / "last", *sorted(folder.glob("step-*"), reverse=True)]
    return next((c.resolve() for c in candidates if (c / "state.json").is_file()), None)


def of_run(run: Path, which: str = "best") -> Path:
    """The checkpoint that a run's link `which` ("best", "last") names; UserError without one."""
    folder = home(run) / "checkpoints" / which
    if not (folder / "state.json").is_file():
        raise UserError(f"{folder}: no checkpoint is here")
    return folder


def load(folder: Path, learner: Any) -> dict:
    """Put a checkpoint into the learner and the generators; returns what the run remembered.

    Raises UserError where a name, a shape or a dtype differs, in either direction.
    """
    saved = read_json(folder / "state.json")
    if saved.get("format") != FORMAT:
        raise UserError(f"{folder / 'state.json'}: format {saved.get('format')}, not {FORMAT}")
    backend = learner.backend
    arrays = backend.load_tensors(folder / "tensors.safetensors")
    mine = learner.state()
    notes = {n: note for n, note in saved["tensors"].items() if not n.startswith("rng.")}
    expected = {n: backend.describe(t) for n, t in mine.items() if backend.is_tensor(t)}
    names = notes.keys() | saved["scalars"].keys()
    for name in sorted(names ^ mine.keys()):
        where = "the checkpoint, not in the learner" if name in names else "the learner only"
        raise UserError(f"{folder}: {name} is in {where}")
    for name, note in notes.items():
        if name not in expected:
            raise UserError(f"{folder}: {name} is a tensor in the checkpoint, not in the learner")
        for what in ("shape", "dtype"):
            if note[what] != expected[name][what]:
                here = expected[name][what]
                raise UserError(
                    f"{folder}: {name} has {what} {note[what]}, the learner's is {here}"
                )
    missing = sorted({note["stored_as"] for note in saved["tensors"].values()} - arrays.keys())
    if missing:
        raise UserError(f"{folder / 'tensors.safetensors'}: lacks {missing[0]}")
    whole = {n: arrays[note["stored_as"]] for n, note in saved["tensors"].items()}
    learner.load_state({n: whole[n] for n in notes} | saved["scalars"])
    backend.load_rng_state({n: t for n, t in whole.items() if n.startswith("rng.")})
    return saved["run"]


def _free_name(folder: Path, step: int) -> Path:
    """step-N; with a suffix where the same step is there already (before and after evaluation)."""
    name, again = f"step-{step:08d}", 0
    while (folder / (name + (f"-{again}" if again else ""))).exists():
        again += 1
    return folder / (name + (f"-{again}" if again else ""))


def _point(link: Path, target: str) -> None:
    temporary = link.with_name(f".{link.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)


def _sweep(folder: Path) -> None:
    """Remove checkpoints that nothing names, and what a crashed writer left."""
    named = {link.resolve().name for link in folder.iterdir() if link.is_symlink()}
    for path in folder.iterdir():
        if path.is_symlink() or path.name in named:
            continue
        if path.name.startswith((".writing-", "step-")):
            shutil.rmtree(path, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
