"""What a run directory holds, and what it refuses."""

import json
import os

import pytest

from common.runs import environment
from tests.helpers.records import left_by, metrics

torch = pytest.importorskip("torch", reason="the toy that these runs train is a torch network")


def test_a_run_leaves_every_file_that_the_house_promises(toy, tmp_path):
    """A file that is missing is noticed by the user's own scripts, months later."""
    done = toy("--audit")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs/toy/toy-5"
    config = json.loads((run / "config.json").read_text())
    assert config["script"] == "tests.runs.toy" and config["options"]["lr"] == 0.01
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0] or environment[
        "packages"
    ]["torch"].startswith(torch.__version__.split("+")[0])
    assert environment["data"] and environment["threads"] >= 1
    lines = metrics(run)
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [0, 1, 2, 3]
    assert [line["step"] for line in epochs] == [0, 5, 10, 15]
    assert "train_loss" not in epochs[0] and "train_loss" in epochs[1]
    for line in epochs[1:]:
        assert 100 >= line["train_top5_accuracy"] > line["train_accuracy"]
        assert 100 >= line["test_top5_accuracy"] > line["test_accuracy"]
    audits = [line for line in lines if line["kind"] == "audit"]
    assert [line["step"] for line in audits] == [0, 5, 10, 15]
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "finished" and summary["final"] == epochs[-1]
    best = max(epochs, key=lambda line: line["test_accuracy"])
    assert summary["best"]["value"] == best["test_accuracy"]
    assert (run / "checkpoints/last").is_symlink() and (run / "checkpoints/best").is_symlink()
    assert not os.path.isabs(os.readlink(run / "checkpoints/best"))
    assert list(run.glob("events.out.tfevents.*"))


def test_the_next_run_without_out_gets_a_free_number(toy, tmp_path):
    """A second run that writes over the first."""
    toy("--epochs", 1)
    assert toy("--epochs", 1).returncode == 0
    assert (tmp_path / "runs/toy/toy-5-2/summary.json").exists()


def test_each_part_of_a_resumed_run_says_what_it_ran_with(tmp_path):
    """Numbers ascribed to the code that began a run, where other code made most of them."""
    begun = {"python": "3.11", "time": "1", "git_commit": "a", "git_dirty": False, "command": ["x"]}
    assert environment.record(tmp_path, begun, None) == []
    later = begun | {"python": "3.12", "time": "2", "git_commit": "b", "command": ["y"]}
    changed = environment.record(tmp_path, later, 7)
    assert changed == ["python: 3.11 then, 3.12 now"]
    kept = json.loads((tmp_path / "environment.json").read_text())
    (part,) = kept.pop("resumed")
    assert kept == begun
    assert part == {"step": 7, "time": "2", "git_commit": "b", "git_dirty": False,
                    "command": ["y"], "differences": changed}  # fmt: skip


def test_an_audited_run_has_the_bits_of_one_that_is_not(toy, tmp_path):
    """Looking changes what is looked at: an audit that draws from the run's generator."""
    toy("--out", "plain")
    toy("--out", "audited", "--audit-every", 2)
    plain, audited = left_by(tmp_path / "plain"), left_by(tmp_path / "audited")
    assert plain["tensors"] == audited["tensors"]
    kept = [line for line in audited["lines"] if line["kind"] == "epoch"]
    assert kept == plain["lines"]
    assert len(audited["lines"]) > len(kept)


def test_a_directory_with_another_run_is_refused_and_left_alone(toy, tmp_path):
    """A typo in --out that overwrites a week of training."""
    toy("--out", "run")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    refused = toy("--out", "run", "--lr", 0.5)
    assert refused.returncode == 2
    assert (
        refused.stderr.count("\n") == 1 and "holds another run: lr is 0.01 there" in refused.stderr
    )
    again = toy("--out", "run")
    assert again.returncode == 2 and "--resume run" in again.stderr
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before


def test_resuming_a_finished_run_says_so(toy):
    """A finished run that trains on by accident, or fails a batch job."""
    toy("--out", "run")
    again = toy("--resume", "run")
    assert again.returncode == 0 and "is finished" in again.stdout


def test_a_finished_run_goes_on_with_more_epochs(toy, tmp_path):
    """Training longer must be the same as having asked for it at the start."""
    toy("--out", "short")
    toy("--out", "long", "--epochs", 5)
    more = toy("--resume", "short", "--epochs", 5)
    assert more.returncode == 0, more.stderr
    short, long = left_by(tmp_path / "short"), left_by(tmp_path / "long")
    assert short["tensors"] == long["tensors"] and short["lines"] == long["lines"]


