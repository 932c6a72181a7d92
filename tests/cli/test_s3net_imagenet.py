"""The ImageNet programs as their user types them: what they train, write, print and refuse."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
from common.errors import UsageError, UserError  # noqa: E402
from s3net.imagenet import folder2lmdb  # noqa: E402
from s3net.imagenet.train import main as train  # noqa: E402
from s3net.imagenet.validate_10crop import main as ten_crops  # noqa: E402
from tests.helpers.commands import start  # noqa: E402
from tests.helpers.records import steady_lines  # noqa: E402

SMALL = ["-a", "s3net_small", "--image-size", 32, "-j", 0, "--threads", 1, "--quiet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six classes of coloured noise: 36 images to train on, 18 to validate on."""
    root, random = tmp_path_factory.mktemp("images"), np.random.default_rng(1)
    for half, each in (("train", 6), ("val", 3)):
        for i in range(6 * each):
            path = root / half / f"n0{i % 6}" / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = np.array([(i % 6) * 40, 200 - (i % 6) * 30, 128])
            noise = random.integers(-60, 60, (40, 48, 3))
            Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(path)
    return root


@pytest.fixture(scope="module")
def lmdbs(folder, tmp_path_factory) -> Path:
    """The same in two lmdb files."""
    pytest.importorskip("lmdb")
    out = tmp_path_factory.mktemp("lmdb")
    for half in ("train", "val"):
        words = ["-d", folder / half, "-o", out / f"{half}.lmdb", "--quiet"]
        folder2lmdb.main.main([str(w) for w in words], standalone_mode=False)
    return out


