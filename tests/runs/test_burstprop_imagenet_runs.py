"""train_imagenet killed in the middle of an epoch and resumed: the same bits."""

import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="burstprop trains with torch")
pytest.importorskip("torchvision", reason="its transforms")
from tests.helpers import records  # noqa: E402
from tests.helpers.processes import train_and_kill  # noqa: E402

SAMPLE = Path(__file__).parents[2].parent / "shared/data/imagenette_sample"
SMALL = (
    "--limit-train 20 --limit-test 6 -batch_size 4 -n_epochs 2 --width 0.1 --workers 0 "
    "--threads 1 --quiet --seed 3 --checkpoint-every 2"
).split()
RULES = {
    "burstprop": ["--audit"],
    "feedback_alignment": ["-weight_fa_learning", "False", "-use_adam", "True"],
    "backprop": ["-use_backprop", "True"],
    "bfloat16": ["--precision", "bfloat16"],
}


def train(log: Path, *words: object, kill_at: int = 0) -> int | None:
    return train_and_kill(
        log, "burstprop.train_imagenet", "burstprop.imagenet.learner", *words, kill_at=kill_at
    )


def left(run: Path) -> tuple:
    """What every run leaves, and the original's weights."""
    saved = torch.load(run / "checkpoint.pth.tar", weights_only=True)
    weights = {name: t.numpy().tobytes() for name, t in saved["state_dict"].items()}
    return *records.left(run), weights, saved["best_acc1"]


@pytest.mark.parametrize("rule", RULES)
def test_a_killed_run_goes_on_to_the_same_bits(rule: str, tmp_path: Path) -> None:
    """A momentum, the best accuracy, a crop or an order that is not that of the unbroken run."""
    words, log = [tmp_path / "whole", "--data", "digits", *SMALL, *RULES[rule]], tmp_path / "log"
    assert train(log, *words) == 0, log.read_text()
    words[0] = tmp_path / "cut"
    assert train(log, *words, kill_at=9) == -signal.SIGKILL
    assert train(log, "--resume", tmp_path / "cut") == 0, log.read_text()
    assert left(tmp_path / "cut") == left(tmp_path / "whole")


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="needs ../shared/data/imagenette_sample")
def test_a_killed_run_on_photographs_goes_on_with_other_workers(tmp_path: Path) -> None:
    """Crops that depend on which worker drew them, or on where in the epoch it was."""
    words, log = [tmp_path / "whole", SAMPLE, *SMALL], tmp_path / "log"
    assert train(log, *words) == 0, log.read_text()
    words[0] = tmp_path / "cut"
    assert train(log, *words, "--workers", "2", kill_at=9) == -signal.SIGKILL
    assert train(log, "--resume", tmp_path / "cut", "--workers", "1") == 0, log.read_text()
    assert left(tmp_path / "cut") == left(tmp_path / "whole")


def test_an_audit_changes_no_bits(tmp_path: Path) -> None:
    """Gradients of the audit that the next step adds to."""
    log, states = tmp_path / "log", {}
    for name, more in (("plain", []), ("audited", ["--audit-every", "1"])):
        words = [tmp_path / name, "--data", "digits", *SMALL, "-use_backprop", "True", *more]
        assert train(log, *words) == 0, log.read_text()
        states[name] = left(tmp_path / name)
    assert states["plain"][0] == states["audited"][0]
    audits = [line for line in states["audited"][1] if line["kind"] == "audit"]
    assert len(audits) == 11 and set(audits[0]["credit"]) == {f"conv{i}" for i in range(1, 8)} | {
        "fc1"
    }
