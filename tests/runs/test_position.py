"""Where a run stands, in one process and without a framework: a run that was killed anywhere and
resumed, or resumed twice, is the run that nobody broke off; and what a run says of itself is true.

`tests.runs.test_kill_and_resume` does the same with real signals and real frameworks."""

import json
import math
import os
from typing import Any

import pytest

from common.errors import UserError
from common.runs import checkpoint, environment
from tests.helpers.records import left_by, metrics
from tests.runs.toy_numpy import EPOCHS, STEPS, Batches, Killed, Learner, death, train

# With a checkpoint every 2 steps they are written at steps 0, 2, 4, 5 (the epoch's end), 6, 8, ...
SAVES = 1 + len({2 * i for i in range(1, 8)} | {5, 10, 15})
PLACES = [
    *(("step", n) for n in range(1, STEPS * EPOCHS + 1)),
    *(("half", n) for n in (2, 4, SAVES)),
    *(("tensors", n) for n in (3, 8)),
    *(("rename", n) for n in (2, 5, SAVES)),
    *(("link", n) for n in (2, 4, SAVES)),
    *(("metrics", n) for n in range(1, EPOCHS + 2)),
]


@pytest.fixture(autouse=True, scope="module")
def quick():
    """git and the processor's name are not asked for a hundred times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "_git", lambda: {"git_commit": None, "git_dirty": None})
        patch.setattr(environment, "_installed", lambda name: None)
        yield


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """What the run leaves that nobody breaks off."""
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    train(folder)
    return left_by(folder)


def remembered(folder):
    return json.loads((folder / "checkpoints/last/state.json").read_text())["run"]


@pytest.mark.parametrize(("place", "count"), PLACES, ids=lambda value: str(value))
def test_a_run_killed_anywhere_resumes_to_the_same_bits(
    place, count, unbroken, tmp_path, monkeypatch
):
    """A generator, a momentum, a sum or a line that a checkpoint forgets, at one step of many."""
    run = tmp_path / "run"
    with pytest.raises(Killed), death(monkeypatch, place, count):
        train(run)
    learner = Learner()
    learner.backend.random.advance(7)  # nothing of the new process may shine through
    train(run, resume=True, learner=learner)
    assert left_by(run) == unbroken
    folders = [p.name for p in (run / "checkpoints").iterdir() if not p.is_symlink()]
    assert not [name for name in folders if name.startswith(".")], "a torn checkpoint stays"


def test_a_run_killed_again_and_again_comes_to_the_same_end(unbroken, tmp_path, monkeypatch):
    """What only the second resume loses: a checkpoint that was written after the first one."""
    run = tmp_path / "run"
    with pytest.raises(Killed), death(monkeypatch, "step", 3):
        train(run)
    for _ in range(5):
        with pytest.raises(Killed), death(monkeypatch, "step", 3):
            train(run, resume=True)
    train(run, resume=True)
    assert left_by(run) == unbroken


def test_checkpoints_lie_at_the_steps_that_were_asked_for(tmp_path, monkeypatch):
    """--checkpoint-every that counts from the epoch's start, or forgets an epoch's end."""
    positions, save = [], checkpoint.save

    def noted(run, step, *more):
        positions.append(step)
        return save(run, step, *more)

    monkeypatch.setattr(checkpoint, "save", noted)
    train(tmp_path / "run", checkpoint_every=4)
    assert positions == [0, 4, 5, 8, 10, 12, 15]
    positions.clear()
    train(tmp_path / "plain", checkpoint_every=None)
    assert positions == [0, 5, 10, 15]


def test_a_resume_remembers_the_time_before_it(tmp_path, monkeypatch):
    """A run of a week that claims to have taken its last hour."""
    run = tmp_path / "run"
    with pytest.raises(Killed), death(monkeypatch, "step", 8):
        train(run)
    path = run / "checkpoints/last/state.json"
    state = json.loads(path.read_text())
    state["run"]["seconds"] = [1000.0, 500.0]  # of the epochs before; of this one so far
    path.write_text(json.dumps(state))
    train(run, resume=True)
    second = next(line for line in metrics(run) if line["epoch"] == 2)
    assert 500 < second["seconds"] < 600
    assert 1500 < json.loads((run / "summary.json").read_text())["seconds"] < 1600


def test_the_figures_of_a_line_are_means_over_images(tmp_path):
    """A short last batch that counts as much as a whole one; a share that is not in percent."""
    run = tmp_path / "run"
    train(run, epochs=1)
    learner, losses, hits, images = Learner(), 0.0, 0, 0
    batches = list(Batches(3).epoch())
    for pictures, labels in batches:
        loss, right, _ = learner.train_step(pictures, labels)
        losses, hits, images = losses + loss * len(labels), hits + right, images + len(labels)
    line = metrics(run)[-1]
    assert line["train_loss"] == pytest.approx(losses / images, rel=1e-12)
    assert line["train_accuracy"] == pytest.approx(100 * hits / images, rel=1e-12)
    assert line["images_per_second"] == pytest.approx(images / line["seconds"], rel=0.5)
    tests = list(Batches(99).epoch())
    each = [(learner.eval_step(x, y), len(y)) for x, y in tests]
    total = sum(n for _, n in each)
    assert line["test_loss"] == pytest.approx(sum(r[0] * n for r, n in each) / total, rel=1e-12)
    assert line["test_accuracy"] == pytest.approx(100 * sum(r[1] for r, _ in each) / total)
    assert line["test_top5_accuracy"] == pytest.approx(100 * sum(r[2] for r, _ in each) / total)


def scripted(monkeypatch, losses):
    """A learner whose test loss in epoch i is losses[i]."""
    left = [loss for loss in losses for _ in range(STEPS)]
    monkeypatch.setattr(Learner, "eval_step", lambda self, x, y: (left.pop(0), 1, 1))


def test_the_best_epoch_is_the_first_of_the_lowest(tmp_path, monkeypatch):
    """`best` names the last, the highest, or an epoch no better than the one before."""
    scripted(monkeypatch, [3.0, 1.0, 2.0, 1.0])
    run = tmp_path / "run"
    train(run)
    best = json.loads((run / "summary.json").read_text())["best"]
    assert best == {"metric": "test_loss", "value": 1.0, "epoch": 1}
    held = json.loads((run / "checkpoints/best/state.json").read_text())["run"]
    assert (held["epoch"], held["step"]) == (1, STEPS)
    assert remembered(run)["epoch"] == EPOCHS
    for name in ("best", "last"):
        target = os.readlink(run / "checkpoints" / name)
        assert not os.path.isabs(target), "a moved run loses its checkpoints"
    steps = {p.name for p in (run / "checkpoints").iterdir() if not p.is_symlink()}
    assert steps == {"step-00000005", "step-00000015"}


def test_the_best_of_a_resumed_run_may_lie_before_the_resume(tmp_path, monkeypatch):
    """A resumed run that calls its first epoch the best."""
    scripted(monkeypatch, [3.0, 1.0, 2.0, 2.0])
    run = tmp_path / "run"
    with pytest.raises(Killed), death(monkeypatch, "step", 2 * STEPS + 1):
        train(run)
    scripted(monkeypatch, [2.0])
    train(run, resume=True)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["best"]["epoch"] == 1 and summary["final"]["epoch"] == EPOCHS


@pytest.mark.parametrize(
    ("losses", "epochs"),
    [
        ([9, 8, 7, 6, 5, 4, 3], 6),  # always better: never stops
        ([9, 8, 8, 8, 1, 1, 1], 3),  # two epochs that only equal the best
        ([9, 1, 8, 0.5, 8, 8, 8], 5),
    ],
)
def test_patience_is_spent_by_epochs_that_bring_nothing_new(losses, epochs, tmp_path, monkeypatch):
    """Early stopping an epoch early or late, or by an epoch that equals the best."""
    scripted(monkeypatch, [float(loss) for loss in losses])
    run = tmp_path / "run"
    train(run, epochs=6, patience=2)
    summary = json.loads((run / "summary.json").read_text())
    assert summary["epochs"] == epochs
    assert summary["reason"] == ("no better test loss" if epochs < 6 else None)


def test_a_loss_that_is_no_number_stops_before_it_is_saved(tmp_path, monkeypatch):
    """A checkpoint of NaN that takes the place of the last good one."""
    step = Learner.train_step

    def poisoned(self, images, labels):
        loss, *rest = step(self, images, labels)
        return (math.nan if self.steps == 8 else loss), *rest

    monkeypatch.setattr(Learner, "train_step", poisoned)
    run = tmp_path / "run"
    with pytest.raises(UserError, match="the loss is nan in epoch 2"):
        train(run)
    assert remembered(run)["step"] == 6
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "failed" and "nan" in summary["reason"]


def test_an_audit_leaves_the_run_as_it_was(unbroken, tmp_path):
    """The audit's own random numbers change what the run learns."""
    train(tmp_path / "run", audit=True, audit_every=2)
    result = left_by(tmp_path / "run")
    audits = [line for line in result["lines"] if line["kind"] == "audit"]
    assert [line["step"] for line in audits] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert result["tensors"] == unbroken["tensors"]
    assert [line for line in result["lines"] if line["kind"] == "epoch"] == unbroken["lines"]


