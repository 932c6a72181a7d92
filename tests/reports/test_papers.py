"""Which folders are papers: all of a checkout; of site-packages, those that came with `common`."""

import importlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from common.errors import UserError
from common.reports import papers
from common.runs.directory import rule_of
from common.runs.read_back import read_run

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
    listed = {paper.name for paper in papers.find_papers()}
    assert listed == {path.parent.name for path in papers.root().glob("*/paper.toml")}
    assert "lra_e" in listed


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


def options_of(paper: papers.Paper) -> set[str]:
    """Names of the options of all the paper's scripts."""
    modules = [
        ".".join(path.relative_to(papers.root()).with_suffix("").parts)
        for path in sorted(paper.folder.rglob("*.py"))
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    ]
    commands = [
        value
        for module in modules
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, click.Command)
    ]
    return {param.name or "" for command in commands for param in command.params}


@pytest.mark.parametrize("paper", papers.find_papers(), ids=lambda paper: paper.name)
def test_the_options_that_a_paper_names_in_its_paper_toml_are_its_own(paper):
    """An option that was renamed: every unfinished run's rule is "?", every seed a recipe."""
    facts = tomllib.loads((paper.folder / "paper.toml").read_text(encoding="utf-8"))
    named = {*facts.get("housekeeping", ()), facts.get("rule_option", "rule")}
    named -= set() if "rule_option" in facts else {"rule"}
    assert named <= options_of(paper)


@pytest.mark.parametrize(
    ("paper", "options", "rule"),
    [
        ("asap", {"feedback": "KP"}, "kp"),
        ("brainprop", {"learning_algorithm": "EBP", "feedback": "shared"}, "ebp"),
        ("lra_e", {"rule": "bp", "feedback": "no option of LRA-E"}, "bp"),
        ("burstprop", {"feedback": "its learner says the rule"}, None),
        ("toy", {"rule": "gd"}, "gd"),
    ],
)
def test_a_runs_rule_is_what_its_paper_says_it_is_called_by(paper, options, rule):
    """A list of option names in `common`: the first one of another paper's names the rule."""
    assert rule_of(paper, options) == rule


def test_every_stored_run_says_the_rule_that_its_options_name():
    """Runs of years ago, read by their paper's word for a rule of today."""
    kept = sorted(papers.root().glob("*/results/**/config.json"))
    for path in kept if (papers.root() / ".git").exists() else []:
        run = read_run(path.parent)
        named = rule_of(run.paper, run.options)
        assert named is None or run.rule == named
    assert kept or not (papers.root() / ".git").exists()


@pytest.mark.parametrize("value", ["3", '["rule"]'])
def test_a_rule_option_is_a_text(value, tmp_path):
    """Said where the file is read, not where a run of the paper ends."""
    text = 'title = "A"\nrule = "a"\nframework = "PyTorch"\ncommand = "python -m a"\n'
    (tmp_path / "paper.toml").write_text(f"{text}rule_option = {value}\n")
    with pytest.raises(UserError, match="'rule_option' must be a text"):
        papers.read_paper(tmp_path)
