"""Testing a stored network, and comparing learning curves, as their user types it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from brainprop import curves, evaluate
from common.errors import UsageError, UserError
from tests.helpers.records import metrics

QUICK = ["--limit-test", "90", "--threads", "1"]


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A run with its saved weights, made once."""
    pytest.importorskip("tensorflow")
    from brainprop.main import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("once"))
        words = ["MNIST", "conv", "BrainProp", "--data", "digits", "--limit-train", "256", *QUICK]
        words += ["--width", "0.2", "--batch-size", "32", "--std", "0.05", "--epochs", "3", "-s"]
        main.main([*words, "--quiet", "--out", "run"], standalone_mode=False)
        return Path.cwd()


@pytest.fixture
def here(once, tmp_path, monkeypatch):
    """Its files, here."""
    shutil.copytree(once, tmp_path / "made", symlinks=True)
    monkeypatch.chdir(tmp_path / "made")
    return tmp_path / "made"


def accuracy_of(capsys, *words: object) -> float:
    """The accuracy that evaluate prints."""
    capsys.readouterr()
    evaluate.main.main([*map(str, words), *QUICK], standalone_mode=False)
    printed = capsys.readouterr().out
    match = re.search(r"digits: test accuracy ([\d.]+) % \(90 images\)", printed)
    assert match, printed
    return float(match[1])


def test_a_run_its_h5_and_its_export_are_the_same_network(here, capsys):
    """Another epoch's weights, another width, or statistics left behind: another accuracy."""
    epochs = metrics(here / "run")
    best = max(line["test_accuracy"] for line in epochs if line["kind"] == "epoch")
    assert accuracy_of(capsys, "run", "--export", "net.safetensors") == pytest.approx(
        best, abs=0.01
    )
    assert accuracy_of(capsys, "net.safetensors") == pytest.approx(best, abs=0.01)
    assert accuracy_of(capsys, "digits_conv_BrainProp_weights.h5") == pytest.approx(best, abs=0.01)
    from safetensors import safe_open

    with safe_open("net.safetensors", "np") as file:
        about = json.loads(file.metadata()["about"])
        assert about["parameters"] == sum(file.get_tensor(n).size for n in file.keys())
    assert float(about["test_accuracy"]) == pytest.approx(best, abs=0.01)
    assert about["architecture"] == "conv" and len(about["classes"]) == 10


def test_weights_that_do_not_say_what_they_are_are_refused(here):
    """A foreign .h5 evaluated as some network that happens to fit."""
    from brainprop.files import stored

    model = stored.read(Path("digits_conv_BrainProp_weights.h5"))
    named = {f"x{i}.w": array for i, array in enumerate(model.arrays)}
    stored.write_h5(Path("silent.h5"), named, {})
    with pytest.raises(UsageError, match="does not say its dataset; use brainprop.main -l"):
        evaluate.main.main(["silent.h5", *QUICK], standalone_mode=False)


def test_a_network_that_is_not_what_it_says_is_one_line(here):
    """A safetensors file whose notes were edited."""
    from brainprop.files import stored

    model = stored.read(Path("run"))
    arrays = dict(zip(model.names or (), model.arrays, strict=True))
    for change, part in (
        ({"architecture": "dense"}, "does not match this network"),
        ({"width": 0.5}, "another data set, architecture or --width"),
        ({"architecture": "wide"}, "architecture (=wide) must be one of"),
    ):
        stored.write_safetensors(Path("other.safetensors"), arrays, {**model.about, **change})
        with pytest.raises(UserError) as caught:
            evaluate.main.main(["other.safetensors", *QUICK], standalone_mode=False)
        assert part in str(caught.value) and "\n" not in str(caught.value)


def test_a_run_of_another_paper_is_refused(here):
    """Weights of asap read as brainprop's."""
    config = json.loads((here / "run/config.json").read_text())
    (here / "run/config.json").write_text(json.dumps({**config, "paper": "asap"}))
    with pytest.raises(UserError, match="a run of asap, not of brainprop"):
        evaluate.main.main(["run", *QUICK], standalone_mode=False)


# -- learning curves ------------------------------------------------------------------------------


def run(folder: Path, rule: str, accuracies: list[float], **more: object) -> str:
    """A run directory as far as curves look at it."""
    folder.mkdir()
    options = {"dataset": "mnist", "architecture": "conv", "width": 1.0}
    options |= {"learning_algorithm": rule, "seed": 1, **more}
    document = {
        "creditlab": "0.1.0",
        "paper": "brainprop",
        "script": "brainprop.main",
        "name": f"mnist_conv_{rule}",
        "options": options,
    }
    (folder / "config.json").write_text(json.dumps(document))
    first = {"kind": "epoch", "epoch": 0, "test_accuracy": 99.9}  # before training: no epoch
    lines = [
        first,
        *(
            {"kind": "epoch", "epoch": e, "test_accuracy": value}
            for e, value in enumerate(accuracies, 1)
        ),
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder)


def test_the_ratio_is_that_of_the_first_epochs_that_reach_an_accuracy(tmp_path, capsys):
    """Best epochs, last epochs, or a rule divided by itself instead: the paper's 1 to 3.5."""
    runs = [
        run(tmp_path / "a", "BrainProp", [30, 60, 81, 79, 91]),
        run(tmp_path / "b", "BrainProp", [10, 20, 55, 70, 85, 90, 96], seed=2),
        run(tmp_path / "c", "EBP", [82, 80, 95]),
    ]
    curves.main.main([*runs, "--out", str(tmp_path / "out")], standalone_mode=False)
    (table,) = json.loads((tmp_path / "out/curves.json").read_text()).values()
    by_level = {row["accuracy"]: row for row in table}
    assert by_level[50] == {
        "accuracy": 50,
        "epochs": {"brainprop": [2, 3], "ebp": [1]},
        "ratio": 2.5,
    }
    assert by_level[80]["ratio"] == np.mean([3, 5])
    assert by_level[90]["ratio"] == round(np.mean([5, 6]) / 3, 2)
    # One run of the three does not get there: no ratio, rather than one of the lucky runs.
    assert by_level[95]["epochs"]["brainprop"] == [None, 7] and by_level[95]["ratio"] is None
    assert 99 not in by_level
    assert (tmp_path / "out/curves.png").read_bytes()[:4] == b"\x89PNG"
    assert "ratio 2.5" in capsys.readouterr().out


def test_networks_get_panels_of_their_own(tmp_path):
    """Curves of two networks averaged into one."""
    runs = [
        run(tmp_path / "a", "BrainProp", [60]),
        run(tmp_path / "b", "EBP", [70], architecture="dense"),
        run(tmp_path / "c", "EBP", [70], width=0.25),
    ]
    curves.main.main([*runs, "--out", str(tmp_path / "out")], standalone_mode=False)
    table = json.loads((tmp_path / "out/curves.json").read_text())
    assert sorted(table) == ["mnist conv", "mnist conv, widths × 0.25", "mnist dense"]
    assert all(row["ratio"] is None for rows in table.values() for row in rows)


def test_what_is_no_run_is_named(tmp_path):
    """A misspelt folder among many."""
    good = run(tmp_path / "a", "EBP", [60])
    with pytest.raises(UserError, match="nowhere is no run directory"):
        curves.main.main([good, str(tmp_path / "nowhere")], standalone_mode=False)
    (tmp_path / "a/config.json").write_text('{"options": {"dataset": "mnist"}}')
    with pytest.raises(UserError, match="is missing"):
        curves.main.main([good], standalone_mode=False)
