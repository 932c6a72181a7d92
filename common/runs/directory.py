"""A run is a directory: choosing it, guarding it, and saying what made it.

config.json        every option, defaults too: all that --resume needs
environment.json   versions, hardware, threads, git commit, checksums of the data and which of them
                   ("unverified") could be compared with no published one
metrics.jsonl      a line an epoch, a line an audit
summary.json       how it ended
checkpoints/  figures/  events.out.tfevents.*
"""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock

import common
from common.errors import ArgumentError, UserError
from common.files import documents
from common.files.paths import home
from common.files.writing import writing
from common.runs import checkpoint
from common.runs.metrics_file import Metrics

__all__ = ["Metrics"]

PACKAGES = (
    "numpy torch torchvision tensorflow keras jax jaxlib neural-tangents scikit-learn safetensors"
).split()
PARTS = ("time", "git_commit", "git_dirty", "command")  # what each part of a resumed run has anew
# Where the bits of a resumed run may come to differ.
EXACT = ("python", "packages", "hardware", "precision", "deterministic", "data")


def resumed(options: Any) -> Path | None:
    """The run that --resume names; None without, and where it names an original's file."""
    given = home(options.resume) if options.resume else None
    return None if given is None or given.is_file() else given


def choose(options: Any, name: str) -> Path:
    """The run's directory: --resume, --out, or the next free runs/<paper>/<name>-<seed>.

    UserError for a resumed run without a checkpoint: to resume is to go on from one.
    """
    if run := resumed(options):
        run = home(run)
        if checkpoint.newest(run) is None:
            raise UserError(
                f"{run}: there is no checkpoint to resume from; nothing there was changed"
            )
        return run
    if options.out:
        return home(options.out)
    base = Path("runs") / options.paper / f"{name}-{options.seed}"
    found, again = base, 1
    while found.exists():
        again += 1
        found = base.with_name(f"{base.name}-{again}")
    return found


def lock(directory: Path) -> filelock.FileLock:
    """Create the directory and hold it; UserError where that cannot be or another process does."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(directory / ".lock")
        held.acquire(blocking=False)
    except filelock.Timeout as error:
        raise UserError(f"{directory}: another process is writing this run") from error
    except OSError as error:
        raise UserError(f"{directory}: cannot be written ({error.strerror})") from error
    return held


def config(options: Any, name: str, dataset: str | None = None) -> dict[str, Any]:
    """What config.json holds; dataset: as in `labels`."""
    return {
        "creditlab": version(),
        "paper": options.paper,
        "script": options.script,
        "name": name,
        "dataset": dataset or options.as_dict().get("dataset"),
        "options": options.as_dict(),
    }


def refuse_another(directory: Path, wanted: dict[str, Any]) -> None:
    """ArgumentError where the directory holds another run, or this one with something to lose."""
    if not (directory / "config.json").exists():
        if checkpoint.newest(directory):
            raise ArgumentError(
                "out",
                f"(={directory}) holds checkpoints of a run whose config.json is missing; choose "
                "another folder",
            )
        return
    held = documents.read(directory / "config.json", documents.CONFIG)
    mine, theirs = _essence(wanted), _essence(held)
    if mine != theirs:
        keys = [k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k)]
        what = sorted(keys)[0]
        raise ArgumentError(
            "out",
            f"(={directory}) holds another run: {what} is "
            f"{theirs.get(what)} there and {mine.get(what)} here; choose another folder",
        )
    if checkpoint.newest(directory):
        raise ArgumentError(
            "out",
            f"(={directory}) already holds this run; "
            f"add --resume {directory} to go on with it, or choose another folder",
        )


def set_aside(directory: Path) -> Path | None:
    """Before a run starts afresh: move the record of an earlier one, whose checkpoints are gone,
    into DIRECTORY/earlier-<n>, which is returned. None where nothing was recorded."""
    names = ("config.json", "environment.json", "metrics.jsonl", "summary.json")
    record = [path for name in names if (path := directory / name).is_file()]
    if not any(path.name in names[2:] and path.stat().st_size for path in record):
        return None  # begun, and killed before its first line
    record += directory.glob("events.out.tfevents.*")
    found, number = directory / "earlier-1", 1
    while found.exists():
        number += 1
        found = directory / f"earlier-{number}"
    with writing(found):
        found.mkdir()
        for path in record:
            path.rename(found / path.name)
    return found


def _essence(document: dict[str, Any]) -> dict[str, Any]:
    """What makes two runs the same one: script and options, not where they are written."""
    passing = {"out", "resume", "allow_change", "quiet"}
    chosen = {k: v for k, v in document.get("options", {}).items() if k not in passing}
    return {"script": document.get("script"), "name": document.get("name"), **chosen}


def rule_of(given: Mapping[str, Any]) -> str | None:
    """The learning rule that a run's options name, whatever its paper calls that option."""
    names = ("rule", "learning_algorithm", "feedback", "algorithm")
    return next((str(given[name]).lower() for name in names if given.get(name)), None)


def labels(options: Any, name: str, dataset: str | None = None) -> dict[str, Any]:
    """What a report needs to tell runs apart; dataset: what was found under the name asked for."""
    given = options.as_dict()
    return {
        "paper": options.paper,
        "script": options.script,
        "name": name,
        "rule": rule_of(given),
        "dataset": dataset or given.get("dataset"),
        "seed": given.get("seed"),
    }


def environment(options: Any, backend: Any, device: Any, data: Any) -> dict:
    """What environment.json holds. data: has `checksums`, and `unverified` where it knows."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "hardware": backend.hardware(device),
        "threads": backend.hardware(device)["threads"],
        "packages": {name: v for name in PACKAGES if (v := _installed(name))},
        "device": str(device),
        "precision": options.precision,
        "deterministic": options.deterministic,
        "data": dict(data.checksums),
        "unverified": sorted(getattr(data, "unverified", data.checksums)),
        **_git(),
        "command": sys.argv,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def record(directory: Path, now: dict[str, Any], resumed_at: int | None) -> list[str]:
    """Write environment.json, at a resume with what has changed since; returns those changes."""
    path, changed = directory / "environment.json", []
    if resumed_at is not None and (before := recorded(directory)):
        changed = differences(before, now)
        entry = {"step": resumed_at, **{key: now.get(key) for key in PARTS}, "differences": changed}
        now = before | {"resumed": [*before.get("resumed", []), entry]}
    checkpoint.write_json(path, now)
    return changed


def recorded(directory: Path) -> dict[str, Any]:
    """environment.json, {} where there is none. UserError where it holds something else."""
    path = directory / "environment.json"
    return documents.read(path, documents.ENVIRONMENT) if path.exists() else {}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What of the environment has changed that may change the bits of a resumed run."""
    found = []
    for key in EXACT:
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            for name in sorted(old.keys() | new.keys()):
                if old.get(name) != new.get(name):
                    found.append(f"{key} {name}: {old.get(name)} then, {new.get(name)} now")
        elif old != new:
            found.append(f"{key}: {old} then, {new} now")
    return found


def version() -> str:
    """creditlab's version."""
    return _installed("creditlab") or "unknown"


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git() -> dict[str, Any]:
    """The commit of the checkout that the code runs from; nothing for an installed wheel."""

    def ask(*arguments: str) -> str | None:
        root = Path(common.__file__).parent.parent
        if not (root / ".git").exists():
            return None
        try:
            command = ["git", "-C", str(root), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None

    commit, status = ask("rev-parse", "HEAD"), ask("status", "--porcelain", "-uno")
    return {
        "git_commit": commit.strip() if commit else None,
        "git_dirty": bool(status) if status is not None else None,
    }
