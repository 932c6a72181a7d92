"""What no committed file may hold."""

import ast
import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Split up, so that this file does not hold them either.
HOSTS = "|".join(("py" + r"pi\.org", "python" + "hosted", "npm" + r"js\.", "deb" + r"\.debian"))
MACHINE = r"(?<![\w.])/(?:" + "|".join(("wor" + "k", "roo" + "t", "hom" + "e")) + r")/[a-z]"


def committed() -> list[Path]:
    try:
        words = ["git", "-C", str(ROOT), "ls-files", "-z"]
        listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize(("what", "pattern"), [("a registry host", HOSTS), ("a path", MACHINE)])
def test_no_committed_text_names(what, pattern):
    """Hosts and folders of one place do not exist in another."""
    places = []
    for path in committed():
        data = path.read_bytes()
        if b"\0" not in data:
            text = data.decode(errors="replace")
            places += [f"{path.relative_to(ROOT)}: {m.group()}" for m in re.finditer(pattern, text)]
    assert not places, f"{what}: {places[:5]}"


def test_every_large_file_is_meant_to_be_one():
    """A run directory or a data set that slipped into a commit stays in the history for good."""
    large = [p for p in committed() if p.stat().st_size > 3 << 20]
    assert not large


@pytest.mark.parametrize("package", ["asap", "burstprop"])
def test_names_that_are_fetched_when_asked_for_have_their_types(package: str) -> None:
    """An editor, or somebody's mypy, that sees `Any` where a class is: a name in one list only."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    typed = {
        (alias.asname, node.module)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == set(importlib.import_module(package)._HOME.items())
    assert (ROOT / package / "py.typed").exists()
