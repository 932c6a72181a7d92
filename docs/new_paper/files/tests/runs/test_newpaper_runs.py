"""newpaper.train from end to end: it learns, and a resumed run ends on the same bits."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="newpaper trains with torch")
from newpaper.evaluate import main as evaluate  # noqa: E402
from newpaper.train import main  # noqa: E402

SMALL = ["--data", "digits", "--threads", "1", "--quiet", "--seed", "1", "--hidden", "100"]


def train(*words: object) -> None:
    main.main([str(word) for word in words], standalone_mode=False)


def tensors(run: Path) -> bytes:
    return (run / "checkpoints" / "last" / "tensors.safetensors").read_bytes()


def lines(run: Path, kind: str) -> list[dict]:
    """The lines of metrics.jsonl of one kind."""
    entries = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in entries if line["kind"] == kind]


def test_the_rule_learns_digits_and_the_audit_tells_it_from_backprop(tmp_path, capsys):
    """A rule that is backprop after all, or that learns nothing."""
    train(*SMALL, "--epochs", 15, "--audit", "--out", tmp_path / "run")
    assert lines(tmp_path / "run", "epoch")[-1]["test_accuracy"] > 90
    credit = lines(tmp_path / "run", "audit")[-1]["credit"]
    assert credit["W3"]["angle"] < 1  # the output layer is backprop's
    assert min(credit[layer]["angle"] for layer in ("W1", "W2")) > 20  # hidden ones are not
    capsys.readouterr()
    evaluate.main([str(tmp_path / "run")], standalone_mode=False)
    final = lines(tmp_path / "run", "epoch")[-1]["test_accuracy"]
    assert f"test accuracy {final:.2f} %" in capsys.readouterr().out


def test_a_resumed_run_ends_on_the_same_bits(tmp_path):
    """A momentum or a fixed matrix that no checkpoint holds."""
    few = [*SMALL, "--limit-train", 200]
    train(*few, "--epochs", 3, "--out", tmp_path / "whole")
    train(*few, "--epochs", 1, "--out", tmp_path / "cut")
    train("--resume", tmp_path / "cut", "--epochs", 3)
    assert tensors(tmp_path / "cut") == tensors(tmp_path / "whole")