def test_a_folder_and_its_lmdb_train_the_same_network(folder, lmdbs, tmp_path, capsys) -> None:
    """Other images, another order or other crops from the one than from the other; a file of the
    original that is missing, or holds other numbers than the run's."""
    words = [*SMALL, "--limit-train", 30, "-b", 8, "--epochs", 3, "--lr", 0.02]
    start(train, folder, *words, "--out", tmp_path / "a")
    printed = capsys.readouterr().out
    start(
        train, "-t", lmdbs / "train.lmdb", "-v", lmdbs / "val.lmdb", *words, "--out", tmp_path / "b"
    )
    assert steady_lines(tmp_path / "a") == steady_lines(tmp_path / "b")
    for name in ("checkpoint.pth.tar", "model_best.pth.tar"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    lines = steady_lines(tmp_path / "a")
    assert [line["lr"] for line in lines] == pytest.approx([0.02] * 3)
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    for line in lines:
        top = f" * Acc@1 {line['test_accuracy']:.3f} Acc@5 {line['test_top5_accuracy']:.3f}"
        assert top in printed
        assert line["test_accuracy"] <= line["test_top5_accuracy"]
    for half, ours in (("train", "train"), ("val", "test")):
        for k, metric in ((1, "accuracy"), (5, "top5_accuracy")):
            text = (tmp_path / "a/ImageNet" / f"{half}_loss_acc{k}.txt").read_text()
            expected = [line[f"{ours}_{metric}"] for line in lines]
            assert [float(x) for x in text.split(",")] == pytest.approx(expected, abs=1e-4)
    held = torch.load(tmp_path / "a/checkpoint.pth.tar", weights_only=True)
    assert set(held) == {
        "epoch",
        "arch",
        "state_dict",
        "best_acc1",
        "best_acc5",
        "optimizer",
    }
    assert (held["epoch"], held["arch"]) == (3, "s3net_small")
    assert held["best_acc1"] == max(line["test_accuracy"] for line in lines)
    assert held["best_acc5"] == max(line["test_top5_accuracy"] for line in lines)
    learned = sum(
        t.numel() for n, t in held["state_dict"].items() if n.endswith(("weight", "bias"))
    )
    assert f"s3net_small: {learned} parameters, 0.01 GMac an image of 32 x 32" in printed


def test_ten_crops_are_averaged_before_they_are_compared(folder, tmp_path, capsys) -> None:
    """Accuracies averaged over crops, or the crops of one image counted as ten images."""
    from torch.nn import functional
    from torchvision.transforms import v2

    from s3net.networks import make_network

    words = [*SMALL, "--epochs", 1, "-b", 9, "--lr", 0.02, "--out", tmp_path / "r"]
    start(train, folder, *words)
    capsys.readouterr()
    file = tmp_path / "r/checkpoint.pth.tar"
    start(ten_crops, folder, *SMALL, "-b", 4, "--resume", file)
    printed = capsys.readouterr().out
    net = make_network("s3net_small", 6)
    net.load_state_dict(torch.load(file, weights_only=True)["state_dict"])
    net.eval()
    see = v2.Compose([v2.Resize(37), v2.TenCrop(32)])
    unit = v2.Compose(
        [
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    logits, labels = [], []
    for path in sorted((folder / "val").rglob("*.png")):
        crops = torch.stack([unit(crop) for crop in see(Image.open(path))])
        with torch.no_grad():
            logits.append(net(crops).mean(0))
        labels.append(int(path.parent.name[1:]))
    mean, truth = torch.stack(logits), torch.tensor(labels)
    loss = functional.cross_entropy(mean, truth)
    hits = mean.topk(5, 1).indices == truth[:, None]
    top1, top5 = (100 * hits[:, :k].any(1).double().mean() for k in (1, 5))
    match = re.search(r" \* Acc@1 ([\d.]+) Acc@5 ([\d.]+) Loss ([\d.]+)", printed)
    assert match, printed
    assert [float(x) for x in match.groups()] == pytest.approx(
        [float(top1), float(top5), float(loss)], abs=2e-3
    )


def test_validation_alone_says_what_training_said(folder, lmdbs, tmp_path, capsys) -> None:
    """A checkpoint that is another network than the one that was tested."""
    start(train, folder, *SMALL, "--epochs", 2, "-b", 9, "--out", tmp_path / "r", "--seed", 4)
    line = steady_lines(tmp_path / "r")[-1]
    prefixed = torch.load(tmp_path / "r/checkpoint.pth.tar", weights_only=True)
    prefixed["state_dict"] = {f"module.{n}": t for n, t in prefixed["state_dict"].items()}
    torch.save(prefixed, tmp_path / "parallel.pth.tar")
    capsys.readouterr()
    expected = f" * Acc@1 {line['test_accuracy']:.3f} Acc@5 {line['test_top5_accuracy']:.3f}"
    start(train, "-e", "--resume", tmp_path / "r")
    assert expected in capsys.readouterr().out
    for file in ("r/checkpoint.pth.tar", "parallel.pth.tar"):
        start(train, "-v", lmdbs / "val.lmdb", *SMALL, "-e", "--resume", tmp_path / file)
        assert expected in capsys.readouterr().out
    start(ten_crops, folder, *SMALL, "--lr", 3)
    printed = capsys.readouterr()
    assert "note: no --resume" in printed.err and "--lr have no effect" in printed.err
    assert "18 images of 6 classes, s3net_small" in printed.out


def test_the_best_network_is_the_one_that_the_switch_means(folder, tmp_path, monkeypatch) -> None:
    """The original's: top-5 decides where top-1 was meant."""
    from common.runs.run import Run

    figures = iter([(1.0, 50.0, 80.0), (1.0, 60.0, 70.0), (1.0, 55.0, 90.0)] * 2)
    real = Run.evaluate

    def made_up(self, name, batches):
        real(self, name, batches)
        loss, one, five = next(figures)
        self.log(test_loss=loss, test_accuracy=one, test_top5_accuracy=five)
        return loss, one, five

    monkeypatch.setattr(Run, "evaluate", made_up)
    words = [*SMALL, "--limit-train", 6, "-b", 6, "--epochs", 3]
    for by, epoch in (("top1", 2), ("top5", 3)):
        start(train, folder, *words, "--best-by", by, "--out", tmp_path / by)
        held = torch.load(tmp_path / by / "model_best.pth.tar", weights_only=True)
        assert held["epoch"] == epoch
        assert json.loads((tmp_path / by / "summary.json").read_text())["best"]["epoch"] == epoch
    last = torch.load(tmp_path / "top1/checkpoint.pth.tar", weights_only=True)
    assert (last["epoch"], last["best_acc1"], last["best_acc5"]) == (3, 60.0, 90.0)


def test_lines_are_printed_as_often_as_asked(folder, tmp_path, capsys) -> None:
    """A running mean that is the last batch's, or a line for every step."""
    loud = [word for word in SMALL if word != "--quiet"]
    start(train, folder, *loud, "-b", 6, "-p", 3, "--epochs", 1, "--out", tmp_path / "r")
    printed = capsys.readouterr().out
    lines = re.findall(
        r"Epoch: \[0\]\[(\d+)/6\]  Time .* Data .* Loss \S+ \((\S+)\)  Acc@1 \S+ "
        r"\((\S+)\)  Acc@5 \S+ \((\S+)\)",
        printed,
    )
    assert [int(line[0]) for line in lines] == [3, 6]
    (epoch,) = steady_lines(tmp_path / "r")
    expected = [epoch[f"train_{n}"] for n in ("loss", "accuracy", "top5_accuracy")]
    assert [float(x) for x in lines[-1][1:]] == pytest.approx(expected, abs=1e-3)
    assert "S3Net(" in printed and "GMac an image of 32 x 32" in printed


def test_every_network_has_its_published_size() -> None:
    """An --arch that trains another network."""
    from s3net.imagenet.fidelity import Fidelity
    from s3net.imagenet.options import TenCropsOptions, TrainOptions
    from s3net.imagenet.program import network

    sizes = {
        "s3net_new1": 9405560,
        "s3net_new2": 8962182,
        "s3net_new_big": 22213032,
        "s3net_new_big2": 27855232,
        "s3net65": 7051080,
        "resnet18": 11689512,
        "googlenet": 6624904,
    }
    for name, count in sizes.items():
        with torch.device("meta"):
            net = network(name, 1000)
        assert sum(p.numel() for p in net.parameters()) == count
    for script, switch, expected in (
        (TrainOptions, True, "s3net_new_big2"),
        (TenCropsOptions, True, "s3net_new1"),
        (TrainOptions, False, "resnet18"),
    ):
        options = script(arch="resnet18", switches=Fidelity(ignore_arch=switch))
        assert options.network == expected
    assert {p.name: p.default for p in train.params}["batch_size"] == 156
    assert {p.name: p.default for p in ten_crops.params}["batch_size"] == 64


def test_the_original_has_a_thousand_outputs(folder, capsys) -> None:
    """Its parameter counts are those of 1000 classes."""
    words = ["--limit-test", 1, "-j", 0, "--quiet", "--image-size", 32]
    start(ten_crops, folder, *words, "--compat", "original")
    assert "s3net_new1: 9405560 parameters" in capsys.readouterr().out


def test_digits_stand_in_for_the_images(tmp_path, capsys) -> None:
    """A look at the program that needs a download first."""
    start(
        train,
        "--data",
        "digits",
        *SMALL,
        "--limit-train",
        64,
        "--limit-test",
        32,
        "-b",
        32,
        "--epochs",
        1,
        "--out",
        tmp_path,
    )
    assert steady_lines(tmp_path)[0]["step"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pretrained"], "option --pretrained must be left out: no weights"),
        (["--multiprocessing-distributed"], "start one process a GPU with torchrun"),
        (["--world-size", 4], r"option --world-size \(=4\) must be left out: .* torchrun"),
        (["--rank", 1], r"option --rank \(=1\) must be left out: .* torchrun"),
        (["--dist-url", "tcp://h:1"], r"option --dist-url \(=tcp://h:1\) must be .* torchrun's"),
        (["--dist-backend", "nccl", "--device", "cpu"], r"--dist-backend \(=nccl\) must be left"),
        (["--gpu", 0, "--device", "cpu"], r"option --gpu \(=0\) contradicts --device cpu"),
        (
            ["-a", "s3net_new3"],
            r"option -a \(=s3net_new3\) must be one of .*did you mean s3net",
        ),
        (["--num-classes", 5], r"option --num-classes \(=5\) must be >= 6"),
        (["-t", "nowhere"], r"option -t \(=nowhere\): there is no such folder or lmdb file"),
        (["--start-epoch", 180], r"option --epochs \(=180\) must be more than the 180"),
        (
            ["--resume", "nothing"],
            r"option --resume \(=nothing\) must be the directory of a run or",
        ),
        (["--limit-train", 37], r"--limit-train \(=37\) must be from 1 to 36"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(words, message, folder, tmp_path) -> None:
    """An option that is taken and does nothing, or a traceback."""
    common = ["-a", "s3net_small", "-j", 0, "--out", tmp_path / "r"]
    with pytest.raises(UsageError, match=message) as caught:
        start(train, folder, *common, *words)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_images_that_are_not_there_are_named(folder, lmdbs, tmp_path) -> None:
    """A folder without val/, an unreadable image among good ones, an lmdb cut short."""
    (tmp_path / "half").mkdir()
    (tmp_path / "half/train").symlink_to(folder / "train")
    bad = tmp_path / "bad/train/n00/5.png"
    for half in ("train", "val"):
        (tmp_path / "bad" / half / "n00").mkdir(parents=True)
        for i in range(9):
            Image.new("RGB", (40, 40)).save(tmp_path / "bad" / half / "n00" / f"{i}.png")
    bad.write_bytes(bad.read_bytes()[:60])
    (tmp_path / "cut").mkdir()
    whole = (lmdbs / "train.lmdb").read_bytes()
    (tmp_path / "cut/train.lmdb").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut/val.lmdb").symlink_to(lmdbs / "val.lmdb")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/train").symlink_to(folder / "train")
    (tmp_path / "other/val").symlink_to(tmp_path / "bad/val")
    for where, message in (
        ("half", r"is missing .*half/val, .*half/val\.lmdb"),
        ("bad", r"bad/train/n00/5\.png: does not decode as an image"),
        ("cut", r"cut/train\.lmdb: is cut short: it has \d+ bytes of \d+"),
        ("other", r"other/val: class n01 is not in both"),
        ("nothing", r"is missing .*nothing/train, .*nothing/train\.lmdb"),
    ):
        with pytest.raises((UserError, UsageError), match=message) as caught:
            start(train, tmp_path / where, *SMALL, "--epochs", 1, "-b", 3, "--out", tmp_path / "r")
        assert "\n" not in str(caught.value)
    for words, message in (
        (["-t", folder / "train"], "option --val is missing: a folder"),
        ([], "argument DATA is missing"),
    ):
        with pytest.raises(UsageError, match=message):
            start(train, *words, *SMALL)
