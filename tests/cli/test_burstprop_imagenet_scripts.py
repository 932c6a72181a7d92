"""train_imagenet as its user types it: what it trains, writes, prints, goes on from and refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from burstprop.train_imagenet import main
from common.data.image_folder import FolderSplit
from common.errors import UsageError, UserError
from tests.helpers import commands
from tests.helpers.records import metrics, tensorboard

SAMPLE = Path(__file__).parents[2].parent / "shared/data/imagenette_sample"
NARROW = ["--width", 0.1, "--workers", 0, "--threads", 1]
DIGITS = [*NARROW, "--data", "digits", "--limit-train", 24, "--limit-test", 12, "-batch_size", 8]
DEFAULTS = {
    "epochs": 50,
    "batch_size": 128,
    "validation": False,
    "hidden_lr": 0.01,
    "output_lr": 0.01,
    "weight_fa_std": 0.01,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "p_baseline": 0.2,
    "use_backprop": False,
    "weight_fa_learning": True,
    "kappa": 1e-5,
    "use_adam": False,
    "resume_path": None,
    "info": "",
}


def start(*words: object):
    return commands.start(main, *words)


def parsed(monkeypatch, *words: object):
    """The options that the program gets."""
    monkeypatch.setattr(type(main), "invoke", lambda self, ctx: ctx.obj)
    return start(*words)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of two images, in train and val."""
    random = np.random.default_rng(0)
    for i in range(8):
        place = tmp_path / "images" / ("train", "val")[i % 2] / f"class{i // 4}" / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)).save(place)
    return tmp_path / "images"


def test_defaults_are_the_originals(monkeypatch) -> None:
    """A default that drifted: two runs that are called by one command are not one."""
    options = parsed(monkeypatch, "results", "data")
    assert {name: getattr(options, name) for name in DEFAULTS} == DEFAULTS
    assert (str(options.out), str(options.data_dir)) == ("results", "data")


def test_every_option_answers_to_its_spellings(monkeypatch) -> None:
    """An option of somebody's script that is refused, or that lands elsewhere."""
    values = {
        "n_epochs": 3,
        "batch_size": 7,
        "validation": "True",
        "hidden_lr": 0.5,
        "output_lr": 0.25,
        "weight_fa_std": -1.0,
        "momentum": 0.5,
        "weight_decay": 0.125,
        "p_baseline": 0.5,
        "use_backprop": "TRUE",
        "weight_fa_learning": "false",
        "kappa": 0.5,
        "use_adam": "true",
        "info": "a b",
    }
    for name, value in values.items():
        modern = name.replace("_", "-")
        spellings: list[tuple] = [(f"-{name}", value), (f"-{name}={value}",), (f"--{name}", value)]
        spellings += [(f"--{modern}={value}",), (f"-{name[:-1]}", value)]
        text = str(value).lower()
        expected = text == "true" if text in ("true", "false") else value
        for words in spellings:
            options = parsed(monkeypatch, "r", "d", *words)
            assert getattr(options, "epochs" if name == "n_epochs" else name) == expected, words


