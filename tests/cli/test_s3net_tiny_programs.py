"""The nine programs of Tiny ImageNet: what each is by default, prints, writes and refuses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from tests.helpers import commands

DEFAULTS = {
    "Tiny_S3Net": ("s3net_new", 64, 0.1),
    "Tiny_MobileNetV2": ("mobilenet_v2", 96, 0.1),
    "Tiny_EfficientNet": ("efficientnet_b0", 96, 0.1),
    "Tiny_GhostNet": ("ghostnet", 96, 0.1),
    "Tiny_SEResNet": ("se_resnet50", 96, 0.005),
    "Tiny_OctResNet": ("oct_resnet50", 96, 0.1),
    "Tiny_LambdaNet": ("lambda_resnet50", 96, 0.1),
    "Tiny_ScaleNet": ("scalenet50", 64, 0.01),
    "Tiny_RandomlyWired": ("randwire_ws", 64, 0.01),
}
FEW = [
    "--data",
    "digits",
    "--image-size",
    32,
    "--limit-train",
    24,
    "--limit-test",
    20,
    "--batch-size",
    8,
    "--epochs",
    2,
    "--threads",
    1,
]


def start(script: str, *words: object) -> None:
    commands.start(f"s3net.tinyimagenet.{script}", *words)


def parsed(script: str, *words: object) -> Any:
    """The options that a program would train with."""
    return commands.parse(f"s3net.tinyimagenet.{script}", *words)


@pytest.mark.parametrize("script", DEFAULTS)
def test_each_program_has_its_network_and_its_recipe(script: str) -> None:
    """A front that trains another network, or with another's rate; 800 outputs for nothing."""
    options = parsed(script)
    assert (options.model, options.batch_size, options.lr) == DEFAULTS[script]
    assert (options.epochs, options.lr_step, options.image_size) == (90, 30, 224)
    assert (options.weight_decay, options.dataset) == (0.0, "tiny_imagenet")
    assert options.outputs(200) == 200
    assert parsed(script, "--compat", "original").outputs(200) == 1000
    assert parsed(script, "--num-classes", 300).outputs(200) == 300
    same = parsed("train", "--model", options.model)
    assert (same.batch_size, same.lr) == (options.batch_size, options.lr)


def test_the_rate_of_the_table_is_a_switch() -> None:
    """A switch that overrides what was typed, or that alters another network."""
    assert parsed("Tiny_SEResNet", "--table-lr").lr == 0.05
    assert parsed("Tiny_SEResNet", "--table-lr", "--lr", 0.3).lr == 0.3
    assert parsed("Tiny_ScaleNet", "--table-lr").lr == 0.01
    with pytest.raises(UsageError, match=r"num_classes \(=5\) must be >= 10"):
        parsed("Tiny_S3Net", "--num-classes", 5, "--data", "digits").outputs(10)
    with pytest.raises(UsageError, match=r"option --model \(=ghostnet\) must be one of"):
        parsed("Tiny_S3Net", "--model", "ghostnet")


def test_a_program_prints_and_writes_what_the_original_promised(tmp_path: Path, capsys) -> None:
    """A file of every epoch that another network's overwrites, or that cannot be loaded."""
    torch = pytest.importorskip("torch")
    from s3net.tinyimagenet.networks import make_network

    start("Tiny_GhostNet", *FEW, "--out", tmp_path, "--print-every", 2)
    printed = capsys.readouterr().out
    assert "ghostnet: 3914826 trainable parameters" in printed
    assert "Epoch 2/2, learning rate 0.1" in printed
    loss, total = map(float, re.findall(r"iteration 2/3: loss (.*), x 8 images (.*)", printed)[0])
    assert total == pytest.approx(8 * loss, rel=1e-3)
    assert len(re.findall(r"Train loss [\d.]+ accuracy \d+\.\d{4} %", printed)) == 2
    assert len(re.findall(r"Val loss \S+ accuracy \d+\.\d{4} %", printed)) == 2
    assert "Best validation accuracy" in printed and "minutes" in printed
    files = sorted((tmp_path / "models/ghostnet").iterdir())
    assert [f.name for f in files] == ["model_1_epoch.pt", "model_2_epoch.pt"]
    make_network("ghostnet", 10).load_state_dict(torch.load(files[1], weights_only=True))


def test_a_random_network_goes_on_with_its_own_graphs(tmp_path: Path, capsys) -> None:
    """A resumed run of another network: its config changed, or networkx draws otherwise."""
    pytest.importorskip("torch")
    from s3net.tinyimagenet.evaluate import main as evaluate

    config, run = tmp_path / "c.yaml", tmp_path / "run"
    config.write_text("channels: 8\nnodes: 12\nK: 3\nseed: 7\nbatch_size: 256\n")
    words = ["--config", config, "--model_dir", tmp_path / "copy", "--no-epoch-models"]
    start("Tiny_RandomlyWired", *FEW, *words, "--out", run, "--quiet", "--port", 1, "-e")
    kept = (run / "graphs.json").read_text()
    assert json.loads(kept)["seed"] == 7 and kept == (tmp_path / "copy/graphs.json").read_text()
    assert "iteration" not in capsys.readouterr().out and not (run / "models").exists()
    config.write_text("channels: 10\n")
    more = ["--epochs", 3, "--allow-change", "epochs"]
    start("Tiny_RandomlyWired", "--resume", run, *more)
    assert (run / "graphs.json").read_text() == kept
    assert "Epoch 3/3" in capsys.readouterr().out
    evaluate.main(["--model-path", str(run), "--data", "digits"], standalone_mode=False)
    assert "randwire_ws, " in capsys.readouterr().out
    with pytest.raises(UsageError, match="must be an existing file"):
        start("Tiny_RandomlyWired", "--config", tmp_path / "none.yaml")


def test_any_s3_net_comes_in_any_wiring(tmp_path: Path, capsys) -> None:
    """The paper's question asked with one option, and a network that forgets its wiring."""
    pytest.importorskip("torch")
    from s3net.tinyimagenet.evaluate import main as evaluate

    words = ["--model", "s3net_small", "--wiring", "residual", "--compat", "original"]
    start("Tiny_S3Net", *FEW, *words, "--out", tmp_path / "r")
    assert "s3net_small: 755440 trainable parameters" in capsys.readouterr().out
    evaluate.main(["--model-path", str(tmp_path / "r"), "--data", "digits"], standalone_mode=False)
    assert "s3net_small, 755440 parameters" in capsys.readouterr().out
