"""s3net's trainer killed in the middle of an epoch and resumed: the same bits."""

import signal
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="s3net trains with torch")
from tests.helpers.processes import SERVER, run_with_signal, train_and_kill  # noqa: E402
from tests.helpers.records import left  # noqa: E402

SMALL = ["--data", "digits", "--limit-train", "100", "--limit-test", "50", "--batch-size", "24",
         "--epochs", "2", "--image-size", "32", "--threads", "1", "--quiet", "--seed", "3",
         "--checkpoint-every", "2", "--lr-step", "1"]  # fmt: skip
CIFAR = ["--data", "digits", "--limit-train", "100", "--limit-test", "50", "--batch-size", "24",
         "--epochs", "2", "--growth-rate", "4", "--channels", "8", "--depth", "10",
         "--threads", "1", "--quiet", "--seed", "3", "--checkpoint-every", "2",
         "--dropout", "0.2"]  # fmt: skip

RANDOM = ["--data", "digits", "--limit-train", "100", "--limit-test", "50", "--batch-size", "24",
          "--epochs", "2", "--image-size", "32", "--threads", "1", "--quiet", "--seed", "3",
          "--checkpoint-every", "2"]  # fmt: skip
LEARNER = "s3net.learner"


def train(
    log: Path, *words: object, kill_at: int = 0, script: str = "s3net.tinyimagenet.train"
) -> int | None:
    return train_and_kill(log, script, LEARNER, *words, kill_at=kill_at)


@pytest.mark.parametrize("model", ["s3net_small", "resnet_small"])
@pytest.mark.parametrize("more", [(), ("--audit", "--dropout", "0.2", "--crop-border", "2")])
def test_a_killed_run_goes_on_to_the_same_bits(model: str, more: tuple, tmp_path: Path) -> None:
    """A momentum, a running statistic or a generator that is not stored."""
    words, log = [*SMALL, "--model", model, *more], tmp_path / "log"
    assert train(log, *words, "--out", tmp_path / "whole") == 0, log.read_text()
    assert train(log, *words, "--out", tmp_path / "cut", kill_at=8) == -signal.SIGKILL
    assert train(log, "--resume", tmp_path / "cut") == 0, log.read_text()
    assert left(tmp_path / "cut") == left(tmp_path / "whole")


def test_a_killed_cifar_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Dropout that draws other units, or a rate that is not the epoch's."""
    log, script = tmp_path / "log", "s3net.cifar100.train_S3Net"
    assert train(log, *CIFAR, "--out", tmp_path / "whole", script=script) == 0, log.read_text()
    cut = tmp_path / "cut"
    assert train(log, *CIFAR, "--out", cut, kill_at=8, script=script) == -signal.SIGKILL
    assert train(log, "--resume", cut, script=script) == 0, log.read_text()
    assert left(cut) == left(tmp_path / "whole")


def test_a_killed_random_network_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """Graphs drawn anew, or edges' weights that are not stored."""
    config = tmp_path / "c.yaml"
    config.write_text("channels: 8\nnodes: 12\nK: 3\n")
    log, script = tmp_path / "log", "s3net.tinyimagenet.Tiny_RandomlyWired"
    words = [*RANDOM, "--config", config]
    assert train(log, *words, "--out", tmp_path / "whole", script=script) == 0, log.read_text()
    cut = tmp_path / "cut"
    assert train(log, *words, "--out", cut, kill_at=8, script=script) == -signal.SIGKILL
    config.unlink()
    config.write_text("channels: 10\n")
    assert train(log, "--resume", cut, script=script) == 0, log.read_text()
    assert left(cut) == left(tmp_path / "whole")


def test_ctrl_c_tells_how_long_cifar_has_trained(tmp_path: Path) -> None:
    """A promise of the original, and a run that cannot be gone on with after it."""
    log, script = tmp_path / "log", "s3net.cifar100.train_S3Net"
    words = [*CIFAR, "--out", str(tmp_path / "run")]
    process = SERVER.Process(
        target=run_with_signal, args=(words, script, LEARNER, 3, signal.SIGINT, log)
    )
    process.start()
    process.join(240)
    assert process.exitcode == 130
    assert "0.0 minutes" in log.read_text() and "--resume" in log.read_text()
