"""The commands of LRA-E as their user types them: what they train, print, refuse and test."""

import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
from safetensors.numpy import load_file

from common.errors import UsageError, UserError
from lra_e.networks import draw_weights
from tests.helpers import commands
from tests.helpers.processes import as_script
from tests.helpers.records import metrics

TORCH = ("lra_e.mnist.mnist_torch", "lra_e.fmnist.fmnist_torch")
TF = (
    "lra_e.mnist.mnist_newTF",
    "lra_e.fmnist.fmnist_newTF",
    "lra_e.mnist.mnist",
    "lra_e.fmnist.fmnist",
)
QUICK = ["--data", "digits", "--limit-train", "300", "--quiet"]


def start(script: str, *words: object):
    if find_spec("torch" if script in TORCH else "tensorflow") is None:
        pytest.skip(f"the framework of {script} is not installed")
    return commands.start(script, *words)


@pytest.mark.parametrize("compat", ["corrected", "original"])
@pytest.mark.parametrize("script", TORCH + TF)
def test_every_script_learns_in_both_modes(script, compat, tmp_path, capsys):
    """A preset that breaks one of six scripts; a rule whose sign is wrong in one of them."""
    rates = ["--lr", "0.003"] if script.endswith("newTF") else []
    epochs = 30 if script in TF[2:] else 12  # plain gradient descent is slow
    start(script, *QUICK, "--epochs", epochs, "--compat", compat, "--out", tmp_path / "r", *rates)
    epochs_seen = metrics(tmp_path / "r", "epoch")
    assert epochs_seen[-1]["test_accuracy"] > 60
    assert epochs_seen[-1]["train_loss"] < epochs_seen[0]["train_loss"]
    printed = capsys.readouterr().out
    assert f"{epochs_seen[-1]['val_accuracy']:.2f}" in printed and "Test Accuracy" in printed


@pytest.mark.parametrize("script", ["lra_e.mnist.mnist_torch", "lra_e.mnist.mnist_newTF"])
def test_fixed_e_keeps_e_and_backprop_does_not_need_it(script, tmp_path):
    """A control condition that is not the control."""
    for rule in ("lra_e", "fixed_e", "bp"):
        start(script, *QUICK, "--epochs", 2, "--rule", rule, "--audit", "--out", tmp_path / rule)
    options = json.loads((tmp_path / "fixed_e/config.json").read_text())["options"]
    names = ("layers", "init", "std_w", "std_e", "seed")
    _, first = draw_weights(*(options[name] for name in names))
    tensors = load_file(tmp_path / "fixed_e/checkpoints/last/tensors.safetensors")
    for layer, E in enumerate(first, 2):
        assert (tensors[f"E{layer}"] == E.astype(np.float32)).all()
    angles = [x["feedback"]["E5"]["angle"] for x in metrics(tmp_path / "lra_e", "audit")]
    assert angles == sorted(angles, reverse=True) and angles[-1] < angles[0]
    credit = [x["credit"] for x in metrics(tmp_path / "bp", "audit")][-1]
    assert all(layer["angle"] < 0.1 for layer in credit.values())


