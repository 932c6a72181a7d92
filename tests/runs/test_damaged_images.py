"""An image that does not decode: found before training where asked, told with file and epoch where
a run meets it, and no epoch lost."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the streams are PyTorch's")
pytest.importorskip("torchvision", reason="its transforms")
pytest.importorskip("lmdb", reason="s3net's extra")
from burstprop.train_imagenet import main as burstprop  # noqa: E402
from common.data.check_data import check  # noqa: E402
from common.data.image_folder import ImageFolder  # noqa: E402
from common.errors import UserError  # noqa: E402
from s3net.imagenet import program  # noqa: E402
from s3net.imagenet.train import main as s3net  # noqa: E402
from tests.helpers.records import left  # noqa: E402

SMALL = (
    "--arch s3net_new1 --image-size 32 --batch-size 4 --epochs 2 --workers 0 --threads 1 "
    "--quiet --print-freq 0"
).split()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of four training images and two validation images."""
    random = np.random.default_rng(2)
    for half, n in (("train", 4), ("val", 2)):
        for wnid in ("n1", "n2"):
            for i in range(n):
                path = tmp_path / "data" / half / wnid / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(random.integers(0, 256, (34, 36, 3), np.uint8)).save(path)
    return tmp_path / "data"


def tiny(arch: str = "", outputs: int = 2) -> Any:
    """A network that trains in no time."""
    nn = torch.nn
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, outputs))


@pytest.fixture(autouse=True)
def small(monkeypatch) -> None:
    monkeypatch.setattr(program, "make_network", tiny)


def train(*words: object) -> None:
    s3net(list(map(str, words)), standalone_mode=False)


def spoil(path: Path) -> bytes:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return data


def spoil_in_epoch(monkeypatch, number: int, path: Path) -> list[bytes]:
    """Spoil a file as soon as the epoch (from 1) begins; its bytes, in a list."""
    kept: list[bytes] = []
    rate = program.steps

    def spoiling(lr: float, epoch: int) -> float:
        if epoch == number - 1:
            kept.append(spoil(path))
        return rate(lr, epoch)

    monkeypatch.setattr(program, "steps", spoiling)
    return kept


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_meets_a_bad_image_says_file_and_epoch_and_goes_on_later(
    root, tmp_path, monkeypatch, workers
):
    """Two days of training lost to one file, and a message that does not say when."""
    train(root, *SMALL, "--workers", workers, "--out", tmp_path / "whole")
    bad = root / "train/n2/1.png"
    kept = spoil_in_epoch(monkeypatch, 2, bad)
    run = tmp_path / "cut"
    with pytest.raises(UserError) as caught:
        train(root, *SMALL, "--workers", workers, "--out", run)
    message = str(caught.value)
    assert message.startswith(f"{bad}: does not decode as an image (truncated)")
    assert "met in epoch 2 while training; the last whole checkpoint is" in message
    assert str((run / "checkpoints/last").resolve()) in message and "\n" not in message
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "failed" and str(bad) in summary["reason"]
    monkeypatch.undo()
    monkeypatch.setattr(program, "make_network", tiny)
    bad.write_bytes(kept[0])
    train("--resume", run)
    assert left(run) == left(tmp_path / "whole")


def test_a_bad_validation_image_is_told_with_its_epoch_too(root, tmp_path, monkeypatch):
    """It is met after an epoch's hours, not before them."""
    bad = root / "val/n1/0.png"
    spoil_in_epoch(monkeypatch, 2, bad)
    with pytest.raises(UserError) as caught:
        train(root, *SMALL, "--out", tmp_path / "run")
    assert str(caught.value).startswith(f"{bad}: does not decode")
    assert "met in epoch 2 while evaluating (test)" in str(caught.value)
    saved = json.loads((tmp_path / "run/checkpoints/last/state.json").read_text())
    assert saved["run"]["epoch"] == 1


@pytest.mark.parametrize("half", ["train", "val"])
@pytest.mark.parametrize("paper", ["s3net", "burstprop"])
def test_check_data_finds_it_before_training(root, tmp_path, paper, half):
    """Hours into the run is late; nothing may have begun."""
    bad = root / half / "n2/1.png"
    spoil(bad)
    run = tmp_path / "run"
    with pytest.raises(UserError, match="1 of 12 images are bad") as caught:
        if paper == "s3net":
            train(root, *SMALL, "--out", run, "--check-data")
        else:
            words = [run, root, "-batch_size", 4, "--workers", 0, "--quiet", "--check-data"]
            burstprop(list(map(str, words)), standalone_mode=False)
    assert f"{bad}: does not decode as an image (truncated)" in str(caught.value)
    assert not run.exists()


def test_a_check_of_whole_images_says_nothing_and_changes_nothing(root, tmp_path):
    """The check is no part of the run: a run with it has the bits of one without."""
    train(root, *SMALL, "--out", tmp_path / "plain")
    train(root, *SMALL, "--out", tmp_path / "checked", "--check-data")
    assert left(tmp_path / "plain") == left(tmp_path / "checked")


class Half:
    """One of two processes, the other's numbers known."""

    def __init__(self, rank: int, theirs: list[float]) -> None:
        self.rank, self.size, self.theirs = rank, 2, theirs

    def gather(self, values):
        rows = [self.theirs, list(values)]
        return rows if self.rank else rows[::-1]


def test_processes_share_the_check_and_all_of_them_tell(root):
    """A process that goes on alone waits for the others for ever."""
    train_set = ImageFolder(root).train  # n1: 0 to 3, n2: 4 to 7
    for index in (1, 2, 5, 7):
        spoil(Path(train_set.paths[index]))
    theirs = {0: [3.0, 1.0, 5.0, 7.0], 1: [1.0, 2.0, -1.0, -1.0]}  # what the other one finds
    for rank in (0, 1):
        with pytest.raises(UserError, match="4 of 8 images are bad") as caught:
            check({"images": train_set}, Half(rank, theirs[rank]), quiet=True)
        message = str(caught.value)
        assert [str(train_set.paths[i]) in message for i in (1, 2, 5)] == [True] * 3
        assert message.endswith("and 1 more")


def test_a_run_prints_classes_images_and_folder_and_ten_are_not_called_a_thousand(
    root, tmp_path, capsys
):
    """Two classes of twelve images are no ImageNet, in whatever folder they are."""
    train(root, *SMALL, "--out", tmp_path / "run")
    printed = capsys.readouterr().out
    where = f"{root / 'train'} and {root / 'val'}"
    assert f"imagenet_2: 2 classes, 8 training and 4 test images of {where}\n" in printed
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["dataset"], summary["name"]) == ("imagenet_2", "imagenet_2-s3net_new1")
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert environment["unverified"] == ["train", "val"]
