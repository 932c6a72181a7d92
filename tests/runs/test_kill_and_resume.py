"""A run that is killed, at any instant, and resumed leaves the bits of a run that was not."""

import importlib.util
import json
import os
import random
import signal
import time

import pytest

from tests.helpers.records import left_by

# 5 steps an epoch, 3 epochs; with --checkpoint-every 2 checkpoints are at steps 0 2 4 5 7 9 10 ...
PLACES = [
    "step:3",
    "step:5",
    "step:7",
    "half:3",
    "tensors:1",
    "rename:4",
    "link:4",
    "metrics:3",
    "summary:1",
]
FRAMEWORKS = {"torch": PLACES, "tensorflow": ["step:7", "half:3", "link:4"]}
CASES = [(name, place) for name, places in FRAMEWORKS.items() for place in places]


def needs(framework):
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """What the run leaves that nobody breaks off, by framework."""
    known = {}

    def get(framework, toy):
        if framework not in known:
            folder = tmp_path_factory.mktemp("unbroken") / framework
            done = toy("--framework", framework, "--checkpoint-every", 2, "--out", folder)
            assert done.returncode == 0, done.stderr
            known[framework] = left_by(folder)
        return known[framework]

    return get


@pytest.mark.parametrize(("framework", "place"), CASES)
def test_a_killed_run_resumes_to_the_same_bits(framework, place, toy, unbroken, tmp_path):
    """A checkpoint that lacks a momentum, a generator or a position trains on, a little wrong."""
    needs(framework)
    run = tmp_path / "run"
    options = ("--framework", framework, "--checkpoint-every", 2, "--out", run)
    killed = toy(*options, kill=place)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # A kill while the first checkpoint is written leaves nothing to go on from: the same command
    # starts again.
    if place == "tensors:1":
        refused = toy("--resume", run)
        assert refused.returncode == 1 and "no checkpoint" in refused.stderr
        resumed = toy(*options)
    else:
        resumed = toy("--resume", run)
    assert resumed.returncode == 0, resumed.stderr
    assert left_by(run) == unbroken(framework, toy)
    folders = sorted(p.name for p in (run / "checkpoints").iterdir() if not p.is_symlink())
    assert not [name for name in folders if name.startswith(".")], "a torn checkpoint stays"


def test_a_run_killed_from_outside_again_and_again_comes_to_the_same_end(toy, unbroken, tmp_path):
    """The places above are chosen; a power cut chooses its own.

    CREDITLAB_KILL_SEED: another draw of the moments; the one that failed is printed."""
    needs("torch")
    seed = int(os.environ.get("CREDITLAB_KILL_SEED", "0"))
    print(f"CREDITLAB_KILL_SEED={seed}")
    run, tries = tmp_path / "run", 0
    options = ["--framework", "torch", "--checkpoint-every", "2", "--out", run]
    wait = random.Random(seed)
    for tries in range(4):  # noqa: B007
        started = toy.start(*options)
        deadline = time.monotonic() + 60
        while not list(run.glob("checkpoints/step-*")) and started.process.is_alive():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(wait.uniform(0, 0.15))
        started.process.kill()
        started.wait()
        options = ["--resume", run]
    final = toy("--resume", run)
    assert final.returncode == 0, final.stderr
    result = left_by(run)
    assert result["tensors"] == unbroken("torch", toy)["tensors"]
    assert result["lines"] == unbroken("torch", toy)["lines"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_a_checkpoint_a_summary_and_its_code(
    number, code, toy, unbroken, tmp_path
):
    """Ctrl-C that loses the epoch, or a scheduler's SIGTERM that looks like success."""
    needs("torch")
    run = tmp_path / "run"
    started = toy.start("--out", run, "--epochs", 2000)
    while not (run / "metrics.jsonl").exists() or (run / "metrics.jsonl").stat().st_size < 2000:
        assert started.process.is_alive(), started.wait()
        time.sleep(0.01)
    os.kill(started.process.pid, number)
    done = started.wait()
    assert done.returncode == code, done.stderr
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    assert summary["reason"] == signal.Signals(number).name
    state = json.loads((run / "checkpoints/last/state.json").read_text())
    assert state["run"]["step"] == summary["step"] > 0
    assert f"--resume {run}" in done.stderr


def test_a_run_interrupted_by_a_signal_resumes_to_the_same_bits(toy, unbroken, tmp_path):
    """The checkpoint of a signal lies where no other one does: between any two batches."""
    needs("torch")
    run = tmp_path / "run"
    started = toy.start("--out", run, "--checkpoint-every", 2)
    while not (run / "checkpoints" / "last").exists():
        assert started.process.is_alive(), started.wait()
        time.sleep(0.001)
    os.kill(started.process.pid, signal.SIGTERM)
    started.wait()
    assert toy("--resume", run).returncode == 0
    assert left_by(run) == unbroken("torch", toy)
