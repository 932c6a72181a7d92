"""The original's lines: Time, Data, Loss, Acc@1 and Acc@5 of a batch, and their running means."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm


class Progress:
    """Lines about one epoch, every --print-freq steps; none with --quiet or --print-freq 0."""

    def __init__(self, options: Any, epoch: int, batches: int, world: Any) -> None:
        self.every = 0 if options.quiet else options.print_freq
        self.head, self.total, self.world = f"Epoch: [{epoch}]", batches, world
        self._data = self._time = self._data_sum = self._time_sum = 0.0
        self._steps, self._began = 0, time.perf_counter()

    def timed(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The batches, with a clock that tells waiting for them from working on them."""
        self._began = time.perf_counter()
        for batch in batches:
            self._data = time.perf_counter() - self._began
            self._data_sum += self._data
            yield batch

    def line(self, step: int, result: Any, images: int, run: Any) -> None:
        """After a step (from 1): print, if it is its turn; only then the device is waited for."""
        due = self.every and step % self.every == 0
        found = [float(value) for value in result] if due else []
        now = time.perf_counter()
        self._time, self._began, self._steps = now - self._began, now, self._steps + 1
        self._time_sum += self._time
        if not due:
            return
        loss, *counts = found
        now_values = [self._time, self._data, loss, *(100 * c / images for c in counts)]
        n = self._steps
        means = [self._time_sum / n, self._data_sum / n, *run.train_figures()]
        if self.world.main:
            names = ("Time", "Data", "Loss", "Acc@1", "Acc@5")
            cells = [f"{name} {value:.3f} ({mean:.3f})" for name, value, mean in
                     zip(names, now_values, means, strict=True)]  # fmt: skip
            tqdm.write(f"{self.head}[{step}/{self.total}]  " + "  ".join(cells))
