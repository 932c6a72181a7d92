"""What is imported is declared: every import of the packages beside pyproject.toml's lists."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.test_arrows import PACKAGES, PAPERS, ROOT, name_of
from tests.helpers.processes import run_script

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
OURS = {*PACKAGES, "tests", "toypaper"}  # toypaper: a paper that tests make
FILES = sorted(p for package in (*PACKAGES, "tests") for p in (ROOT / package).rglob("*.py"))


def names(requirements: list, table: dict) -> set[str]:
    """Distributions of a list of requirements, `creditlab[x,y]` and included groups unfolded."""
    packages: set[str] = set()
    for each in requirements:
        if isinstance(each, dict):
            packages |= names(table[each["include-group"]], table)
        elif inner := re.fullmatch(r"creditlab\[([\w,-]+)\]", each):
            packages = packages.union(
                *(names(table[extra], table) for extra in inner[1].split(","))
            )
        else:
            packages.add(re.split(r"[<>=!~\[; ]", each)[0].lower())
    return packages


BASE = names(PROJECT["project"]["dependencies"], EXTRAS)
ANY = BASE.union(*(names(each, EXTRAS) for each in EXTRAS.values()))
TESTS = ANY | names(GROUPS["test"], GROUPS)
SAYS = {"torch": {"torch"}, "torchvision": {"torch", "torchvision"}, "tf": {"tensorflow", "keras"}}


def allowed(path: Path) -> set[str]:
    """What a file may need: a paper's the base and that paper's extra, `common` the base alone
    (and the framework that a module's name says), benchmarks and tests all there is."""
    package = path.relative_to(ROOT).parts[0]
    if path.stem == "the_folder_above":  # a build backend: pip has what builds the project there
        return names(PROJECT["build-system"]["requires"], EXTRAS)
    if package in PAPERS:
        extra = package.replace("_", "-")
        torch_extra = (
            EXTRAS.get(f"{extra}-torch", []) if "torch" in str(path.relative_to(ROOT)) else []
        )
        return BASE | names([*EXTRAS.get(extra, []), *torch_extra], EXTRAS)
    if package == "common":
        return BASE | SAYS.get(path.stem.split("_")[0], set())
    return TESTS | names(GROUPS["bench"], GROUPS)


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Distributions that a file imports, inside functions too: (needed, tried). Tried are those
    in the body of a `try` that catches ImportError: the file does without them."""
    pair: tuple[set[str], set[str]] = (set(), set())

    def walk(node: ast.AST, tried: bool) -> None:
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            modules = [str(a.value) for a in node.args[:1] if isinstance(a, ast.Constant)]
        for module in (name.split(".")[0] for name in modules):
            if module not in sys.stdlib_module_names and module not in OURS:
                name = DISTRIBUTIONS.get(module, module.lower().replace("_", "-"))
                pair[tried].add(name)
        catches = isinstance(node, ast.Try) and any(
            handler.type and "ImportError" in ast.unparse(handler.type) for handler in node.handlers
        )
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    walk(child, tried or (catches and field == "body"))

    walk(ast.parse(path.read_text()), False)
    return pair


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_is_imported_is_declared(path):
    """scipy came with scikit-learn until the day it does not: an ImportError at a user's place."""
    needed, tried = imports(path)
    if path == ROOT / "tests/__init__.py":
        needed.discard("triton")  # torch's, imported ahead of TensorFlow where it is there
    assert needed <= allowed(path), f"not declared: {sorted(needed - allowed(path))}"
    assert tried <= TESTS, f"tried, in no extra: {sorted(tried - TESTS)}"


def test_the_walk_sees_imports_wherever_they_stand(tmp_path):
    """A check that skips functions would have missed scipy, which is imported in one."""
    file = tmp_path / "module.py"
    file.write_text(
        "import os, PIL.Image\n"
        "def f():\n    from scipy.stats import t\n"
        "    try:\n        import timm\n    except ImportError:\n        import yaml\n"
        "    try:\n        import h5py\n    except ValueError:\n        pass\n"
        "    importlib.import_module('neural_tangents.stax')\n"
    )
    assert imports(file) == ({"pillow", "scipy", "pyyaml", "h5py", "neural-tangents"}, {"timm"})


def test_what_the_base_declares_common_imports():
    """Reading data that installs tensorboard, grpc and a web server which it never opens."""
    used = {
        name for p in FILES if p.relative_to(ROOT).parts[0] == "common" for name in imports(p)[0]
    }
    assert used - {"torch", "torchvision", "tensorflow", "keras"} == BASE


def test_every_papers_extra_brings_tensorboard():
    """A paper's run that promises event files and has none."""
    papers = (*(paper.replace("_", "-") for paper in PAPERS), "lra-e-torch", "lra-e-tf")
    assert [p for p in papers if "tensorboard" not in names(EXTRAS[p], EXTRAS)] == []


@pytest.mark.parametrize("paper", PAPERS)
def test_every_paper_has_an_extra_which_all_brings(paper):
    """The one list that a tool wants by name; a paper's session installs its extra."""
    extra = paper.replace("_", "-")
    assert extra in EXTRAS, (
        "pyproject.toml, [project.optional-dependencies]: add the line "
        f'{extra} = [...] with the frameworks that {paper} imports, and "tensorboard>=2.16"'
    )
    assert names(EXTRAS[extra], EXTRAS) <= names(EXTRAS["all"], EXTRAS), (
        f"pyproject.toml, [project.optional-dependencies]: add {extra} to the line all"
    )


PINNED = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.M)


def test_every_declared_version_is_pinned():
    """A session that installs a version which no test ever saw."""
    assert TESTS - {name.lower() for name in PINNED} == set()


def test_a_run_without_tensorboard_says_so_once_and_goes_on(tmp_path):
    """The base installation would end in a traceback after the data were read."""
    pytest.importorskip("torch", reason="the toy trains with torch")
    words = ("--data", "digits", "--epochs", "2", "--out", tmp_path / "run")
    done = run_script("tests.runs.toy", *words, cwd=tmp_path, missing="tensorboard")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "tensorboard" in line.lower()]
    assert lines == [
        "tensorboard is not installed: this run writes no TensorBoard events (its metrics.jsonl "
        "has the same numbers)"
    ]
    assert not list((tmp_path / "run").glob("events.*"))
    assert '"epoch": 2' in (tmp_path / "run" / "metrics.jsonl").read_text()
