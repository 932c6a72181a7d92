"""BrainProp's runs: killed and resumed to the bit, stopped in time."""

import json

import pytest

pytest.importorskip("tensorflow")

from tests.helpers.processes import train_and_kill  # noqa: E402
from tests.helpers.records import left_by, steady_lines  # noqa: E402

SCRIPT = ("brainprop.main", "brainprop.learner")
WORDS = ["MNIST", "conv", "BrainProp", "--data", "digits", "--width", "0.1", "--limit-train", "200",
         "--limit-test", "60", "--batch-size", "32", "--epochs", "3", "--checkpoint-every", "3",
         "--quiet", "--epsilon", "0.5", "--threads", "1"]  # fmt: skip


@pytest.mark.parametrize(
    "more", [[], ["--feedback", "separate", "--audit"]], ids=["plain", "own B"]
)
def test_a_killed_run_resumes_to_the_bits_of_an_unbroken_one(tmp_path, more):
    """Masks, actions or batch-norm statistics that differ after a resume."""
    words = [*WORDS, *more, "--out"]
    assert train_and_kill(tmp_path / "log", *SCRIPT, *words, tmp_path / "whole") == 0
    killed = train_and_kill(tmp_path / "log", *SCRIPT, *words, tmp_path / "broken", kill_at=12)
    assert killed == -9
    again = ["--resume", tmp_path / "broken", "--quiet"]
    assert train_and_kill(tmp_path / "log", *SCRIPT, *again) == 0, (tmp_path / "log").read_text()
    assert "resuming" in (tmp_path / "log").read_text()
    whole, broken = left_by(tmp_path / "whole"), left_by(tmp_path / "broken")
    assert whole["tensors"] == broken["tensors"]
    assert whole == broken
    assert len(whole["lines"]) == 3 + (4 if more else 0)


def test_training_stops_when_patience_is_over(tmp_path):
    """500 epochs where 46 were meant; or a resumed run that counts from zero."""
    words = [*WORDS, "--patience", "1", "--min-delta", "1", "--out", tmp_path / "run"]
    assert train_and_kill(tmp_path / "log", *SCRIPT, *words) == 0
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["epochs"] == 2 and "no improvement" in summary["reason"]
    assert summary["rule"] == "brainprop"
    assert [line["lr"] for line in steady_lines(tmp_path / "run")] == [0.1, 0.1]
