"""How a script ends: exit code, what is on stderr, what it loads, seen from outside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import os, signal, sys
from common.cli import command, option
from common.cli.training_options import TrainingOptions, training_options
from common.errors import UserError
from common.cli.params import positive

@training_options(epochs=1)
class ToyOptions(TrainingOptions):
    beta: float = option(type=positive, default=0.1)
    do: str = option(default="name")

@command(ToyOptions, paper="toypaper", name="toy")
def main(options):
    "A toy."
    if options.do == "name":
        print(options.call.script)
    elif options.do == "user":
        raise UserError("loss is nan\\nat step 3")
    elif options.do == "permission":
        raise PermissionError(13, "Permission denied", "results/config.json")
    elif options.do == "interrupt":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    elif options.do == "exit":
        sys.exit(143)
    elif options.do == "bug":
        raise RuntimeError("a bug")
    elif options.do == "flood":
        while True:
            print("x" * 1000)

if __name__ == "__main__":
    main()
"""
LOADED = """
import sys
import toypaper.sub.toy as toy
try:
    toy.main(["--help"])
except SystemExit:
    print(sorted({"numpy", "torch", "tensorflow", "jax", "matplotlib"} & set(sys.modules)))
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A script at <tmp>/toypaper/sub/toy.py."""
    script = tmp_path / "toypaper" / "sub" / "toy.py"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    return script


def start(*words: object, cwd: Path, stdout: int = subprocess.PIPE) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{cwd}"}
    line = [sys.executable, *map(str, words)]
    return subprocess.Popen(
        line, cwd=cwd, env=env, text=True, stdout=stdout, stderr=subprocess.PIPE
    )


def run(*words: object, cwd: Path) -> tuple[int, str, str]:
    process = start(*words, cwd=cwd)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (["--beta", "-1"], 2, "error: option --beta (=-1) must be > 0\n"),
        (["--bet"], 2, "error: option --beta needs a value: a finite number > 0\n"),
        (["--do", "user"], 1, "error: loss is nan at step 3\n"),
        (["--do", "permission"], 1, "error: results/config.json: Permission denied\n"),
        (["--do", "interrupt"], 130, "error: interrupted\n"),
        (["--do", "exit"], 143, ""),
    ],
)
def test_whatever_a_person_can_mend_is_one_line_and_an_exit_code(toy, words, code, err) -> None:
    """A traceback, or an exit code 0 that lets a batch of runs go on."""
    assert run(toy, *words, cwd=toy.parent) == (code, "", err)


def test_a_bug_keeps_its_traceback(toy: Path) -> None:
    """A programming error is cut down to one line that cannot be traced."""
    code, _, err = run(toy, "--do", "bug", cwd=toy.parent)
    assert code == 1
    assert "Traceback" in err and "RuntimeError: a bug" in err


def test_a_reader_that_goes_away_is_no_error(toy: Path) -> None:
    """`... | head` ends in a BrokenPipeError traceback."""
    process = start(toy, "--do", "flood", cwd=toy.parent)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 128 + signal.SIGPIPE


@pytest.mark.parametrize("words", [["-h"], ["--h"], ["--help"], ["--he"], ["--beta", "-1", "-h"]])
def test_help_is_help_in_all_spellings(toy: Path, words: list[str]) -> None:
    """argparse's --h, which people type, becomes an error."""
    code, out, err = run(toy, *words, cwd=toy.parent)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: python -m toypaper.sub.toy [OPTIONS]")
    assert "--beta NUMBER" in out and "--no-download" in out


def test_help_loads_nothing_heavy(toy: Path) -> None:
    """--help and a misspelt option wait for a framework."""
    code, out, _ = run("-c", LOADED, cwd=toy.parents[2])
    assert code == 0
    assert out.endswith("\n[]\n")


def test_the_script_knows_its_module_path_however_it_is_started(toy: Path) -> None:
    """A run made with `python -m` cannot be resumed with `python path/to/script.py`."""
    root, expected = toy.parents[2], (0, "toypaper.sub.toy\n", "")
    assert run("-m", "toypaper.sub.toy", cwd=root) == expected
    assert run(toy, cwd=toy.parent) == expected
    assert run("toypaper/sub/toy.py", cwd=root) == expected
    assert run("-c", "from toypaper.sub.toy import main; main([])", cwd=root) == expected
