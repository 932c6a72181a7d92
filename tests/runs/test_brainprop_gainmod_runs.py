"""The gain-modulation experiment as its user runs it: it learns, resumes and refuses."""

import signal
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="brainprop trains with TensorFlow")
from brainprop.gain_modulation import main  # noqa: E402
from common.errors import UsageError  # noqa: E402
from tests.helpers.processes import train_and_kill  # noqa: E402
from tests.helpers.records import metrics, steady_lines  # noqa: E402

SCRIPT, LEARNER = "brainprop.gain_modulation", "brainprop.gain.learner"
SMALL = ["--dataset", "digits", "--hidden", "64-32", "--std", "0.1", "--lr-a", "0.05",
         "--threads", "1", "--quiet", "--seed", "3"]  # fmt: skip


def last(run: Path) -> dict:
    return metrics(run, "epoch")[-1]


@pytest.mark.parametrize("compat", ["corrected", "original"])
def test_it_learns_digits_with_either_preset(compat, tmp_path, capsys):
    """A rule that moves weights and learns nothing; a preset that breaks the script."""
    words = [*SMALL, "--epochs", "6", "--attention-span", "2", "--compat", compat]
    words += ["--batch-size", "8", "--lr-w", "8"]
    main.main([*words, "--out", str(tmp_path / "run")], standalone_mode=False)
    assert last(tmp_path / "run")["test_accuracy"] > 80
    assert "Epoch 6" in capsys.readouterr().out


def test_a_conv_network_and_batches_run(tmp_path):
    """Shapes that fit one sample and a dense layer only."""
    words = [*SMALL[:2], "--network", "conv", "--hidden", "4-4-8", "--batch-size", "32",
             "--limit-train", "200", "--epochs", "1", "--audit", "--quiet"]  # fmt: skip
    main.main([*words, "--out", str(tmp_path / "run")], standalone_mode=False)
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"layer4"' in text and last(tmp_path / "run")["val_loss"] > 0


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    """Draws that a resume begins anew; the leaking validation set of another epoch."""
    words, log = [*SMALL, "--limit-train", "60", "--epochs", "2", "--redrawn-validation",
                  "--checkpoint-every", "20"], tmp_path / "log"  # fmt: skip
    run = [tmp_path / "whole", tmp_path / "cut"]
    assert train_and_kill(log, SCRIPT, LEARNER, *words, "--out", run[0]) == 0, log.read_text()
    killed = train_and_kill(log, SCRIPT, LEARNER, *words, "--out", run[1], kill_at=80)
    assert killed == -signal.SIGKILL
    assert train_and_kill(log, SCRIPT, LEARNER, "--resume", run[1]) == 0, log.read_text()
    tensors = [(r / "checkpoints/last/tensors.safetensors").read_bytes() for r in run]
    assert tensors[0] == tensors[1] and steady_lines(run[0]) == steady_lines(run[1])


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--val-split", "0"], "--val-split (=0.0) holds out 0 of 1437"),
        (["--precision", "bfloat16"], "--precision (=bfloat16) must be float32 or float64"),
        (["--attention-span", "0"], "--attention-span (=0) must be >= 1"),
    ],
)
def test_what_cannot_be_is_refused_by_name(words, part, tmp_path):
    """A traceback from the middle of TensorFlow instead."""
    with pytest.raises(UsageError) as caught:
        main.main([*SMALL[:2], *words, "--out", str(tmp_path / "r")], standalone_mode=False)
    assert part in str(caught.value)
