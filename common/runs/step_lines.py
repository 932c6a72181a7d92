"""The lines that programs on ImageNet print, as PyTorch's example for it does: every so many steps
one about the epoch, and one about each validation."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from common.runs.loop import Epochs
from common.runs.run import Run

NAMES = ("Time", "Data", "Loss", "Acc@1", "Acc@5")


class StepLines:
    """Lines about one epoch: seconds a step, those spent waiting for its batch, loss and accuracies
    (percent) of the last batch, and in brackets their means so far.

    run     the run whose epoch it is; its learner counts top-5
    every   steps between two lines; 0: none

    Of several processes each must go through the same calls; the first one prints. Nothing waits
    for the device but for a line that is printed.
    """

    def __init__(self, run: Run, every: int = 10) -> None:
        self._run, self._every, self._batches = run, every, 0
        self._seconds = self._waited = self._all_seconds = self._all_waited = 0.0
        self._steps, self._began = 0, time.perf_counter()

    def batches(self, train: Epochs) -> Iterator[tuple[Any, Any]]:
        """The run's training batches, with a clock that tells waiting for them from learning."""
        self._batches, self._began = len(train), time.perf_counter()
        for batch in self._run.batches(train):
            self._waited = time.perf_counter() - self._began
            self._all_waited += self._waited
            yield batch

    def learnt(self, result: Sequence[Any], images: int) -> None:
        """After a step on so many images, which the run has added: print if it is its turn."""
        step = self._run.batch + 1
        due = self._every and step % self._every == 0
        loss, *hits = [float(value) for value in result] if due else [0.0]
        now = time.perf_counter()
        self._seconds, self._began, self._steps = now - self._began, now, self._steps + 1
        self._all_seconds += self._seconds
        if not due:
            return
        last = [self._seconds, self._waited, loss, *(100 * count / images for count in hits)]
        times = [total / self._steps for total in (self._all_seconds, self._all_waited)]
        means = [*times, *self._run.train_figures()]
        if self._run.main:
            cells = [
                f"{name} {value:.3f} ({mean:.3f})"
                for name, value, mean in zip(NAMES, last, means, strict=True)
            ]
            head = f"Epoch: [{self._run.epoch}][{step}/{self._batches}]"
            tqdm.write("  ".join([head, *cells]))


def format_validation(loss: float, top1: float, top5: float) -> str:
    """The line about a validation: mean loss, accuracies in percent."""
    return f" * Acc@1 {top1:.3f} Acc@5 {top5:.3f} Loss {loss:.4f}"
