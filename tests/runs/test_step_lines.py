"""Lines about steps and validations: their numbers are those of the run."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the learner here has torch's backend")
from common.backends import torch_backend  # noqa: E402
from common.runs.run import Run  # noqa: E402
from common.runs.settings import RunSettings  # noqa: E402
from common.runs.step_lines import StepLines, format_validation  # noqa: E402

CELL = r"(\S+) \((\S+)\)"
LINE = re.compile(
    r"Epoch: \[(\d+)\]\[(\d+)/(\d+)\]  "
    + "  ".join(f"{name} {CELL}" for name in ("Time", "Data", "Loss", "Acc@1", "Acc@5"))
)


class Learner:
    """Counts its steps: the loss of each is its number, and its hits are given."""

    backend, counts = torch_backend, ("top5",)

    def __init__(self) -> None:
        self.steps = 0

    def train_step(self, images, labels):
        self.steps += 1
        return torch.tensor(float(self.steps)), torch.tensor(1), torch.tensor(2)

    def state(self):
        return {"steps": self.steps}

    def load_state(self, state):
        self.steps = state["steps"]


class Batches:
    """Five batches of four images, the last one of two."""

    def __len__(self) -> int:
        return 5

    def epoch(self, epoch=0, start=0):
        for i in range(start, 5):
            n = 2 if i == 4 else 4
            yield torch.zeros(n, 1), torch.zeros(n)


def train(directory: Path, every: int, epochs: int = 2) -> None:
    settings = RunSettings(
        paper="toy", script="toy", name="toy", epochs=epochs, out=directory, quiet=True
    )
    learner: Any = Learner()
    batches: Any = Batches()
    data = SimpleNamespace(checksums={})
    with Run(settings, {}, learner, data=data, device=torch.device("cpu")) as run:
        for _ in run.epochs():
            lines = StepLines(run, every)
            for images, labels in lines.batches(batches):
                result = learner.train_step(images, labels)
                run.add(result)
                lines.learnt(result, len(labels))


def test_a_line_has_the_batch_and_the_mean_so_far(tmp_path: Path, capsys) -> None:
    """A mean that is the last batch's, an epoch that counts from another one, a ragged batch whose
    hits are divided by the size of the others."""
    train(tmp_path / "r", 2)
    train(tmp_path / "all", 1)
    rows = [[float(x) for x in cells] for cells in LINE.findall(capsys.readouterr().out)]
    few, all_lines = rows[:4], rows[4:]
    assert [row[:3] for row in few] == [[0, 2, 5], [0, 4, 5], [1, 2, 5], [1, 4, 5]]
    # Time, Data; Loss, Acc@1, Acc@5 of the batch and of the epoch so far.
    assert few[1][7:] == [4, 2.5, 25, 25, 50, 50]
    assert few[2][7:] == [7, 6.5, 25, 25, 50, 50]
    last = all_lines[-1]
    assert last[7:] == pytest.approx(
        [10, (4 * (6 + 7 + 8 + 9) + 2 * 10) / 18, 50, 500 / 18, 100, 1000 / 18], abs=1e-3
    )
    assert all(row[4] >= row[6] >= 0 for row in rows)  # data time is part of the time
    text = (tmp_path / "all/metrics.jsonl").read_text().splitlines()
    epoch = [json.loads(line) for line in text][-1]
    assert [last[8], last[10], last[12]] == pytest.approx(
        [epoch[f"train_{n}"] for n in ("loss", "accuracy", "top5_accuracy")], abs=1e-3
    )


def test_nothing_is_printed_unasked(tmp_path: Path, capsys) -> None:
    """--print-freq 0, --quiet."""
    train(tmp_path / "r", 0)
    assert "Epoch:" not in capsys.readouterr().out


def test_a_validation_is_a_line() -> None:
    """Percent beside a fraction."""
    assert format_validation(1.23456, 50, 75.5) == " * Acc@1 50.000 Acc@5 75.500 Loss 1.2346"
