"""`nox -s new-paper -- NAME`: its skeleton in a copy of the repository, where it must hold what
every paper holds, and what it does wrong must be noticed, without an edit to any list."""

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.reports.target_rows import COLUMNS, read_targets
from tests.architecture.test_tree import ROOT, committed

NAME = "sixth"
WRITER = ROOT / "docs" / "new_paper" / "write.py"
LEFT_OUT = ("tests/golden/data/", "tests/mutants/", ".ci/")
# Tests of all papers, of which those run that name this one or look at the whole house.
OF_ALL = (
    *(f"architecture/test_{name}" for name in ("arrows", "declared", "sizes", "meta_device")),
    *("architecture/test_hidden_common", "doors/test_label_doors"),
    *("doors/test_labels_of_torch_rules", "docs/test_references", "docs/test_commands"),
    *("reports/test_papers", "reports/test_front_page"),
)
WHOLE = ("walls_between", "every_public", "references_lead", "plan_of_the_house", "no_folder")


def python(folder: Path, *words: object) -> subprocess.CompletedProcess:
    """Python in the copy, which stands before what is installed."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True, text=True, cwd=folder, env=environment, check=False,
    )  # fmt: skip


def run_tests(folder: Path, *words: str) -> subprocess.CompletedProcess:
    return python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The repository, without recorded traces and runs, with a sixth paper in it."""
    folder = tmp_path_factory.mktemp("house")
    for path in committed():
        name = path.relative_to(ROOT)
        if "results" not in name.parts and not name.as_posix().startswith(LEFT_OUT):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
    done = python(folder, "docs/new_paper/write.py", NAME)
    assert done.returncode == 0, done.stderr
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(1800)
def test_the_skeleton_passes_its_own_tests_and_those_of_all_papers(copy):
    """It learns digits, an audit tells it from backprop, a resumed run ends on the same bits
    (tests/runs); its gradients are slopes, its equations what they say (tests/rules)."""
    pytest.importorskip("torch", reason="the skeleton is written in torch")
    assert python(copy, "-m", "common.targets", "update", NAME).returncode == 0
    own = [
        f"tests/{kind}/test_{NAME}_{what}.py"
        for kind, what in (("rules", "rule"), ("runs", "runs"))
    ]
    chosen = " or ".join((NAME, *WHOLE))
    done = run_tests(copy, *own, *(f"tests/{name}.py" for name in OF_ALL), "-k", chosen)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_its_first_command_makes_a_run_that_is_resumed(copy, tmp_path):
    """As its README has it: on digits, with --audit; then one more epoch."""
    pytest.importorskip("torch", reason="the skeleton is written in torch")
    run = tmp_path / "run"
    few = ("--epochs", 1, "--limit-train", 200, "--quiet", "--threads", 1, "--out", run)
    first = ("-m", f"{NAME}.train", "--data", "digits", "--rule", "drtp", "--audit")
    assert f"python {' '.join(first)}" in (copy / NAME / "README.md").read_text()
    done = python(copy, *first, *few)
    assert done.returncode == 0, done.stderr
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["paper"], summary["rule"], summary["epochs"]) == (NAME, "drtp", 1)
    done = python(copy, "-m", f"{NAME}.train", "--resume", run, "--epochs", 2)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"][-2:] == [1, 2]
    assert {"W1", "W2", "W3"} == set([n for n in lines if n["kind"] == "audit"][-1]["credit"])


def test_its_numbers_stand_in_the_tables(copy):
    """targets.csv as a person writes it gets the computed columns, the front page a line."""
    asked = (WRITER.parent / "files/newpaper/targets.csv").read_text().splitlines()[0]
    assert len(asked.split(",")) < len(COLUMNS)
    done = python(copy, "-m", "common.targets", "update", NAME)
    assert done.returncode == 0, done.stderr
    rows = read_targets(copy / NAME / "targets.csv")
    assert [row.rule for row in rows] == ["drtp", "bp"]
    assert f"]({NAME}/README.md)" in (copy / "README.md").read_text()
    page = (copy / NAME / "README.md").read_text()
    assert "| mnist_drtp |" in page and "| D1 | `--sum-over-batch` |" in page


def test_the_wheel_holds_it(copy, tmp_path):
    """A list of packages that lacks the sixth."""
    pytest.importorskip("hatchling")
    done = python(copy, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    listed = python(copy, "-m", "zipfile", "-l", wheel).stdout
    for name in (NAME, "asap", "lra_e"):
        assert f"{name}/paper.toml" in listed
    assert "new_paper" not in listed and "/results/" not in listed


def test_a_sixth_paper_that_imports_another_is_noticed(copy):
    """By both tests of the arrows; then it is put right again."""
    rule = copy / NAME / "rule.py"
    text = rule.read_text()
    try:
        rule.write_text(text.replace("\nimport torch\n", "\nimport torch\n\nimport asap\n", 1))
        done = run_tests(
            copy, "tests/architecture/test_arrows.py", "-k", f"walls_between or {NAME}.rule"
        )
        assert done.returncode == 1, done.stdout
        assert f"{NAME}.rule ->" in done.stdout and "asap" in done.stdout
        assert f"common_no_paper[{NAME}.rule]" in done.stdout
    finally:
        rule.write_text(text)


def test_a_paper_without_an_extra_is_told_which_line_to_add(copy):
    """The one list in which a tool wants every paper by name."""
    project = copy / "pyproject.toml"
    text = project.read_text()
    try:
        lines = [line for line in text.splitlines() if not line.startswith(f"{NAME} = ")]
        project.write_text("\n".join(lines).replace(f",{NAME}]", "]"))
        done = run_tests(
            copy, "tests/architecture/test_declared.py", "-k", f"extra_which and {NAME}"
        )
        assert done.returncode == 1
        assert f"add the line {NAME} = [...] with the frameworks" in done.stdout
    finally:
        project.write_text(text)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("asap", "is there already"),
        ("asap2", "holds, or is held by, asap"),
        ("My-Rule", "small letters"),
        ("class", "small letters"),
        ("random", "would hide the module"),
        ("torch", "would hide the module"),
        ("drtp", None),
    ],
)
def test_a_name_that_would_not_do_is_refused_in_a_line(name, why):
    """A folder `random/` at the root takes numpy's `import random`."""
    wrong = runpy.run_path(str(WRITER))["refused"](name, ROOT)
    assert wrong is None if why is None else why in wrong


def test_a_seventh_moves_in_as_the_sixth_did(copy):
    """Patterns that the sixth paper's own lines break."""
    done = python(copy, "docs/new_paper/write.py", "other_rule")
    assert done.returncode == 0, done.stderr
    text = (copy / "README.md").read_text()
    assert (
        "[other_rule](docs/papers/other_rule.md))" in text and "`other_rule/` | the papers" in text
    )
    assert f",{NAME},other-rule]" in (copy / "pyproject.toml").read_text()
