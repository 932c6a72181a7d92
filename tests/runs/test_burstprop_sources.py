"""The copies of its sources that a run of burstprop keeps."""

import ast
from pathlib import Path

import pytest

from tests.helpers.processes import run_script

pytest.importorskip("torch")
ROOT = Path(__file__).parents[2]
QUICK = (
    "--data digits --limit-train 8 --limit-test 8 -batch_size 4 --epochs 1 --quiet --threads 1"
).split()
NARROW = [*QUICK, "--width", "0.1", "--workers", "0"]


def imported(script: str) -> set[Path]:
    """Files of burstprop, relative to it, that a script imports, and what they import."""
    modules, left = set(), [ROOT / "burstprop" / script]
    while left:
        path = left.pop()
        if path in modules or not path.is_file():
            continue
        modules.add(path)
        for line in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(line, ast.ImportFrom) and (line.module or "").startswith("burstprop"):
                module = ROOT / (line.module or "").replace(".", "/")
                left += [module.with_suffix(".py"), *(module / f"{a.name}.py" for a in line.names)]
    return {path.relative_to(ROOT / "burstprop") for path in modules}


@pytest.mark.parametrize(
    ("script", "words", "wanted"),
    [
        ("train_mnist", QUICK, {"rule.py", "perturbation/rule.py", "update.py", "networks.py"}),
        ("train_imagenet", NARROW, {"rule.py", "imagenet/rule.py", "imagenet/networks.py"}),
    ],
)
def test_a_run_keeps_every_source_that_trained_it(script, words, wanted, tmp_path: Path) -> None:
    """Of two files called rule.py the run keeps one, or not the script that was called."""
    done = run_script(f"burstprop.{script}", tmp_path / "run", *words, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    sources = imported(f"{script}.py")
    assert {Path(name) for name in wanted | {f"{script}.py", "layers.py"}} <= sources
    for name in sources:
        copy = tmp_path / "run" / name
        assert copy.is_file(), name
        assert copy.read_bytes() == (ROOT / "burstprop" / name).read_bytes(), name
    others = {path.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("*.py")}
    assert {path for path in others if path.name != "__init__.py"} == sources
