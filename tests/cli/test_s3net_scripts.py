"""s3net's commands as their user types them: what they train, print, draw and refuse."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import UsageError, UserError
from s3net.expressibility.compare import main as compare
from s3net.expressibility.universality import main as universality
from tests.helpers.commands import start
from tests.helpers.records import metrics

NOTEBOOK = Path(__file__).parents[2] / "s3net/expressibility/topology_NTK_comparison.ipynb"


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three photographs, and their cut-outs: a disc on nothing."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    for folder in (images, masks):
        folder.mkdir()
    random = np.random.RandomState(0)
    side = np.linspace(-1, 1, 90)
    disc = (side[:, None] ** 2 + side[None, :] ** 2 < 0.4)[..., None]
    for name in "abc":
        pixels = random.randint(0, 255, (90, 90, 3), np.uint8)
        Image.fromarray(pixels).save(images / f"{name}.png")
        cut = np.concatenate([pixels * disc, np.uint8(255) * disc], 2)
        Image.fromarray(cut).save(masks / f"{name}-cut.png")
    return images, masks


@pytest.mark.parametrize("model", ["s3net_small", "densenet_small", "resnet_small"])
def test_every_wiring_learns_digits(model: str, tmp_path: Path, capsys) -> None:
    """A network that keeps its layers apart, or a recipe that does not train it."""
    pytest.importorskip("torch")
    from s3net.tinyimagenet.train import main

    start(
        main,
        "--data",
        "digits",
        "--model",
        model,
        "--image-size",
        32,
        "--epochs",
        4,
        "--quiet",
        "--threads",
        1,
        "--lr-step",
        3,
        "--no-augmentation",
        "--out",
        tmp_path,
    )
    lines = metrics(tmp_path)
    assert lines[-1]["test_accuracy"] > 85
    assert [line["lr"] for line in lines] == pytest.approx([0.1, 0.1, 0.1, 0.01])
    assert "Best validation accuracy" in capsys.readouterr().out


CIFAR = [
    "--data",
    "digits",
    "--growth-rate",
    12,
    "--channels",
    16,
    "--depth",
    10,
    "--quiet",
    "--threads",
    1,
]


@pytest.mark.parametrize("wiring", ["sparse", "dense", "residual", "plain"])
def test_the_cifar_net_learns_digits_in_every_wiring(wiring: str, tmp_path: Path, capsys) -> None:
    """A schedule, a wiring or a saved file that does not do what its option says."""
    torch = pytest.importorskip("torch")
    from s3net.cifar100.s3model import CifarS3
    from s3net.cifar100.train_S3Net import main

    start(main, *CIFAR, "--epochs", 8, "--wiring", wiring, "--no-augmentation", "--out", tmp_path)
    lines = metrics(tmp_path)
    assert [line["lr"] for line in lines] == pytest.approx(
        [0.2, 0.2, 0.02, 0.02, 0.002, 0.002, 0.0002, 0.0002]
    )
    best = max(line["test_accuracy"] for line in lines)
    assert best > 70
    printed = capsys.readouterr().out
    assert "learning rate: 0.02" in printed and f"best test accuracy {best:.2f} %" in printed
    assert printed.count("(train) time:") == 8 and "/360" in printed
    saved = torch.load(tmp_path / "DenseNet.pt", weights_only=True)
    assert saved["settings"]["growth_rate"] == 12
    CifarS3(12, (2, 2, 2), 16, classes=10, wiring=wiring).load_state_dict(saved["model"])


def test_cifars_recipe_is_the_default() -> None:
    """A default of ours where the original's stands in the paper's table."""
    from s3net.cifar100.train_S3Net import main

    with main.make_context("train_S3Net", []) as context:
        options = context.obj
    recipe = {
        "seed": 1111,
        "lr": 0.2,
        "epochs": 200,
        "batch_size": 64,
        "weight_decay": 1e-4,
        "momentum": 0.9,
        "dropout": 0.0,
        "num_class": None,
        "growth_rate": 12,
        "channels": 24,
        "depth": 40,
        "augmentation": True,
        "unuse_cuda": False,
        "dataset": "cifar100",
        "wiring": "sparse",
    }
    assert {name: getattr(options, name) for name in recipe} == recipe


def test_the_original_cifar_program_is_a_switch_away(tmp_path: Path, capsys) -> None:
    """Its depth that is ignored, its dropout behind another option, its loss over images."""
    pytest.importorskip("torch")
    from s3net.cifar100.train_S3Net import main

    few = ["--limit-train", 128, "--limit-test", 64, "--epochs", 1, "--dropout", 0.5]
    start(main, *CIFAR, *few, "--compat", "original", "--out", tmp_path / "a")
    printed = capsys.readouterr().out
    (line,) = metrics(tmp_path / "a")
    assert f"loss: {line['train_loss'] / 64:.4f}" in printed  # two batches of 64
    assert json.loads((tmp_path / "a/config.json").read_text())["name"].endswith("d40")
    start(main, *CIFAR, *few, "--out", tmp_path / "b")
    assert json.loads((tmp_path / "b/config.json").read_text())["name"].endswith("d10")
    for words, message in {
        ("--num-class", 5): r"option --num-class \(=5\) must be >= 10",
        ("--depth", 6): r"option --depth \(=6\) must be >= 7",
        ("--unuse-cuda", "--device", "cuda"): "option --unuse-cuda contradicts --device cuda",
    }.items():
        with pytest.raises(UsageError, match=message):
            start(main, *CIFAR, *words, "--out", tmp_path / "c")


def test_a_run_its_export_and_the_network_are_one(tmp_path: Path, capsys) -> None:
    """Names or statistics that are lost on the way to a file."""
    pytest.importorskip("torch")
    from s3net.tinyimagenet.evaluate import main as evaluate
    from s3net.tinyimagenet.train import main as train

    start(
        train,
        "--data",
        "digits",
        "--model",
        "s3net_small",
        "--image-size",
        32,
        "--epochs",
        1,
        "--quiet",
        "--limit-train",
        300,
        "--out",
        tmp_path / "run",
    )
    (line,) = metrics(tmp_path / "run")
    file = tmp_path / "net.safetensors"
    start(evaluate, "--model-path", tmp_path / "run", "--data", "digits", "--export", file)
    start(evaluate, "--model-path", file, "--data", "digits")
    accuracies = re.findall(r"test accuracy : ([\d.]+)", capsys.readouterr().out)
    assert accuracies == [f"{line['test_accuracy']:.2f}"] * 2
    with pytest.raises(UsageError, match="does not match"):
        start(evaluate, "--model", "resnet_small", "--model-path", file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        start(evaluate, "--model-path", file)


def test_stored_networks_know_their_ten_classes(tmp_path: Path) -> None:
    """Weights in the repository that no network takes, or that say nothing of themselves."""
    pytest.importorskip("torch")
    from s3net.tinyimagenet.networks import SMALL, open_network

    for name in SMALL:
        network = open_network(name, None)
        assert network.stored is not None
        about = network.stored.about
        assert (network.name, network.size, len(about["classes"])) == (name, 64, 10)
        assert about["test_accuracy"] > 75


def test_maps_are_drawn_and_complete(folders, tmp_path: Path, capsys) -> None:
    """A map that is not of the class the network predicts, or whose sum was never checked."""
    torch = pytest.importorskip("torch")
    from s3net.interpretability.Interpret_fullgradient import main as fullgrad
    from s3net.tinyimagenet.networks import open_network

    start(fullgrad, "--images", folders[0], "--out", tmp_path / "o", "--batch-size", 2)
    lines = rows(tmp_path / "o/fullgrad.csv")
    assert len(lines) == 9 and all(float(row["completeness_error"]) < 1e-4 for row in lines)
    with np.load(tmp_path / "o/maps.npz") as maps:
        assert maps["s3net_small"].shape == (3, 64, 64)
    with Image.open(tmp_path / "o/fullgrad.png") as image:
        assert min(image.size) > 300
    assert (
        "s3net_small (83.80 % of 500 images of tiny_imagenet_10): 3 maps" in capsys.readouterr().out
    )
    net = open_network("s3net_small", None).net
    pixels = Image.open(folders[0] / "a.png").resize((64, 64), Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.asarray(pixels) / 255).permute(2, 0, 1)[None].float()
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    row = next(r for r in lines if (r["image"], r["model"]) == ("a", "s3net_small"))
    assert int(row["class"]) == int(net((x - mean) / std).argmax())


def test_networks_of_torchvision_come_with_the_users_weights(folders, tmp_path, capsys) -> None:
    """A checkpoint of DataParallel; a network whose sum is not complete and not said to be."""
    torch = pytest.importorskip("torch")
    torchvision = pytest.importorskip("torchvision")
    from s3net.interpretability.fullgrad import main as fullgrad

    for name in ("resnet18", "alexnet", "mobilenet_v3_small"):
        torch.manual_seed(1)
        net = torchvision.models.get_model(name, weights=None, num_classes=7)
        state = {f"module.{k}": v for k, v in net.state_dict().items()}
        torch.save({"state_dict": state, "best_acc1": 1.0}, tmp_path / f"{name}.pth")
        start(
            fullgrad,
            "--images",
            folders[0],
            "--limit",
            1,
            "--image-size",
            96,
            "--out",
            tmp_path / "o",
            "--model",
            f"{name}={tmp_path / name}.pth",
        )
        printed = capsys.readouterr()
        assert f"{name} (weights of unknown accuracy): 1 maps" in printed.out
        assert ("FullGrad holds for nets of ReLUs" in printed.err) == (name == "mobilenet_v3_small")


def test_an_object_is_measured_against_its_cut_out(folders, tmp_path: Path, capsys) -> None:
    """A curve in the wrong order, or a control that is none: the blob must find the disc."""
    pytest.importorskip("torch")
    from s3net.interpretability.Plot_segmentation_map import main as segment

    images, masks = folders
    start(
        segment,
        "--images",
        images,
        "--masks",
        masks,
        "--out",
        tmp_path / "o",
        "--model",
        "s3net_small",
        "--dice-percentiles",
        "95:65",
    )
    lines = rows(tmp_path / "o/dice.csv")
    assert list(lines[0])[2:4] == ["dice_95", "dice_94"] and len(lines) == 6
    blob = [row for row in lines if "blob" in row["model"]]
    assert all(float(row["dice_68"]) > 0.95 > float(row["dice_95"]) for row in blob)
    assert (tmp_path / "o/segmentation.png").exists() and (tmp_path / "o/dice.png").exists()
    (masks / "b-cut.png").unlink()
    for words, message in {
        ("--masks", masks): "holds no cut-out of b",
        ("--masks", tmp_path / "no"): r"option --masks \(=.*\): there is no such folder",
        ("--masks", masks, "--dice-percentiles", "99-80"): "must be FIRST:LAST",
        ("--masks", masks, "--model", "s3"): r"option --model \(=s3\) must be NAME=FILE, or one of",
    }.items():
        with pytest.raises((UserError, UsageError), match=message):
            start(segment, "--images", images, "--out", tmp_path / "o", *words)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        start(segment, "--images", tmp_path / "empty", "--masks", masks)


def test_an_unreadable_photograph_is_named(folders, tmp_path: Path) -> None:
    """A traceback that says nothing about which of a thousand files it was."""
    pytest.importorskip("torch")
    from s3net.interpretability.fullgrad import main as fullgrad

    (folders[0] / "b.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match="b.png"):
        start(fullgrad, "--images", folders[0], "--out", tmp_path / "o")


def test_the_comparison_writes_what_it_prints(tmp_path: Path, capsys) -> None:
    """A csv of other numbers than the table's; a gap without its interval."""
    start(compare, "--depths", "2,3", "--splits", 4, "--kernel", "ntk", "--out", tmp_path)
    printed = capsys.readouterr().out
    lines = rows(tmp_path / "compare.csv")
    assert len(lines) == 3 * 2 * 5
    (row,) = [r for r in lines if (r["wiring"], r["blocks"], r["split"]) == ("proposed", "2", "13")]
    assert f"{float(row['mse']):.6g}" in printed
    (first, second) = rows(tmp_path / "gaps.csv")
    assert float(first["low"]) < float(first["mean"]) < float(first["high"])
    assert printed.count("gap residual - proposed") == 2 and second["splits"] == "4"
    with Image.open(tmp_path / "compare.png") as image:
        assert image.size[0] > 800


