"""`pip install -r requirements.txt`, the originals' first command, in a folder and above."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import PACKAGES, ROOT

# A rule of one's own has no original page that promised this.
PAPERS = [paper for paper in PACKAGES[1:] if (ROOT / paper / "requirements.txt").is_file()]
FILES = [f"{paper}/requirements.txt" for paper in PAPERS] + ["brainprop/Requirements.txt"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def would_install(files: list[str], cwd: Path, report: Path) -> list[dict]:
    """What pip would install: no download, nothing built but the project's own metadata."""
    words = ["install", "--dry-run", "--no-deps", "--no-index", "--no-build-isolation"]
    words += ["--ignore-installed", "--disable-pip-version-check", "--report", str(report)]
    words += [word for file in files for word in ("-r", file)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(report.read_text())["install"]


def is_the_project(distribution: dict, extras: list[str]) -> None:
    """Checked out here, editable, with these extras."""
    assert distribution["metadata"]["name"] == PROJECT["name"]
    assert distribution["metadata"]["version"] == PROJECT["version"]
    assert set(distribution["metadata"]["provides_extra"]) == set(PROJECT["optional-dependencies"])
    assert distribution["requested_extras"] == extras
    assert distribution["download_info"]["dir_info"]["editable"] is True


@pytest.mark.parametrize("file", FILES)
def test_requirements_install_the_project_from_a_papers_folder(file: str, tmp_path: Path) -> None:
    """`-e .` is a path from where pip was started: in the paper's folder there was no project."""
    path = ROOT / file
    (distribution,) = would_install([path.name], path.parent, tmp_path / "report.json")
    is_the_project(distribution, [path.parent.name.replace("_", "-")])


def test_requirements_install_the_project_from_the_root(tmp_path: Path) -> None:
    """All of them at once, as somebody would who wants every paper."""
    (distribution,) = would_install(FILES, ROOT, tmp_path / "report.json")
    is_the_project(
        distribution, sorted({Path(file).parent.name.replace("_", "-") for file in FILES})
    )


def test_each_papers_folder_builds_in_the_same_way() -> None:
    """A copy that drifts away installs something else in one folder of five."""
    for name in ("pyproject.toml", "the_folder_above.py"):
        assert len({(ROOT / paper / name).read_bytes() for paper in PAPERS}) == 1
    # Two names of one file where a file system does not tell cases apart.
    folder = ROOT / "brainprop"
    assert (folder / "Requirements.txt").read_bytes() == (folder / "requirements.txt").read_bytes()
