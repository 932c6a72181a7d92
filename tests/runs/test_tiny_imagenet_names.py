"""Some classes of Tiny ImageNet are never called tiny_imagenet: in no run, no row and no table."""

import csv
import json
from pathlib import Path

import pytest

from common.errors import UserError
from common.reports.measured import check_run
from common.reports.target_rows import read_targets
from common.runs.read_back import read_run
from tests.datasets.test_images import write_tiny
from tests.helpers.commands import start

ROOT = Path(__file__).parents[2]
COMMON = ["--no-download", "--epochs", "1", "--threads", "1", "--quiet", "--seed", "1"]


def assert_named(run: Path, text: str, folder: Path) -> None:
    """In what is printed, the run's files, and what a table reads."""
    counts = "3 classes, 6 training and 3 test images"
    assert f"tiny_imagenet_3: {counts} of {folder}\n" in text
    config, summary = (
        json.loads((run / f"{name}.json").read_text()) for name in ("config", "summary")
    )
    assert config["name"].startswith("tiny_imagenet_3") and summary["name"] == config["name"]
    assert config["dataset"] == summary["dataset"] == read_run(run).dataset == "tiny_imagenet_3"
    assert config["options"]["dataset"] == "tiny_imagenet"  # what --resume needs
    (run / "summary.json").unlink()
    assert read_run(run).dataset == "tiny_imagenet_3"  # of a run that goes on still


def test_in_a_run_of_s3net_and_its_evaluation(tmp_path: Path, monkeypatch, capsys):
    """58 % of 200 classes and 84 % of ten stood in one table under one name."""
    pytest.importorskip("torch")
    from s3net.tinyimagenet.evaluate import main as evaluate
    from s3net.tinyimagenet.train import main

    monkeypatch.chdir(tmp_path)
    folder = write_tiny(tmp_path)
    words = ["--data-dir", folder, "--model", "resnet_small", "--image-size", 32]
    start(main, *words, "--batch-size", 3, *COMMON)
    run = Path("runs/s3net/tiny_imagenet_3-resnet_small-1")
    export = tmp_path / "net.safetensors"
    start(evaluate, "--model-path", run, "--data-dir", folder, "--export", export)
    start(evaluate, "--model-path", export, "--data-dir", folder)
    printed = capsys.readouterr().out
    assert printed.count("3 test images of tiny_imagenet_3, torch") == 2
    assert "of 3 images of tiny_imagenet_3" in printed and "tiny_imagenet," not in printed
    assert_named(run, printed, folder)


def test_in_a_run_of_asap(tmp_path: Path, capsys):
    """The original's name of the weights says the data set as well."""
    pytest.importorskip("torch")
    from asap.train import main

    folder, run = write_tiny(tmp_path), tmp_path / "run"
    words = ["--dataset", "tiny_imagenet", "--data-dir", folder, "--model", "resnet18"]
    start(
        main, *words, "--feedback", "bp", "--width", 0.25, "--batch-size", 3, "--out", run, *COMMON
    )
    names = [path.name for path in (run / "checkpoint").iterdir()]
    assert names == ["tiny_imagenet_3_resnet18_bp.pth"]
    assert_named(run, capsys.readouterr().out, folder)


def test_in_the_files_and_figures_of_brainprop(tmp_path: Path, monkeypatch, capsys):
    """-s writes names of the original's: TinyImageNet means 200 classes there."""
    from brainprop.evaluate import weights_of
    from brainprop.files import outputs
    from brainprop.options import MainOptions
    from brainprop.recipes import original_name
    from brainprop.tasks import data_name

    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    options = MainOptions(architecture="deep", input_file=Path("mine.py"))
    dataset = original_name(data_name("tiny_imagenet", tmp_path, download=False))
    mine = outputs.names(Path(), dataset, "deep", "BrainProp")["weights.h5"]
    assert mine.name == "TinyImageNet_3_deep_BrainProp_weights.h5"
    Path("TinyImageNet_deep_BrainProp_weights.h5").write_bytes(b"of 200 classes")
    with pytest.raises(UserError, match="TinyImageNet_3_deep_BrainProp_weights.h5 is not here"):
        weights_of(options, dataset)
    mine.write_bytes(b"of three")
    assert weights_of(options, dataset) == mine


STORED = [path.parent for path in ROOT.glob("*/results/*/seed-*/environment.json")]


@pytest.mark.parametrize("folder", STORED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_in_a_stored_run_and_its_row(folder: Path):
    """The row's data set is the run's, and a run that read a subset says so."""
    read = json.loads((folder / "environment.json").read_text())["data"]
    subset = any(name.startswith("tiny-imagenet-") for name in read)
    assert "tiny-imagenet-200/train" not in read
    dataset = read_run(folder).dataset
    assert dataset == ("tiny_imagenet_10" if subset else dataset) and dataset != "tiny_imagenet"
    with open(folder.parents[2] / "targets.csv", encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    if folder.parent.name in rows:
        assert rows[folder.parent.name]["dataset"] == dataset


def test_a_row_on_another_data_set_than_its_run_is_an_error():
    """`targets update` notices by itself when somebody stores ten classes under 200."""
    folder = ROOT / "s3net"
    row = next(r for r in read_targets(folder / "targets.csv") if r.id == "tiny10_s3net")
    run = read_run(folder / "results/tiny10_s3net/seed-1")
    check_run(row, run)
    from dataclasses import replace

    with pytest.raises(UserError, match="a run on tiny_imagenet_10, the row says tiny_imagenet"):
        check_run(replace(row, dataset="tiny_imagenet"), run)