@pytest.mark.parametrize(
    "words, message",
    [
        (("--depths", "0:3"), r"option --depths \(=0:3\) must be such as 2:8"),
        (("--depths", "x"), r"option --depths \(=x\)"),
        (("--dataset", "boston"), "option --boston is missing"),
        (("--wiring", "full"), r"option --wiring \(=full\) must be one of"),
    ],
)
def test_the_comparison_refuses_in_one_line(words, message, tmp_path) -> None:
    with pytest.raises(UsageError, match=message):
        start(compare, *words, "--out", tmp_path)


def test_the_universal_network_is_drawn(tmp_path: Path, capsys) -> None:
    """A rate that is printed and not measured."""
    start(universality, "--depths", "16,32,64", "--out", tmp_path)
    printed = capsys.readouterr().out
    assert 1.9 < float(re.search(r"depth\^-([\d.]+)", printed)[1]) < 2.1  # type: ignore[index]
    assert len(rows(tmp_path / "sin.csv")) == 3 and (tmp_path / "sin.png").exists()
    start(universality, "--depths", "4,4", "--out", tmp_path)
    assert "depth^" not in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"option --depths \(=4,0\)"):
        start(universality, "--depths", "4,0", "--out", tmp_path)


def numbers(notebook) -> list[list[float]]:
    """Every number that each cell printed."""
    texts = [
        "".join(o.get("text", "") for o in cell.get("outputs", []))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    return [[float(x) for x in re.findall(r"-?\d+\.\d+", text)] for text in texts]


def test_the_notebook_prints_today_what_it_printed() -> None:
    """A stored output that the code no longer gives."""
    nbformat = pytest.importorskip("nbformat", reason="notebooks are a matter of the test group")
    nbclient = pytest.importorskip("nbclient", reason="notebooks are a matter of the test group")
    pytest.importorskip("ipykernel", reason="notebooks are a matter of the test group")
    stored = nbformat.read(NOTEBOOK, 4)
    before = numbers(stored)
    assert sum(map(len, before)) > 60
    pictures = sum(
        "image/png" in o.get("data", {})
        for c in stored.cells
        if c.cell_type == "code"
        for o in c.outputs
    )
    assert pictures >= 2
    nbclient.NotebookClient(stored, timeout=300, kernel_name="python3").execute()
    for old, new in zip(before, numbers(stored), strict=True):
        assert new == pytest.approx(old, rel=1e-4, abs=1e-4)
