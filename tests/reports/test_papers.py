"""Which folders are papers: all of a checkout; of site-packages, those that came with `common`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import UserError
from common.reports import papers

ASK = "from common.reports import papers; print(*[paper.name for paper in papers.{}])"


def names(site: Path, call: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(call)],
        capture_output=True,
        text=True,
        cwd=site.parent,
        env=os.environ | {"PYTHONPATH": str(site)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_of_site_packages_only_what_was_installed_with_common_is_a_paper(tmp_path):
    """A package of somebody else with a paper.toml of its own, which may not even be one of ours:
    every command that lists papers ends with an error about it, or runs it."""
    site = tmp_path / "site"
    shutil.copytree(papers.root() / "common", site / "common")
    (site / "ours").mkdir()
    (site / "theirs").mkdir()
    text = 'title = "A"\nrule = "a"\nframework = "PyTorch"\ncommand = "python -m a"\n'
    (site / "ours" / "paper.toml").write_text(text)
    (site / "theirs" / "paper.toml").write_text('journal = "Paper and Pulp"\n')
    info = site / "creditlab-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: creditlab\nVersion: 0.1.0\n")
    files = [path for path in site.rglob("*") if path.is_file() and "theirs" not in path.parts]
    (info / "RECORD").write_text("".join(f"{path.relative_to(site)},,\n" for path in files))
    assert names(site, "find_papers()") == ["ours"]
    assert names(site, "find_papers(papers.root())") == ["ours"]


def test_in_a_checkout_every_folder_with_a_paper_toml_is_a_paper():
    """A sixth paper that moves in and is not found, for a list of names somewhere lacks it."""
    found = {paper.name for paper in papers.find_papers()}
    assert found == {path.parent.name for path in papers.root().glob("*/paper.toml")}
    assert "lra_e" in found


def test_what_a_paper_calls_backprop_is_a_list_of_texts(tmp_path):
    """A bare text there is read letter by letter, and rules "e", "b" and "p" are drawn grey."""
    folder = tmp_path / "sixth"
    folder.mkdir()
    text = 'title = "A"\nrule = "a"\nframework = "PyTorch"\ncommand = "python -m a"\n'
    (folder / "paper.toml").write_text(text)
    assert papers.read_paper(folder).backprop == ("bp",)
    (folder / "paper.toml").write_text(text + 'backprop = ["ebp", "bp"]\n')
    assert papers.read_paper(folder).backprop == ("ebp", "bp")
    for wrong in ('"ebp"', "[1]"):
        (folder / "paper.toml").write_text(text + f"backprop = {wrong}\n")
        with pytest.raises(UserError, match="sixth.paper.toml: 'backprop' must be a list of texts"):
            papers.read_paper(folder)
