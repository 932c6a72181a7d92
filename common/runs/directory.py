"""A run is a directory: choosing it, guarding it, and saying what is in it.

config.json        every option, defaults too: all that --resume needs
environment.json   versions, hardware, threads, git commit, checksums of the data and which of them
                   ("unverified") could be compared with no published one
metrics.jsonl      a line an epoch, a line an audit
summary.json       how it ended
checkpoints/  figures/  events.out.tfevents.*
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock

from common.errors import ArgumentError, UserError
from common.files import documents, paper_folders
from common.files.paths import home
from common.files.writing import writing
from common.runs import checkpoint
from common.runs.environment import version
from common.runs.settings import RunSettings

Configuration = Mapping[str, Any]  # name -> value of every option, as JSON has it


def resumed(settings: RunSettings) -> Path | None:
    """The run that --resume names; None without, and where it names an original's file."""
    given = home(settings.resume) if settings.resume else None
    return None if given is None or given.is_file() else given


def choose(settings: RunSettings, name: str) -> Path:
    """The run's directory: --resume, --out, or the next free runs/<paper>/<name>-<seed>.

    UserError for a resumed run without a checkpoint: to resume is to go on from one.
    """
    if run := resumed(settings):
        run = home(run)
        if checkpoint.newest(run) is None:
            raise UserError(
                f"{run}: there is no checkpoint to resume from; nothing there was changed"
            )
        return run
    if settings.out:
        return home(settings.out)
    base = Path("runs") / settings.paper / f"{name}-{settings.seed}"
    free, again = base, 1
    while free.exists():
        again += 1
        free = base.with_name(f"{base.name}-{again}")
    return free


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


def config(
    settings: RunSettings, configuration: Configuration, name: str, dataset: str | None = None
) -> dict[str, Any]:
    """What config.json holds; configuration: every option; dataset: as in `labels`."""
    return {
        "creditlab": version(),
        "paper": settings.paper,
        "script": settings.script,
        "name": name,
        "dataset": dataset or configuration.get("dataset"),
        "options": dict(configuration),
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
    aside, number = directory / "earlier-1", 1
    while aside.exists():
        number += 1
        aside = directory / f"earlier-{number}"
    with writing(aside):
        aside.mkdir()
        for path in record:
            path.rename(aside / path.name)
    return aside


def _essence(document: dict[str, Any]) -> dict[str, Any]:
    """What makes two runs the same one: script and options, not where they are written."""
    passing = {"out", "resume", "allow_change", "quiet"}
    chosen = {k: v for k, v in document.get("options", {}).items() if k not in passing}
    return {"script": document.get("script"), "name": document.get("name"), **chosen}


def rule_of(paper: str, given: Mapping[str, Any]) -> str | None:
    """The learning rule that the options of a paper's run name, whatever it calls that option."""
    name = given.get(paper_folders.rule_option(paper))
    return str(name).lower() if name else None


def labels(
    settings: RunSettings, configuration: Configuration, name: str, dataset: str | None = None
) -> dict[str, Any]:
    """What a report needs to tell runs apart; dataset: what was found under the name asked for."""
    return {
        "paper": settings.paper,
        "script": settings.script,
        "name": name,
        "rule": rule_of(settings.paper, configuration),
        "dataset": dataset or configuration.get("dataset"),
        "seed": settings.seed,
    }