def test_both_frameworks_train_alike_from_one_seed(tmp_path):
    """Same split, weights, order and rule: Keras rounds its rates to float32."""
    same = ["--std-e", 1.0, "--weight-decay", 0.01, "--adam-eps", 1e-8, "--hold-out", "last"]
    for script in ("lra_e.mnist.mnist_torch", "lra_e.mnist.mnist_newTF"):
        start(
            script,
            *QUICK,
            "--epochs",
            2,
            "--precision",
            "float64",
            *same,
            "--out",
            tmp_path / script,
        )
    torch_side, tf_side = (
        [x["train_loss"] for x in metrics(tmp_path / s)]
        for s in ("lra_e.mnist.mnist_torch", "lra_e.mnist.mnist_newTF")
    )
    assert torch_side == pytest.approx(tf_side, rel=1e-4)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--activation", "tahn"], "did you mean tanh"),
        (["--layers", "784"], "--layers (=784)"),
        (["--layers", "784-20-10", "--beta", "0"], "--beta"),
        (["--layers", "100-20-10"], "must begin with 784 pixels"),
        (["--rule", "dfa"], "must be one of lra_e, bp, fixed_e"),
        (["--precision", "bfloat16"], "must be float32 or float64"),
        (["--limit-train", "3"], "--validation"),
        (["--data", "imagenet"], "--data"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(words, part, tmp_path):
    """A traceback, or worse: a run that trains something else."""
    with pytest.raises(UsageError) as caught:
        start("lra_e.mnist.mnist_torch", *QUICK, *words, "--out", tmp_path / "r")
    assert part in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_a_file_that_is_no_data_set_is_named(tmp_path):
    """A truncated copy of MNIST: which of the four files?"""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte").write_bytes(b"not a data set")
    with pytest.raises(UserError) as caught:
        start(
            "lra_e.mnist.mnist_torch",
            "--data-dir",
            tmp_path,
            "--no-download",
            "--out",
            tmp_path / "r",
        )
    assert "-ubyte" in str(caught.value) and "\n" not in str(caught.value)


def test_the_papers_recipe_fills_in_what_is_not_typed(tmp_path):
    """--recipe paper --lr 0.5 must train at 0.5, and resume at 0.5."""
    start(
        "lra_e.mnist.mnist_torch",
        *QUICK,
        "--recipe",
        "paper",
        "--beta",
        "0.2",
        "--epochs",
        1,
        "--out",
        tmp_path / "r",
    )
    options = json.loads((tmp_path / "r/config.json").read_text())["options"]
    assert (options["optimizer"], options["lr"], options["beta"]) == ("sgd", 0.01, 0.2)
    assert options["std_e"] == pytest.approx(0.05**0.5)
    start("lra_e.mnist.mnist_torch", "--resume", tmp_path / "r", "--epochs", 2)
    assert json.loads((tmp_path / "r/config.json").read_text())["options"]["beta"] == 0.2


def test_a_run_is_tested_and_exported_without_a_framework(tmp_path, capsys):
    """The stored accuracy and the one that the exported file reaches are the same number."""
    from lra_e.evaluate import main

    start("lra_e.mnist.mnist_torch", *QUICK, "--epochs", 3, "--out", tmp_path / "r")
    final = metrics(tmp_path / "r", "epoch")[-1]
    capsys.readouterr()
    for words in ([tmp_path / "r", "--export", tmp_path / "m"], [tmp_path / "m"]):
        main.main(list(map(str, words)), standalone_mode=False)
        assert f"test accuracy {final['test_accuracy']:.2f} %" in capsys.readouterr().out
    for wrong in (tmp_path / "nothing", tmp_path / "r" / "metrics.jsonl"):
        with pytest.raises(UserError, match=wrong.name):
            main.main([str(wrong), "--data", "digits"], standalone_mode=False)


@pytest.mark.data
def test_the_stored_network_reaches_what_its_header_says(data_root):
    """Weights whose accuracy nobody has measured since."""
    from common.data.datasets import load
    from lra_e.evaluate import STORED, logits
    from lra_e.stored import read

    weights, about = read(STORED)
    test = load("mnist", data_root, download=False).test
    x = test.images.reshape(len(test), -1).astype(np.float32) / 255
    accuracy = 100 * float((logits(weights, x).argmax(1) == test.labels).mean())
    assert accuracy == pytest.approx(float(about["test_accuracy"]), abs=0.02)
    assert sum(w.size for w in weights.values()) == int(about["parameters"])


@pytest.mark.data
def test_the_original_program_on_real_mnist_is_found_again(data_root, tmp_path):
    """Its log of one epoch from seed 1234: loss 0.3025, train 90.83 %, validation 94.10 %."""
    start(
        "lra_e.mnist.mnist_torch",
        "--compat",
        "original",
        "--epochs",
        1,
        "--quiet",
        "--data-dir",
        data_root,
        "--out",
        tmp_path / "r",
    )
    line = metrics(tmp_path / "r", "epoch")[-1]
    assert line["train_loss"] == pytest.approx(0.3025, abs=2e-4)
    assert line["train_accuracy"] == pytest.approx(90.83, abs=0.05)
    assert line["val_accuracy"] == pytest.approx(94.10, abs=0.5)


def test_the_depth_study_draws_what_its_runs_hold(tmp_path, capsys, monkeypatch):
    """A figure of other numbers than the runs'; a study that starts over when asked to go on."""
    if find_spec("torch") is None:
        pytest.skip("the study trains with torch")
    from lra_e.deep import study
    from lra_e.deep.study import collect
    from lra_e.depth import main

    monkeypatch.setattr(study.subprocess, "run", as_script)

    words = [
        "--data",
        "digits",
        "--depth",
        "1",
        "--depth",
        "2",
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--limit-train",
        "200",
        "--rule",
        "lra_e",
        "--out",
        str(tmp_path),
    ]
    main.main(words, standalone_mode=False)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")}
    main.main(words, standalone_mode=False)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("metrics.jsonl")} == before
    records = collect(tmp_path)
    assert [(r["depth"], r["rule"]) for r in records] == [(1, "lra_e"), (2, "lra_e")]
    run = metrics(tmp_path / "digits/h2-lra_e/seed-1")
    assert records[1]["test_accuracy"] == [run[-1]["test_accuracy"]]
    last = [line for line in run if line["kind"] == "audit"][-1]
    assert records[1]["credit_angle"]["W1"] == pytest.approx(last["credit"]["W1"]["angle"])
    assert json.loads((tmp_path / "depth.json").read_text()) == records
    assert (tmp_path / "depth.png").stat().st_size > 10_000
    assert f"{run[-1]['test_accuracy']:.2f}" in capsys.readouterr().out


def test_the_depth_study_hands_on_what_its_run_says(tmp_path, monkeypatch):
    """A run that ended with code 1, and only its log knows why."""
    if find_spec("torch") is None:
        pytest.skip("the study trains with torch")
    from lra_e.deep.study import Case, train

    diverging = ["--limit-train", "200", "--epochs", "1", "--lr", "1e18"]
    with pytest.raises(UserError) as caught:
        train(Case("digits", 1, "lra_e", 1), tmp_path, ["--threads", "1"], diverging)
    line = str(caught.value)
    assert re.search(r"seed-1: the run ended with code 1: error: training stopped: the loss is "
                     r"(nan|inf) .*epoch 1.*seed-1\.log\)$", line), line  # fmt: skip
    assert "\n" not in line
