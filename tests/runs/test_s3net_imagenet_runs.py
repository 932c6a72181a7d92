"""ImageNet's trainer killed in the middle of an epoch, resumed, and on two processes."""

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="s3net trains with torch")
pytest.importorskip("torchvision", reason="its transforms")
from tests.helpers import records  # noqa: E402
from tests.helpers.processes import train_and_kill, two_runs  # noqa: E402
from tests.helpers.records import metrics  # noqa: E402

SCRIPT, LEARNER = "s3net.imagenet.train", "s3net.imagenet.learner"
SMALL = [
    "-a",
    "s3net_small",
    "--image-size",
    32,
    "--threads",
    1,
    "--quiet",
    "--seed",
    3,
    "--lr",
    0.05,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six classes, 30 images to train on and 13 to validate on."""
    root, random = tmp_path_factory.mktemp("images"), np.random.default_rng(2)
    for half, count in (("train", 30), ("val", 13)):
        for i in range(count):
            path = root / half / f"n0{i % 6}" / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (36, 40, 3), np.uint8)).save(path)
    return root


def train(log: Path, *words: object, kill_at: int = 0) -> int | None:
    return train_and_kill(log, SCRIPT, LEARNER, *words, kill_at=kill_at)


def left(run: Path) -> tuple:
    """What every run leaves, and what the original would have left."""
    curves = sorted((run / "ImageNet").iterdir())
    return (
        *records.left(run),
        [(run / f"{n}.pth.tar").read_bytes() for n in ("checkpoint", "model_best")],
        [(curve.name, curve.read_text()) for curve in curves],
    )


def test_a_killed_run_goes_on_to_the_same_bits(folder, tmp_path) -> None:
    """Crops that are drawn anew, a count of the top five or a best accuracy that is forgotten."""
    words = [folder, *SMALL, "-b", 7, "--epochs", 3, "--checkpoint-every", 2, "-j", 0]
    log = tmp_path / "log"
    assert train(log, *words, "--out", tmp_path / "whole") == 0, log.read_text()
    cut = tmp_path / "cut"
    assert train(log, *words, "--out", cut, kill_at=9) == -signal.SIGKILL
    assert train(log, "--resume", cut, "-j", 0) == 0, log.read_text()
    assert "epoch 1, batch 3" in log.read_text()
    assert left(cut) == left(tmp_path / "whole")


def test_an_original_checkpoint_goes_on_to_the_same_bits(folder, tmp_path) -> None:
    """Momenta, rates, best accuracies or a count of epochs that the file's reader drops."""
    words = [folder, *SMALL, "-b", 10, "-j", 0]
    log = tmp_path / "log"
    assert train(log, *words, "--epochs", 1, "--out", tmp_path / "first") == 0, log.read_text()
    assert train(log, *words, "--epochs", 3, "--out", tmp_path / "whole") == 0, log.read_text()
    held = torch.load(tmp_path / "first/checkpoint.pth.tar", weights_only=True)
    held["state_dict"] = {f"module.{n}": t for n, t in held["state_dict"].items()}
    torch.save(held, tmp_path / "theirs.pth.tar")
    on = tmp_path / "on"
    words += ["--epochs", 3, "--resume", tmp_path / "theirs.pth.tar", "--out", on]
    # Killed in its first epoch: where it began must not be forgotten either.
    assert train(log, *words, kill_at=2) == -signal.SIGKILL
    assert train(log, "--resume", on) == 0, log.read_text()
    assert "epoch 1, batch 0" in log.read_text()
    ours, theirs = left(on), left(tmp_path / "whole")
    assert ours[0] == theirs[0] and ours[2][0] == theirs[2][0]
    assert [line["epoch"] for line in ours[1]] == [2, 3]
    for mine, whole in zip(ours[1], theirs[1][1:], strict=True):
        assert {k: v for k, v in mine.items() if k != "step"} == {
            k: v for k, v in whole.items() if k != "step"
        }
    for what, message in (
        ({"state_dict": held["state_dict"]}, "it has no 'epoch'"),
        (held | {"state_dict": {}}, "does not match this network"),
    ):
        torch.save(what, tmp_path / "odd.pth.tar")
        words = [folder, *SMALL, "--resume", tmp_path / "odd.pth.tar", "--out", tmp_path / "odd"]
        assert train(log, *words) == 1
        printed = log.read_text()
        assert message in printed and printed.startswith("error: ") and printed.count("\n") == 1, (
            printed
        )


def test_two_processes_train_one_network_and_test_every_image_once(folder, tmp_path) -> None:
    """Two writers in one directory; images of an odd validation set counted twice or never; a
    process that waits for a test batch that the other has not."""
    words = [*SMALL, "-b", 10, "--epochs", 2, "-j", 0, "--out", tmp_path / "run"]
    words = [folder, *words, "--world-size", 2]
    codes, logs = two_runs(tmp_path / "log", SCRIPT, LEARNER, *words)
    assert codes == [0, 0], logs
    assert "".join(logs).count(" * Acc@1") == 2
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [3, 6]
    for line in lines:
        for name in ("test_accuracy", "test_top5_accuracy"):
            assert round(line[name] * 13 / 100, 6) % 1 == 0
    import contextlib
    import io

    from s3net.imagenet.train import main

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main.main(
            [
                str(folder),
                "-e",
                "-a",
                "s3net_small",
                "--image-size",
                "32",
                "-j",
                "0",
                "--quiet",
                "--resume",
                str(tmp_path / "run/checkpoint.pth.tar"),
            ],
            standalone_mode=False,
        )
    assert f" * Acc@1 {lines[-1]['test_accuracy']:.3f}" in printed.getvalue()