@pytest.mark.parametrize(
    "words, message",
    [
        (("r",), "argument DATA_PATH is missing"),
        (("r", "d", "-use_adam", "1"), r"option -use_adam \(=1\) must be True or False"),
        (("r", "d", "-validation", "yes"), r"option -validation \(=yes\) must be True or False"),
        (("r", "d", "-kappa", "0"), r"option -kappa \(=0\) must be > 0"),
        (("r", "d", "-p_baseline", "0"), r"option -p_baseline \(=0\) must be > 0"),
        (("r", "d", "--image-size", "192"), r"option --image-size \(=192\) must be >= 193"),
        (("r", "d", "-resume_path", "none.tar"), r"option -resume_path \(=none.tar\) must be a"),
        (("r", "d", "--precision", "bfloat16", "--no-exact-differences"), "nothing would be left"),
        (("r", "d", "--test-transform", "centre"), "one of center, random"),
        (("r", "d", "-n_epoch", "3", "-recurrent_input", "True"), "-recurrent_input is unknown"),
    ],
)
def test_what_cannot_be_is_one_line(words, message, tmp_path, monkeypatch) -> None:
    """A wrong boolean was False in silence; a wrong path was no resume."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        start(*words)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_image_folder_is_named(folder, tmp_path) -> None:
    """A missing val/, an empty class, an image that does not decode: one line with its path."""
    pytest.importorskip("torch")
    words = [*NARROW, "-batch_size", 2, "-n_epochs", 1]
    bad = folder / "train/class1/4.png"
    whole = bad.read_bytes()
    bad.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"train/class1/4\.png: does not decode"):
        start(tmp_path / "a", folder, *words)
    bad.write_bytes(whole)
    (folder / "val").rename(folder / "validation")
    with pytest.raises(UserError, match="image folder is missing.*images/val"):
        start(tmp_path / "b", folder, *words)
    assert not (tmp_path / "b").exists()
    with pytest.raises(UserError, match="looked at .*nowhere/train"):
        start(tmp_path / "b", tmp_path / "nowhere", *words)


@pytest.mark.parametrize("rule", ["burstprop", "feedback_alignment", "backprop"])
def test_a_results_directory_has_what_the_originals_users_parse(rule, tmp_path, capsys) -> None:
    """A file, a key, a tag or a printed line that somebody's script looks for in vain."""
    torch = pytest.importorskip("torch")
    more = {
        "feedback_alignment": ["-weight_fa_learning", "False", "--compat", "original"],
        "backprop": ["-use_backprop", "True"],
    }.get(rule, [])
    start(tmp_path, *DIGITS, "-n_epochs", 2, "-batch_size", 2, *more, "-info", "hello world")
    printed = capsys.readouterr().out
    assert len(re.findall(r" \* Acc@1 \d+\.\d{3} Acc@5 \d+\.\d{3}", printed)) == 3
    steps = r"Epoch: \[1\]\[10/12\]  Time .*Data .*Loss .*Acc@1 [\d.]+ \([\d.]+\)  Acc@5 [\d.]+ \("
    assert re.search(steps, printed)
    parameters = (tmp_path / "params.txt").read_text()
    assert "info: hello world" in parameters and "lr: [0.01, " in parameters
    layers = [*(f"conv{i}" for i in range(1, 8)), "fc1"]
    kinds = ("weight", "bias") if rule == "backprop" else ("weight", "bias", "weight_fa")
    names = [f"{layer}.{kind}" for layer in layers for kind in kinds]
    first, last = (
        torch.load(tmp_path / f, weights_only=True) for f in ("initial_model.pth", "model.pth")
    )
    for name in names:
        changed = not (rule == "feedback_alignment" and name.endswith("_fa"))
        assert torch.equal(first[name], last[name]) != changed, name
    saved = torch.load(tmp_path / "checkpoint.pth.tar", weights_only=True)
    best = torch.load(tmp_path / "best_model.pth.tar", weights_only=True)
    history = metrics(tmp_path, "epoch")
    top = max(history[1:], key=lambda line: line["test_accuracy"])
    assert (saved["epoch"], best["epoch"]) == (2, top["epoch"])
    assert saved["best_acc1"] == best["best_acc1"] == top["test_accuracy"]
    assert sorted(saved["state_dict"]) == sorted(names) == sorted(last)
    groups = saved["optimizer"]["param_groups"]
    assert len(groups) == (1 if rule == "backprop" else 8)
    assert all(torch.equal(saved["state_dict"][n], last[n]) for n in names)
    scalars = tensorboard(tmp_path)
    for tag, key in {
        "Top-1_Accuracy": "accuracy",
        "Top-5_Accuracy": "top5_accuracy",
        "Loss": "loss",
    }.items():
        for half, epochs in (("Test", history), ("Train", history[1:])):
            expected = [(e["epoch"], e[f"{half.lower()}_{key}"]) for e in epochs]
            assert [s for s, _ in scalars[f"{half}_{tag}"]] == [s for s, _ in expected]
            assert [v for _, v in scalars[f"{half}_{tag}"]] == pytest.approx(
                [v for _, v in expected], rel=1e-6
            )
    assert [f"weight_angle/{i}" in scalars for i in range(8)] == [rule != "backprop"] * 8
    for name in ("config.json", "environment.json", "summary.json", "train_imagenet.py"):
        assert (tmp_path / name).is_file()
    assert json.loads((tmp_path / "summary.json").read_text())["rule"] == rule


@pytest.mark.parametrize(
    "more", [[], ["-use_adam", "True", "-weight_fa_learning", "False"], ["-use_backprop", "True"]]
)
def test_an_originals_checkpoint_is_gone_on_from(more, tmp_path, capsys) -> None:
    """Momenta of other weights, an epoch or a best accuracy that starts again, rates that decay
    twice (burstprop, D6): the run that reads the file has the bits of the one that wrote it."""
    torch = pytest.importorskip("torch")
    start(tmp_path / "whole", *DIGITS, *more, "-n_epochs", 3)
    start(tmp_path / "part", *DIGITS, *more, "-n_epochs", 2)
    file = tmp_path / "part/checkpoint.pth.tar"
    saved = torch.load(file, weights_only=True)
    # As data-parallel training names them, and with rates of another time.
    saved["state_dict"] = {f"module.{k}": v for k, v in saved["state_dict"].items()}
    for group in saved["optimizer"]["param_groups"]:
        group["lr"] = 123.0
    saved["best_acc1"] = torch.tensor(99.0)
    torch.save(saved, file)
    spelling = "--resume" if more else "-resume_path"
    start(tmp_path / "on", *DIGITS, *more, "-n_epochs", 3, spelling, file)
    whole, on = (
        torch.load(tmp_path / run / "checkpoint.pth.tar", weights_only=True)
        for run in ("whole", "on")
    )
    assert on["epoch"] == 3 and on["best_acc1"] == 99.0
    assert not (tmp_path / "on/best_model.pth.tar").exists()
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, on["state_dict"][name]), name
    assert [line["epoch"] for line in metrics(tmp_path / "on", "epoch")] == [2, 3]
    assert metrics(tmp_path / "on", "epoch")[-1]["lr"] == 0.01
    file.unlink()
    with pytest.raises(SystemExit):
        start("--resume", tmp_path / "on")
    assert "this run is finished (3 epochs)" in capsys.readouterr().out


