"""Who may know whom: the arrows of the house, read from the source and tried in fresh processes."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.files import paper_folders

ROOT = Path(__file__).parents[2]
PAPERS = tuple(path.name for path in paper_folders.folders())
PACKAGES = ("common", *PAPERS, "benchmarks")
FRAMEWORKS = ("torch", "torchvision", "tensorflow", "keras", "jax", "neural_tangents")
MODULES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
SCRIPTS = [
    path
    for path in MODULES
    if path.relative_to(ROOT).parts[0] in PAPERS and '__name__ == "__main__"' in path.read_text()
]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, inside functions too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules.add((node.module or "").split(".")[0])
    return modules


BLOCK = """import sys
from importlib.machinery import PathFinder
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        missing = name.split(".")[0] in {0!r}
        return None if missing else PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def run(*words: str, block: tuple[str, ...] = (), cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Python with some packages missing, as if they were not installed."""
    blocking = BLOCK.format(block)
    site = blocking + "import runpy; sys.argv = sys.argv[1:]; "
    site += "runpy.run_path(sys.argv[0], run_name='__main__')"
    if words[0] == "-c":
        command = [sys.executable, "-c", blocking + words[1]]
    else:
        command = [sys.executable, "-c", site, *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_paper_imports_common_and_itself_alone_and_common_no_paper(path):
    """A paper that leans on another cannot be taken out, or fixed, alone."""
    package = path.relative_to(ROOT).parts[0]
    forbidden = set(PAPERS) | {"benchmarks", "tests"}
    allowed = {
        "common": set(),
        # A paper's benchmarks (<paper>_steps and any other <paper>_...) know that paper.
        "benchmarks": {"benchmarks", *(p for p in PAPERS if path.stem.startswith(f"{p}_"))},
    }.get(package, {package})
    assert not imported(path) & (forbidden - allowed)


def contracts(papers: tuple[str, ...]) -> str:
    """The contracts of pyproject.toml, and that of these papers, which it does not list."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ours = "[tool.importlinter" + text.partition("[tool.importlinter")[2].partition("[tool.p")[0]
    roots = json.dumps(["common", *papers, "benchmarks"])
    layers = json.dumps(["benchmarks", " | ".join(papers), "common"])
    assert 'root_packages = ["common"]' in ours
    return ours.replace('root_packages = ["common"]', f"root_packages = {roots}") + (
        '[[tool.importlinter.contracts]]\nname = "papers above common, beside each other"\n'
        f'type = "layers"\nlayers = {layers}\n'
    )


def test_the_floors_of_common_and_the_walls_between_papers_stand(tmp_path):
    """Over every import of every module, of every paper that there is: no arrow runs up."""
    (tmp_path / "contracts.toml").write_text(contracts(PAPERS))
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    command += ["--config", str(tmp_path / "contracts.toml")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "papers above common, beside each other KEPT" in done.stdout


SAYS: dict[str, set[str]] = {
    "torch": {"torch"},
    "torchvision": {"torch", "torchvision"},
    "tf": {"tensorflow", "keras"},
    "jax": {"jax"},
}


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.relative_to(ROOT).parts[0] == "common"], ids=name_of
)
def test_a_framework_is_imported_only_by_modules_that_say_so(path):
    """`import common` that pulls in torch makes every --help slow and every TF paper need torch."""
    allowed = SAYS.get(path.stem.split("_")[0], set())
    assert imported(path) & set(FRAMEWORKS) <= allowed


def test_common_is_imported_where_no_framework_is_installed():
    """What the source does not show: a library that imports a framework by itself."""
    names = [
        name_of(p)
        for p in MODULES
        if p.relative_to(ROOT).parts[0] == "common" and p.stem.split("_")[0] not in SAYS
    ]
    lines = "\n".join(f"import {name}" for name in names)
    lines += "\nfrom common.data import datasets; datasets.load('digits')"
    done = run("-c", lines, block=FRAMEWORKS)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
@pytest.mark.parametrize("words", [("--help",), ("--no-such-option", "3")], ids=["help", "wrong"])
def test_help_and_usage_errors_need_no_framework(path, words, tmp_path):
    """Ten seconds of TensorFlow's start for a typo. Run as a file, from another folder."""
    done = run(str(path), *words, block=FRAMEWORKS, cwd=tmp_path)
    assert done.returncode == (0 if words == ("--help",) else 2), done.stderr
    if done.returncode:
        assert done.stderr.count("\n") == 1 and "--no-such-option" in done.stderr
    else:
        assert name_of(path) in done.stdout


def test_no_file_beside_a_script_hides_a_package():
    """`python lra_e/x.py` puts lra_e first on the path: a `random.py` there would break numpy."""
    folders = {path.parent for path in MODULES if '__name__ == "__main__"' in path.read_text()}
    names = {entry.stem for folder in folders for entry in folder.iterdir()} - {"__init__"}
    assert not names & (set(sys.stdlib_module_names) | set(PACKAGES) | set(FRAMEWORKS))


def test_a_torch_paper_runs_without_tensorflow_and_a_tensorflow_paper_without_torch(tmp_path):
    """One extra a paper is a promise: what it does not name must not be needed."""
    settings = ("--data", "digits", "--epochs", "1", "--limit-train", "100", "--quiet")
    torch_side, tf_side = ("torch", "torchvision"), ("tensorflow", "keras")
    for script, own, other in (
        ("lra_e/mnist/mnist_torch.py", torch_side, tf_side),
        ("lra_e/mnist/mnist_newTF.py", tf_side, torch_side),
    ):
        pytest.importorskip(own[0], reason=f"{script} runs on {own[0]}")
        out = tmp_path / own[0]
        done = run(str(ROOT / script), *settings, "--out", str(out), block=(*other, "jax"))
        assert done.returncode == 0, done.stderr
        assert (out / "summary.json").exists()
