"""asap.train killed in the middle of an epoch and resumed, in every mode: the same bits."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="asap trains with torch")
from tests.runs.conftest import SERVER  # noqa: E402

SMALL = ["--data", "digits", "--limit-train", "100", "--limit-test", "50", "--batch-size", "24",
         "--epochs", "2", "--width", "0.05", "--threads", "1", "--quiet", "--seed", "3",
         "--checkpoint-every", "2"]  # fmt: skip
MODES = {
    "bp": ["--feedback", "bp"],
    "fa": ["--feedback", "fa"],
    "dfa": ["--feedback", "dfa"],
    "kp": ["--feedback", "kp"],
    "asap": ["--feedback", "asap", "--audit"],
    "asap-adam": ["--feedback", "asap", "--optimizer", "adam", "--lr", "0.003"],
    "asap-wt": ["--feedback", "asap", "--wt"],
    "resnet18-dfa": ["--feedback", "dfa", "--model", "resnet18"],
    "resnet18-k4": ["--feedback", "asap_k4", "--model", "resnet18"],
}


def _train(words: list[str], kill_at: int, log: Path) -> None:
    """A process: train, and die at a step as a power cut has it."""
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(number, 1)
    os.dup2(number, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    from asap.learner import Learner
    from asap.train import main

    step, calls = Learner.train_step, []

    def dying(self: Any, images: Any, labels: Any) -> Any:
        calls.append(1)
        if len(calls) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, images, labels)

    Learner.train_step = dying  # type: ignore[method-assign]
    main(words)


def train(log: Path, *words: object, kill_at: int = 0) -> int | None:
    process = SERVER.Process(target=_train, args=([str(w) for w in words], kill_at, log))
    process.start()
    process.join(240)
    return process.exitcode


def left(run: Path) -> tuple[bytes, list[dict], bytes]:
    """Tensors, lines without clocks, and the original's file."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kept = [{k: v for k, v in line.items() if "second" not in k} for line in lines]
    tensors = (run / "checkpoints/last/tensors.safetensors").read_bytes()
    return tensors, kept, next((run / "checkpoint").glob("*.pth")).read_bytes()


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_run_goes_on_to_the_same_bits(mode: str, tmp_path: Path) -> None:
    """A momentum, a running statistic, a feedback weight or its recursion that is not stored."""
    words = [*SMALL, *MODES[mode]]
    log = tmp_path / "log"
    assert train(log, *words, "--out", tmp_path / "whole") == 0, log.read_text()
    assert train(log, *words, "--out", tmp_path / "cut", kill_at=9) == -signal.SIGKILL
    assert train(log, "--resume", tmp_path / "cut") == 0, log.read_text()
    assert left(tmp_path / "cut") == left(tmp_path / "whole")


def test_an_audit_changes_no_bits(tmp_path: Path) -> None:
    """Running statistics that the audit's forward passes moved."""
    log = tmp_path / "log"
    for name, more in (("plain", []), ("audited", ["--audit-every", 1])):
        words = [*SMALL, "--feedback", "asap", *more, "--out", tmp_path / name]
        assert train(log, *words) == 0, log.read_text()
    plain, audited = left(tmp_path / "plain"), left(tmp_path / "audited")
    assert plain[0] == audited[0]
    assert [line for line in audited[1] if line["kind"] == "epoch"] == plain[1]
    assert sum(line["kind"] == "audit" for line in audited[1]) == 11