def test_a_changed_option_is_refused_at_a_resume(toy):
    """--resume with another learning rate silently makes a run that nobody can repeat."""
    toy("--out", "run", "--epochs", 1)
    refused = toy("--resume", "run", "--lr", 0.5, "--epochs", 2)
    assert refused.returncode == 2
    assert "--lr" in refused.stderr and "--allow-change lr" in refused.stderr
    assert (
        toy("--resume", "run", "--lr", 0.5, "--epochs", 2, "--allow-change", "lr").returncode == 0
    )


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(toy, tmp_path):
    """A disk that fills up while a checkpoint is written must not take the one before along."""
    toy("--out", "run", "--epochs", 1)
    before = (tmp_path / "run/checkpoints/last/tensors.safetensors").read_bytes()
    full = toy("--resume", "run", "--epochs", 2, limit=8000)
    assert full.returncode == 1
    assert full.stderr.strip().count("\n") == 0 and "tensors.safetensors" in full.stderr
    assert "Traceback" not in full.stderr
    last = tmp_path / "run/checkpoints/last/tensors.safetensors"
    assert last.read_bytes() == before
    assert not list((tmp_path / "run/checkpoints").glob(".writing*"))
    assert toy("--resume", "run", "--epochs", 2).returncode == 0


def test_a_directory_that_cannot_be_made_is_one_line(toy, tmp_path):
    """A traceback where a path would do."""
    (tmp_path / "file").write_text("not a folder")
    refused = toy("--out", "file/run")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1 and "file/run" in refused.stderr


def test_a_loss_that_is_not_finite_stops_the_run(toy, tmp_path):
    """Days of training on NaN; or a checkpoint of it that replaces the last good one."""
    stopped = toy("--out", "run", kill="nan:7")
    assert stopped.returncode == 1
    assert "the loss is nan in epoch 2" in stopped.stderr
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["status"] == "failed" and "nan" in summary["reason"]
    state = json.loads((tmp_path / "run/checkpoints/last/state.json").read_text())
    assert state["run"]["step"] == 5


def test_two_processes_cannot_write_one_run(toy, tmp_path):
    """Two jobs with one --out interleave their checkpoints."""
    import filelock

    (tmp_path / "run").mkdir()
    with filelock.FileLock(tmp_path / "run/.lock"):
        refused = toy("--out", "run")
    assert refused.returncode == 1 and "another process is writing this run" in refused.stderr


def test_a_checkpoint_of_another_network_names_the_tensor(toy, tmp_path):
    """Shapes that broadcast load without a word."""
    toy("--out", "run", "--epochs", 1)
    path = tmp_path / "run/checkpoints/last/state.json"
    state = json.loads(path.read_text())
    state["tensors"]["net.0.weight"]["shape"] = [1, 64]
    path.write_text(json.dumps(state))
    refused = toy("--resume", "run", "--epochs", 2)
    assert refused.returncode == 1
    assert "net.0.weight has shape [1, 64], the learner's is [32, 64]" in refused.stderr


def test_a_damaged_checkpoint_names_its_file(toy, tmp_path):
    """A torn copy of a run, from another disk."""
    toy("--out", "run", "--epochs", 1)
    path = tmp_path / "run/checkpoints/last/tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refused = toy("--resume", "run", "--epochs", 2)
    assert refused.returncode == 1 and "tensors.safetensors" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_early_stopping_stops_where_its_definition_says_also_after_a_kill(toy, tmp_path):
    """Patience that counts from the resume: the resumed run trains longer than the unbroken one."""
    options = ("--epochs", 40, "--patience", 2)
    assert toy(*options, "--out", "run").returncode == 0
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    lines = metrics(tmp_path / "run")
    accuracies = [line["test_accuracy"] for line in lines]  # epoch 0 first
    stalled = [
        e
        for e in range(3, len(accuracies) + 1)
        if max(accuracies[e - 2 : e]) <= max(accuracies[: e - 2])
    ]
    assert summary["epochs"] + 1 == stalled[0] == len(accuracies) < 40
    assert summary["status"] == "finished" and "no better test accuracy" in summary["reason"]
    killed = toy(*options, "--out", "killed", kill=f"step:{5 * (summary['epochs'] - 1) + 2}")
    assert killed.returncode == -9
    assert toy("--resume", "killed").returncode == 0
    assert left_by(tmp_path / "killed") == left_by(tmp_path / "run")
    again = toy("--resume", "killed")
    assert again.returncode == 0 and "is finished" in again.stdout
