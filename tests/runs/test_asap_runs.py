"""asap.train killed in the middle of an epoch and resumed, in every mode: the same bits."""

import signal
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="asap trains with torch")
from tests.helpers import records  # noqa: E402
from tests.helpers.processes import train_and_kill  # noqa: E402

SMALL = ["--data", "digits", "--limit-train", "100", "--limit-test", "50", "--batch-size", "24",
         "--epochs", "2", "--width", "0.05", "--threads", "1", "--quiet", "--seed", "3",
         "--checkpoint-every", "2"]  # fmt: skip
MODES = {
    "bp": ["--feedback", "bp"],
    "fa": ["--feedback", "fa"],
    "dfa": ["--feedback", "dfa"],
    "kp": ["--feedback", "kp"],
    "asap": ["--feedback", "asap", "--audit"],
    "asap-adam": ["--feedback", "asap", "--optimizer", "adam", "--lr", "0.003"],
    "asap-wt": ["--feedback", "asap", "--wt"],
    "resnet18-dfa": ["--feedback", "dfa", "--model", "resnet18"],
    "resnet18-k4": ["--feedback", "asap_k4", "--model", "resnet18"],
}


def train(log: Path, *words: object, kill_at: int = 0) -> int | None:
    return train_and_kill(log, "asap.train", "asap.learner", *words, kill_at=kill_at)


def left(run: Path) -> tuple[bytes, list[dict], bytes]:
    """What every run leaves, and the original's file."""
    return *records.left(run), next((run / "checkpoint").glob("*.pth")).read_bytes()


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_run_goes_on_to_the_same_bits(mode: str, tmp_path: Path) -> None:
    """A momentum, a running statistic, a feedback weight or its recursion that is not stored."""
    words = [*SMALL, *MODES[mode]]
    log = tmp_path / "log"
    assert train(log, *words, "--out", tmp_path / "whole") == 0, log.read_text()
    assert train(log, *words, "--out", tmp_path / "cut", kill_at=9) == -signal.SIGKILL
    assert train(log, "--resume", tmp_path / "cut") == 0, log.read_text()
    assert left(tmp_path / "cut") == left(tmp_path / "whole")


def test_an_audit_changes_no_bits(tmp_path: Path) -> None:
    """Running statistics that the audit's forward passes moved."""
    log = tmp_path / "log"
    for name, more in (("plain", []), ("audited", ["--audit-every", 1])):
        words = [*SMALL, "--feedback", "asap", *more, "--out", tmp_path / name]
        assert train(log, *words) == 0, log.read_text()
    plain, audited = left(tmp_path / "plain"), left(tmp_path / "audited")
    assert plain[0] == audited[0]
    assert [line for line in audited[1] if line["kind"] == "epoch"] == plain[1]
    assert sum(line["kind"] == "audit" for line in audited[1]) == 11
