"""Looks for a folder that hides ours: `common` is a name that people give to packages of their own.

Every paper's `__init__` runs this file by its path, since a hidden package cannot be imported:
`python -m asap.train` puts the current folder before the installed project on Python's path, so
that `asap` is ours and `common` is the folder's. A program then ends with one line, exit code 1; a
program of somebody else's that imports a paper gets an ImportError.
"""

import importlib.util
import sys
from pathlib import Path

OURS = Path(__file__).resolve().parent


def other() -> Path | None:
    """What `import common` finds where that is not ours: a folder, or a file common.py."""
    try:
        spec = importlib.util.find_spec("common")
    except ValueError:  # imported by a program that left no trace of where from
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
    paths = [Path(place).resolve() for place in places]
    return None if OURS in paths else paths[0]


def _is_program(words: list[str]) -> bool:
    """Whether Python was started as `python -m PAPER.…`."""
    module = words[words.index("-m") + 1 :][:1] if "-m" in words else []
    package = module[0].partition(".")[0] if module else ""
    return bool(package) and (OURS.parent / package / "paper.toml").is_file()


def refuse() -> None:
    """SystemExit, in one line, where a paper's program starts; ImportError elsewhere."""
    package = other()
    if package is None:
        return
    problem = (
        f"{package} hides creditlab's own package 'common': rename it, start from another folder, "
        "or leave the current one off Python's path (python -P -m ...)"
    )
    if _is_program(sys.orig_argv):
        sys.exit(f"error: {problem}")
    raise ImportError(problem, name="common")


refuse()