def test_a_finished_run_that_is_resumed_is_left_as_it_is(tmp_path, capsys):
    """A finished run trains on, or loses its last line."""
    run = tmp_path / "run"
    train(run)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(SystemExit) as stop:
        train(run, resume=True)
    assert stop.value.code == 0 and "is finished" in capsys.readouterr().out
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_a_tied_tensor_is_stored_once_and_comes_back_twice(tmp_path):
    """A file of twice the size; a tied weight that a resume unties."""
    train(tmp_path / "run")
    folder = checkpoint.of_run(tmp_path / "run", "last")
    assert set(Learner().backend.load_tensors(folder / "tensors.safetensors")) == {
        "W",
        "momentum",
        "rng.cpu",
    }
    notes = json.loads((folder / "state.json").read_text())["tensors"]
    assert notes["shadow"]["stored_as"] == "W"
    state: dict[str, Any] = {}
    learner: Any = Learner()
    learner.load_state = state.update
    checkpoint.load(folder, learner)
    assert state["shadow"] is state["W"]


def test_without_its_links_a_run_goes_on_from_its_newest_checkpoint(
    unbroken, tmp_path, monkeypatch
):
    """A copy without links that goes on from the oldest checkpoint, or not at all."""
    run = tmp_path / "run"
    with pytest.raises(Killed), death(monkeypatch, "step", 8):
        train(run)
    scripted_best = run / "checkpoints/best"
    assert len({p.resolve() for p in (scripted_best, run / "checkpoints/last")}) == 2
    for link in ("last", "best"):
        (run / "checkpoints" / link).unlink()
    newest = checkpoint.newest(run)
    assert newest is not None and newest.name == "step-00000006"
    train(run, resume=True)
    assert left_by(run)["tensors"] == unbroken["tensors"]
