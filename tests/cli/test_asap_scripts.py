"""asap.train and asap.eval as their user types them: what they train, print, refuse and test."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from asap.alignment import main as alignment  # noqa: E402
from asap.evaluate import STORED  # noqa: E402
from asap.evaluate import main as evaluate  # noqa: E402
from asap.train import main as train  # noqa: E402
from common.errors import UsageError, UserError  # noqa: E402
from tests.helpers.commands import start  # noqa: E402
from tests.helpers.records import metrics  # noqa: E402

QUICK = "--data digits --limit-train 200 --limit-test 100 --quiet --width 0.1 --threads 1".split()


LEARNS = {"bp": 80, "fa": 45, "dfa": 60, "kp": 60, "asap": 60}


@pytest.mark.parametrize("mode", LEARNS)
def test_every_mode_learns_digits(mode: str, tmp_path: Path, capsys) -> None:
    """A sign, or a mode that leaves its hidden layers as they were drawn."""
    words = ["--data", "digits", "--width", "0.1", "--threads", "1", "--quiet", "--epochs", "6"]
    start(train, *words, "--feedback", mode, "--out", tmp_path / "r", "--batch-size", 64)
    seen = metrics(tmp_path / "r", "epoch")
    assert max(line["test_accuracy"] for line in seen) > LEARNS[mode]
    assert seen[-1]["train_loss"] < seen[0]["train_loss"]
    printed = capsys.readouterr().out
    best = max(seen, key=lambda line: line["test_accuracy"])
    assert f"best accuracy : {best['test_accuracy']:.2f} epoch : {best['epoch'] - 1}" in printed
    assert "Epoch: 5" in printed and "Saving.." in printed


def test_original_preset_sets_what_the_original_does(tmp_path: Path) -> None:
    """(asap, D1, D3) differ; (asap, D2, D6, D7) are the same in both."""
    start(
        train,
        *QUICK,
        "--epochs",
        1,
        "--feedback",
        "fa",
        "--compat",
        "original",
        "--out",
        tmp_path / "r",
        "--batch-size",
        100,
    )
    options = json.loads((tmp_path / "r/config.json").read_text())["options"]
    assert (options["fa_feedback"], options["shortcut_slip"]) == ("copy", True)
    assert (options["feedback_init"], options["conv_bias"], options["frozen_stem"]) == (
        "uniform",
        True,
        True,
    )


@pytest.mark.parametrize("feedback", ["asap", "fa", "dfa"])
def test_a_run_its_file_and_its_export_are_one_network(feedback, tmp_path, capsys) -> None:
    """Names that the original would not find; feedback weights that are lost."""
    words = [*QUICK, "--epochs", 2, "--feedback", feedback, "--batch-size", 50]
    start(train, *words, "--out", tmp_path / "r")
    final, best = (
        metrics(tmp_path / "r", "epoch")[-1],
        max(x["test_accuracy"] for x in metrics(tmp_path / "r", "epoch")),
    )
    file = tmp_path / "r" / "checkpoint" / f"digits_convnet_{feedback}.pth"
    old = torch.load(file, weights_only=True)
    assert set(old) == {"net", "acc", "epoch"} and old["acc"] == best
    assert ("conv0.weight" in old["net"]) == (feedback == "asap")
    asked = ["--data", "digits", "--feedback", feedback, "--width", "0.1"]
    torch.save(
        old | {"net": {f"module.{n}": t for n, t in old["net"].items()}}, tmp_path / "dp.pth"
    )
    capsys.readouterr()
    for words, accuracy in (
        ([*asked, "--model_path", file], best),
        ([*asked, "--model_path", tmp_path / "dp.pth", "--aug", "--optimizer", "adam"], best),
        (
            ["--model_path", tmp_path / "r", "--export", tmp_path / "m.safetensors"],
            final["test_accuracy"],
        ),
        (["--model_path", tmp_path / "m.safetensors"], final["test_accuracy"]),
    ):
        start(evaluate, *words, "--limit-test", 100)
        assert capsys.readouterr().out.splitlines()[-1] == f"test accuracy : {accuracy:.2f}"


def test_a_checkpoint_that_does_not_match_is_said_so(tmp_path: Path) -> None:
    """The original loaded it without a word and printed chance."""
    start(
        train,
        *QUICK,
        "--epochs",
        1,
        "--feedback",
        "asap",
        "--out",
        tmp_path / "r",
        "--batch-size",
        100,
    )
    file = tmp_path / "r/checkpoint/digits_convnet_asap.pth"
    base = ["--data", "digits", "--width", "0.1", "--model_path"]
    (tmp_path / "cut.pth").write_bytes(file.read_bytes()[:5000])
    (tmp_path / "text.pth").write_text("not a checkpoint")
    torch.save({"weights": 1}, tmp_path / "other.pth")
    torch.save({"net": {}, "acc": print, "epoch": 1}, tmp_path / "code.pth")
    for words, part in (
        ([*base, file, "--feedback", "bp"], "lacks layers.0.bias"),
        ([*base, file, "--feedback", "asap", "--model", "resnet18"], "does not match"),
        (
            ["--data", "digits", "--feedback", "asap", "--model_path", file],
            "conv0.weight has shape",
        ),
        ([*base, tmp_path / "cut.pth"], "not a whole checkpoint"),
        ([*base, tmp_path / "text.pth"], "not a whole checkpoint"),
        ([*base, tmp_path / "code.pth"], "not a whole checkpoint"),
        ([*base, tmp_path / "other.pth"], "has no 'net'"),
        ([*base, tmp_path / "nothing"], "no such file"),
        (["--model_path", tmp_path / "r", "--feedback", "fa"], "option --feedback (=fa)"),
    ):
        with pytest.raises((UserError, UsageError)) as caught:
            start(evaluate, *words)
        assert part in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--feedback", "asap_k4"], "option --feedback (=asap_k4)"),
        (["--aug"], "option --aug must not be used with dataset digits"),
        (["--wt"], "option --wt must not be used with --feedback bp"),
        (["--feedback", "asap_k3"], "did you mean asap_k4"),
        (["--model", "resnet50"], "--model"),
        (["--sync-bn"], "option --sync-bn needs --device cuda"),
        (["--batch-size", "500"], "batch size (=500)"),
        (["--lr", "-1"], "--lr"),
        (["--fa-feedback", "mirror"], "--fa-feedback"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(words, part, tmp_path: Path) -> None:
    """A traceback, or an option that is silently not read."""
    if "--batch-size" in words:
        words = [*words, "--limit-train", "0"]
        part = "--limit-train"
    with pytest.raises(UsageError) as caught:
        start(train, *QUICK, *words, "--out", tmp_path / "r")
    assert part in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_sharing_is_shown_and_nothing_trained(tmp_path: Path, capsys, monkeypatch) -> None:
    """The table of the network that the options name."""
    monkeypatch.chdir(tmp_path)
    start(train, *QUICK, "--model", "resnet18", "--feedback", "asap_k4", "--show-sharing")
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("blocks.3.conv1"))
    assert re.search(r"input of blocks\.2\.conv1\s+2\s+2$", row)
    assert len(lines) == 21 and not (tmp_path / "runs").exists()


def test_alignment_draws_what_the_audits_hold(tmp_path: Path) -> None:
    """A figure without audits is refused; the runs' files stay as they are."""
    words = [*QUICK, "--epochs", 1, "--feedback", "asap", "--batch-size", 100]
    start(train, *words, "--out", tmp_path / "a", "--audit-every", 1)
    start(train, *words, "--out", tmp_path / "b")
    before = (tmp_path / "a/metrics.jsonl").read_bytes()
    start(alignment, tmp_path / "a", "--out", tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000
    assert (tmp_path / "a/metrics.jsonl").read_bytes() == before
    with pytest.raises(UserError, match="no audits"):
        start(alignment, tmp_path / "b", "--out", tmp_path / "g.png")


def test_help_needs_no_torch() -> None:
    """Seconds of imports before a usage error."""
    code = "import sys; sys.modules['torch'] = None\nfrom asap.{0} import main\nmain(['--help'])"
    for script in ("train", "eval", "alignment"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(script)], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 and "Usage" in done.stdout, done.stderr


@pytest.mark.data
def test_the_stored_network_reaches_what_its_header_says(data_root, capsys) -> None:
    """Weights whose accuracy nobody has measured since."""
    from safetensors import safe_open

    with safe_open(STORED, "pt") as tensors:
        about = tensors.metadata()
    start(evaluate, "--data-dir", data_root, "--no-download")
    accuracy = float(capsys.readouterr().out.split()[-1])
    assert accuracy == pytest.approx(float(about["test_accuracy"]), abs=0.02)
    assert STORED.stat().st_size < 3_000_000
