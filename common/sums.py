"""Sums of loss and hits that stay on the device and are read now and then."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

READ_EVERY = 256  # steps between two reads: none of them waits for the device


class Sums:
    """Adds up (mean loss, number correct) of batches given as device scalars.

    Read values are added one batch after another in float64, so that a sum does not depend on
    when it was read: a resumed run gets the bits of an unbroken one.
    """

    def __init__(self, to_floats: Callable[[Iterable[Any]], list[float]]) -> None:
        self._to_floats = to_floats
        self._pending: list[tuple[Any, Any, int]] = []
        self._loss = self._correct = 0.0
        self._images = 0

    def add(self, result: tuple[Any, Any], images: int) -> None:
        """Add a batch of so many images."""
        self._pending.append((*result, images))
        if len(self._pending) >= READ_EVERY:
            self.read()

    def read(self) -> None:
        """Bring what is pending to the host."""
        losses = self._to_floats([loss for loss, _, _ in self._pending])
        hits = self._to_floats([correct for _, correct, _ in self._pending])
        for loss, correct, (_, _, images) in zip(losses, hits, self._pending, strict=True):
            self._loss += loss * images
            self._correct += correct
            self._images += images
        self._pending.clear()

    @property
    def images(self) -> int:
        """Images so far."""
        self.read()
        return self._images

    @property
    def loss(self) -> float:
        """Mean loss an image so far; not a number before the first."""
        self.read()
        return self._loss / self._images if self._images else float("nan")

    @property
    def accuracy(self) -> float:
        """Percent of the images so far that were classified right."""
        self.read()
        return 100 * self._correct / self._images if self._images else float("nan")

    def state(self) -> list[float]:
        """What a checkpoint remembers, exactly: summed loss, number correct, images."""
        self.read()
        return [self._loss, self._correct, self._images]

    def load_states(self, states: Iterable[Sequence[float]]) -> "Sums":
        """Take over what `state` gave, added up where there are several; returns itself."""
        self._pending.clear()
        self._loss, self._correct, images = (sum(column) for column in zip(*states, strict=True))
        self._images = int(images)
        return self
