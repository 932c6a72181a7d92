"""Checkpoints that a crash cannot tear: whole folders, renamed into place, nothing ever unpickled.

RUN/checkpoints/step-00003480/tensors.safetensors   every tensor of the learner, tied ones once
RUN/checkpoints/step-00003480/state.json            all else, each tensor's shape and dtype, and
                                                    the MD5 of the file of tensors
RUN/checkpoints/{last,best}                         relative links, swapped by a rename
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from common.backends.protocols import Learner
from common.errors import UserError
from common.files import documents
from common.files.paths import home
from common.files.writing import sync, write_json, writing

FORMAT = 2


def save(run: Path, step: int, learner: Learner, document: dict, links: tuple[str, ...]) -> Path:
    """Write the learner's state at a step with what the run wants to remember, and link it.

    Returns the checkpoint's folder; checkpoints that no link names any more are removed.
    """
    backend, folder = learner.backend, run / "checkpoints"
    state = learner.state()
    tensors = {n: t for n, t in state.items() if backend.is_tensor(t)} | backend.rng_state()
    first: dict[Any, str] = {}
    stored = {name: first.setdefault(backend.identity(t), name) for name, t in tensors.items()}
    notes = {n: backend.describe(t) | {"stored_as": stored[n]} for n, t in tensors.items()}
    scalars = {n: value for n, value in state.items() if n not in tensors}
    document = {"format": FORMAT, "run": document, "scalars": scalars, "tensors": notes}
    with writing(folder):
        folder.mkdir(exist_ok=True)
        final = _free_name(folder, step)
        temporary = folder / f".writing-{final.name}-{os.getpid()}"
        # A killed process with the same number (in a container each is 1) may have left its own.
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            kept = {name: t for name, t in tensors.items() if stored[name] == name}
            backend.save_tensors(temporary / "tensors.safetensors", kept)
            document["md5"] = _md5(temporary / "tensors.safetensors")
            write_json(temporary / "state.json", document)
            sync(temporary / "tensors.safetensors")
            sync(temporary)
            os.rename(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync(folder)
        for link in links:
            _point(folder / link, final.name)
        sync(folder)
        _sweep(folder)
    return final


def newest(run: Path) -> Path | None:
    """The checkpoint that `last` names, else the newest whole one; None where there is none."""
    folder = home(run) / "checkpoints"
    candidates = [folder / "last", *sorted(folder.glob("step-*"), reverse=True)]
    return next((c.resolve() for c in candidates if (c / "state.json").is_file()), None)


def of_run(run: Path, which: str = "best") -> Path:
    """The checkpoint that a run's link `which` ("best", "last") names; UserError without one, or
    where its tensors are not those that were written."""
    folder = home(run) / "checkpoints" / which
    if not (folder / "state.json").is_file():
        raise UserError(f"{folder}: no checkpoint is here")
    _verify(folder, documents.read(folder / "state.json", documents.loose(md5=documents.TEXT)))
    return folder


def load(folder: Path, learner: Learner) -> dict:
    """Put a checkpoint into the learner and the generators; returns what the run remembered.

    Raises UserError where a name, a shape or a dtype differs, in either direction, and where the
    tensors are not those that were written.
    """
    file, tensors = folder / "state.json", folder / "tensors.safetensors"
    saved = documents.read(file, documents.state(FORMAT))
    _verify(folder, saved)
    backend = learner.backend
    arrays = backend.load_tensors(tensors)
    mine = learner.state()
    scalars, notes = saved["scalars"], saved["tensors"]
    names = {n for n in notes if not n.startswith("rng.")} | scalars.keys()
    for name in sorted(names ^ mine.keys()):
        where = "the checkpoint, not in the learner" if name in names else "the learner only"
        raise UserError(f"{folder}: {name} is in {where}")
    expected = {n: backend.describe(t) for n, t in mine.items() if backend.is_tensor(t)}
    generators = {n: backend.describe(t) for n, t in backend.rng_state().items()}
    # A device that the checkpoint's machine had not keeps its generator.
    for name in sorted(generators.keys() - notes.keys()):
        if ".cuda" not in name:
            raise UserError(f"{file}: tensors.{name} is missing")
    for name, note in notes.items():
        here = expected.get(name) or generators.get(name)
        if here is None and name in mine:
            raise UserError(f"{folder}: {name} is a tensor in the checkpoint, not in the learner")
        if note["stored_as"] not in arrays:
            raise UserError(f"{tensors}: lacks {note['stored_as']}")
        there = backend.describe(arrays[note["stored_as"]])
        for what in ("shape", "dtype"):
            for held in (note, there):
                if here is not None and held[what] != here[what]:
                    raise UserError(
                        f"{folder}: {name} has {what} {held[what]}, the learner's is {here[what]}"
                    )
    for name, value in scalars.items():
        if name in expected or not _alike(value, mine[name]):
            raise UserError(f"{file}: scalars.{name} (={value}) is not like {mine[name]!r:.60}")
    whole = {n: arrays[note["stored_as"]] for n, note in notes.items()}
    learner.load_state({n: t for n, t in whole.items() if n in mine} | scalars)
    backend.load_rng_state({n: t for n, t in whole.items() if n.startswith("rng.")})
    return saved["run"]


def _md5(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, _new_md5).hexdigest()


def _new_md5() -> Any:
    return hashlib.md5(usedforsecurity=False)  # for damage, not for forgery


def _verify(folder: Path, saved: dict[str, Any]) -> None:
    """UserError where tensors.safetensors is not the file that state.json was written beside. An
    older checkpoint does not know its MD5."""
    file, known = folder / "tensors.safetensors", saved.get("md5")
    try:
        actual = known and _md5(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error})") from None
    if actual != known:
        raise UserError(f"{file}: MD5 is {actual}, not {known} as written: damaged")


def _alike(value: Any, mine: Any) -> bool:
    """Whether a scalar from a file can take the place of the learner's: of one type, a number
    finite; anything where the learner has None, for what it does not know yet."""
    if mine is None:
        return True
    if isinstance(mine, int | float) and not isinstance(mine, bool):
        whole = isinstance(mine, int) and not isinstance(value, int)
        return documents.NUMBER.fits(value) and not whole
    return isinstance(value, list if isinstance(mine, tuple) else type(mine))


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