def test_a_checkpoint_of_another_net_is_refused(tmp_path) -> None:
    """A tensor that is left out in silence; a file that could execute something."""
    torch = pytest.importorskip("torch")
    start(tmp_path / "part", *DIGITS, "-n_epochs", 1)
    file = tmp_path / "part/checkpoint.pth.tar"
    for words, message in {
        ("-use_backprop", "True"): "has .*weight_fa, which this network has not; check -use_b",
        ("-weight_fa_learning", "False"): r"has shape \(.*\), ours",
        ("-use_adam", "True"): "its optimiser has no step of conv1.weight; check -use_adam",
        ("-n_epochs", 1): r"option -n_epochs \(=1\) must be more than 1",
    }.items():
        with pytest.raises(UserError, match=message):
            start(tmp_path / "on", *DIGITS, *words, "-resume_path", file)
    torch.save({"epoch": 1}, file)
    with pytest.raises(UserError, match="not a checkpoint of this program: it has no 'state_dict'"):
        start(tmp_path / "on", *DIGITS, "-resume_path", file)
    torch.save({"state_dict": SAMPLE}, file)
    with pytest.raises(UserError, match="not a whole checkpoint of plain tensors"):
        start(tmp_path / "on", *DIGITS, "-resume_path", file)
    assert not (tmp_path / "on").exists()


def test_rates_fall_every_thirty_epochs() -> None:
    """Epoch 30 of an epoch count that starts at 1, or a decay on top of a decay."""
    pytest.importorskip("torch")
    from common.runs.schedules import steps

    assert [steps(1.0, e) for e in (0, 29, 30, 59, 60)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_tests_are_centred_and_the_hold_out_is_apart(folder, tmp_path) -> None:
    """Test images that are cropped at random unasked (burstprop, D5), or trained on."""
    torch = pytest.importorskip("torch")
    from burstprop.imagenet import program
    from burstprop.imagenet.tasks import Task, load_task
    from common.backends.torch_distributed import World
    from common.data.torchvision_transforms import centre_crop

    def first(*words):
        """The task and the first batches of the program that these words start."""
        seen, streams = [], Task.streams

        def watched(task, *arguments, **named):
            made = streams(task, *arguments, **named)
            seen.extend([task, *(next(iter(stream))[0] for stream in made)])
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Task, "streams", watched)
            with pytest.MonkeyPatch.context() as inner:
                options = parsed(inner, tmp_path / "r", folder, *NARROW, *words)
            program.train(options)
        return seen

    task, _, centre = first("-batch_size", 4)
    image = centre_crop(224)(Image.open(task.test.paths[0])).float() / 255
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    torch.testing.assert_close(centre[0], (image - mean) / std, rtol=1e-4, atol=1e-5)
    _, _, random = first("-batch_size", 4, "--test-transform", "random")
    assert random.shape == centre.shape and not torch.equal(random, centre)
    held, _, _ = first("-batch_size", 4, "-validation", "True")
    assert (len(held.train), len(held.test)) == (3, 1)
    assert isinstance(held.train, FolderSplit) and isinstance(task.train, FolderSplit)
    assert isinstance(held.test, FolderSplit)
    assert set(held.train.paths) | set(held.test.paths) == set(task.train.paths)
    again = load_task("image_folder", folder, 224, validation=True)
    assert isinstance(again.test, FolderSplit)
    assert again.test.paths == held.test.paths
    with pytest.raises(UsageError, match=r"batch_size \(=5\) must be a multiple of the 2 proc"):
        task.streams(World(0, 2), 5, 224)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="needs ../shared/data/imagenette_sample")
def test_the_loss_falls_on_real_photographs(tmp_path, capsys) -> None:
    """A pipeline that delivers noise, labels of other images, or a rule that does not learn."""
    pytest.importorskip("torch")
    words = [*NARROW, "--limit-train", 48, "--limit-test", 20, "-batch_size", 16, "--quiet"]
    burst = ["-weight_fa_std", 0, "-hidden_lr", 0.03, "-output_lr", 0.03]
    start(tmp_path / "burst", SAMPLE, *words, "-n_epochs", 6, *burst, "--audit")
    start(
        tmp_path / "bp", SAMPLE, *words, "-n_epochs", 6, "-use_backprop", "True", "-output_lr", 0.05
    )
    for run in ("burst", "bp"):
        history = metrics(tmp_path / run, "epoch")[1:]
        assert history[-1]["train_loss"] < history[0]["train_loss"] - 0.01
        assert all(0 <= e["test_accuracy"] <= e["test_top5_accuracy"] <= 100 for e in history)
    assert json.loads((tmp_path / "bp/environment.json").read_text())["data"].keys() == {
        "train",
        "val",
    }
