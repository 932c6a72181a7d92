"""A folder with a package `common` of its own hides ours from `python -m PAPER...`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.test_arrows import PAPERS, ROOT, SCRIPTS, name_of


def python(*words: str, cwd: Path, first: Path | None = None) -> subprocess.CompletedProcess:
    """Python there, this checkout installed as a package is: behind the current folder."""
    paths = [str(path) for path in (first, ROOT) if path is not None]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=cwd, env=environment
    )


def make(kind: str, folder: Path) -> Path:
    """A `common` of somebody's; what of it the message names."""
    if kind == "module":
        (folder / "common.py").write_text("mine = 1\n")
        return folder / "common.py"
    (folder / "common").mkdir()
    (folder / "common" / "__init__.py").write_text("")
    return folder / "common"


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_every_script_says_so_in_one_line(path: Path, tmp_path: Path):
    """ "No module named 'common.cli.switches'" sends people to reinstall what is installed."""
    package = make("package", tmp_path)
    done = python("-m", name_of(path), "--help", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {package} hides creditlab's own package 'common': ")
    for way_out in ("rename it", "another folder", "python -P -m"):
        assert way_out in done.stderr


@pytest.mark.parametrize("paper", PAPERS)
def test_the_ways_out_lead_out(paper: str, tmp_path: Path):
    """A hint that does not help is worse than none."""
    script = next(name_of(path) for path in SCRIPTS if name_of(path).startswith(f"{paper}."))
    package = make("module", tmp_path)
    assert python("-m", script, "--help", cwd=tmp_path).stderr.startswith(f"error: {package} hides")
    assert python("-P", "-m", script, "--help", cwd=tmp_path).returncode == 0
    package.rename(tmp_path / "shared.py")
    assert python("-m", script, "--help", cwd=tmp_path).returncode == 0


def test_a_program_of_ones_own_gets_an_import_error(tmp_path: Path):
    """A library must not end its user's process."""
    package = make("package", tmp_path)
    code = """
import common
try:
    import asap
except ImportError as error:
    print(error, error.name)
"""
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{package} hides creditlab's own package 'common'")


def test_a_folder_named_common_without_modules_hides_nothing(tmp_path: Path):
    """Data and texts lie in folders of that name too: they are in nobody's way."""
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "notes.txt").write_text("mine")
    assert python("-m", "asap.train", "--help", cwd=tmp_path).returncode == 0


def test_the_check_is_one_piece_of_code_in_every_paper():
    """Five copies of a check are five that age."""
    calls = {(ROOT / paper / "__init__.py").read_text().count("hidden.py") for paper in PAPERS}
    assert calls == {1}
