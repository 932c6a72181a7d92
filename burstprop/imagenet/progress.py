"""The lines that the ImageNet program prints while it trains."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

EVERY = 10  # batches a line


class Progress:
    """Time, loss and accuracies of an epoch: of the last batch, and in brackets the mean so far.

    epoch     from 1                 batch, batches    where the epoch stands, and its length
    Nothing is read from the device but for a line that is printed; quiet: no line is.
    """

    def __init__(self, epoch: int, batch: int, batches: int, quiet: bool) -> None:
        self.epoch, self.batch, self.batches, self.quiet = epoch, batch, batches, quiet
        self._times: list[tuple[float, float]] = []  # of a step, of waiting for its batch
        self._pending: list[Tensor] = []
        self._rows: list[np.ndarray] = []  # summed loss, hits, hits among five, images
        self._then = self._arrived = time.perf_counter()

    def arrived(self) -> None:
        """A batch is here."""
        self._arrived = time.perf_counter()

    def done(self, result: Sequence[Tensor], images: int) -> None:
        """It has been learnt from, with this (mean loss, hits, hits among five)."""
        if self.quiet:
            return
        loss, *hits = (value.double() for value in result)
        count = torch.full_like(loss, images)
        self._pending.append(torch.stack([loss * images, *hits, count]))
        now = time.perf_counter()
        self._times.append((now - self._then, self._arrived - self._then))
        self.batch += 1
        if self.batch % EVERY == 0:
            tqdm.write(self.line())
        self._then = time.perf_counter()

    def line(self) -> str:
        """Of the batch that was learnt from last."""
        self._rows += list(torch.stack(self._pending).cpu().numpy())
        self._pending.clear()
        last, mean = self._rows[-1], np.sum(self._rows, axis=0)
        place = f"{self.batch:>{len(str(self.batches))}}/{self.batches}"
        shown = [f"Epoch {self.epoch} [{place}]"]
        for name, spent in zip(("time", "data"), zip(*self._times, strict=True), strict=True):
            shown.append(f"{name} {spent[-1]:.3f} ({np.mean(spent):.3f})")
        shown.append(f"loss {last[0] / last[3]:.4f} ({mean[0] / mean[3]:.4f})")
        for i, name in ((1, "Acc@1"), (2, "Acc@5")):
            shown.append(f"{name} {100 * last[i] / last[3]:.2f} ({100 * mean[i] / mean[3]:.2f})")
        return "  ".join(shown)
