"""Run directories written by hand, as the formats say, not by the code that makes them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

STEPS = 10  # an epoch


def epoch(number: int, test: float, **more: Any) -> dict[str, Any]:
    """An epoch line; training accuracy is 1.5 points above the test's."""
    line = {"kind": "epoch", "epoch": number, "step": number * STEPS, "test_accuracy": test}
    line |= {"train_accuracy": test + 1.5, "test_loss": 1 / number, "train_loss": 0.5 / number}
    return line | {"seconds": 2.5, "images_per_second": 1234.56} | more


def audit(
    step: int, credit: Mapping[str, float | None], small: tuple[str, ...] = ()
) -> dict[str, Any]:
    """An audit line with these angles in degrees."""
    layers = {
        name: {"angle": angle, "cosine": 0.25, "too_small": name in small}
        for name, angle in credit.items()
    }
    feedback = {"E2": {"angle": 90.0 - step, "cosine": 0.0}}
    line = {"kind": "audit", "epoch": step // STEPS, "step": step}
    return line | {"credit": layers, "feedback": feedback}


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """Writes a run directory; `status` None leaves out summary.json, as in a crashed run."""

    def make(
        path: Path,
        lines: list[dict[str, Any]],
        *,
        rule: str = "lra_e",
        seed: int = 1,
        status: str | None = "finished",
        options: dict[str, Any] | None = None,
        environment: dict[str, Any] | None = None,
        paper: str = "lra_e",
        script: str = "lra_e.mnist.mnist_torch",
    ) -> Path:
        path.mkdir(parents=True)
        chosen = {"dataset": "digits", "rule": rule, "seed": seed, "epochs": 2, "out": str(path)}
        name = f"mnist_torch-{rule}"
        facts = {"paper": paper, "script": script, "name": name}
        known = {"processor": "Abacus", "cores": 2, "device": "cpu", "git_commit": "0123456789abcd"}
        files: dict[str, Any] = {
            "config.json": facts | {"creditlab": "0", "options": chosen | (options or {})},
            "environment.json": known | {"git_dirty": False} | (environment or {}),
        }
        if status:
            labels = {"rule": rule, "dataset": "digits", "seed": seed, "seconds": 7.25}
            files["summary.json"] = facts | labels | {"status": status, "parameters": 54321}
        for file, content in files.items():
            (path / file).write_text(json.dumps(content))
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return make
