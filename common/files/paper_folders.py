"""Where the papers are, and what a run must know of one: a paper is a folder with a `paper.toml`.

`common` knows no paper by name. `common.reports.papers` says what stands in a paper.toml.
"""

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from common.errors import UserError


def root() -> Path:
    """The folder that holds `common` and the papers (the checkout, or site-packages)."""
    return Path(__file__).resolve().parents[2]


def folders(folder: Path | None = None) -> list[Path]:
    """The papers' folders below `folder`, by name (default: ours).

    Of `root()` they are all that is in a checkout, and in site-packages, where anybody's folder may
    hold a `paper.toml`, those that were installed together with `common`.
    """
    folder = folder or root()
    papers = [path for path in sorted(folder.iterdir()) if (path / "paper.toml").is_file()]
    own = _installed() if folder == root() else set()
    return [path for path in papers if not own or path.name in own]


def _installed() -> set[str]:
    """The papers of the distribution that brought this file; none in a checkout, which is found by
    a path, so that no distribution lists this file."""
    try:
        files = metadata.files("creditlab") or []
    except metadata.PackageNotFoundError:
        return set()
    here = Path(__file__).resolve()
    if not any(Path(str(file.locate())).resolve() == here for file in files):
        return set()
    return {file.parts[0] for file in files if file.name == "paper.toml"}


def content(folder: Path) -> dict[str, Any]:
    """What `folder/paper.toml` holds. UserError where it cannot be read."""
    path = folder / "paper.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: {error}") from None


def rule_option(paper: str) -> str:
    """The option by which this paper's scripts name the learning rule: its paper.toml's
    `rule_option`, or `rule`, which is also that of programs that belong to no paper."""
    option = _facts(paper).get("rule_option")
    return option if isinstance(option, str) else "rule"


def housekeeping(paper: str) -> frozenset[str]:
    """The options of this paper's scripts that change nothing that is learnt, beside those that
    all training scripts have."""
    options = _facts(paper).get("housekeeping")
    return frozenset(options) if isinstance(options, list) else frozenset()


@cache
def _facts(paper: str) -> dict[str, Any]:
    """What one of our papers says of itself; nothing where there is none of that name."""
    return next((content(path) for path in folders() if path.name == paper), {})
