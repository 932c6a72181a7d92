"""Loss and hits of many batches, kept on the device and read now and then, over all processes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from common.backends.protocols import Learner, World

READ_EVERY = 256  # steps between two reads: none of them waits for the device


class RunningMetrics:
    """Adds up (mean loss, number correct, extra counts) of batches given as device scalars.

    Read values are added one batch after another in float64, so that a sum does not depend on
    when it was read: a resumed run gets the bits of an unbroken one.

    extra   how many counts a batch has beside the number correct
    """

    def __init__(self, to_floats: Callable[[Iterable[Any]], list[float]], extra: int = 0) -> None:
        self._to_floats = to_floats
        self._pending: list[tuple[Sequence[Any], int]] = []
        self._loss = 0.0
        self._counts = [0.0] * (1 + extra)
        self._images = 0

    def add(self, result: Sequence[Any], images: int) -> None:
        """Add a batch of so many images."""
        self._pending.append((result, images))
        if len(self._pending) >= READ_EVERY:
            self.read()

    def read(self) -> None:
        """Bring what is pending to the host."""
        losses, *counts = (
            self._to_floats([result[i] for result, _ in self._pending])
            for i in range(1 + len(self._counts))
        )
        for i, (_, images) in enumerate(self._pending):
            self._loss += losses[i] * images
            self._counts = [c + column[i] for c, column in zip(self._counts, counts, strict=True)]
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
        return self.shares[0]

    @property
    def shares(self) -> list[float]:
        """The accuracy and the extra counts, in percent of the images so far."""
        self.read()
        return [100 * c / self._images if self._images else float("nan") for c in self._counts]

    def state(self) -> list[float]:
        """What a checkpoint remembers, exactly: summed loss, number correct, images, the rest."""
        self.read()
        correct, *extra = self._counts
        return [self._loss, correct, self._images, *extra]

    def load_states(self, states: Iterable[Sequence[float]]) -> "RunningMetrics":
        """Take over what `state` gave, added up where there are several; returns itself."""
        self._pending.clear()
        self._loss, correct, images, *extra = (sum(column) for column in zip(*states, strict=True))
        self._images, self._counts = int(images), [correct, *extra]
        return self


class Counting:
    """What the steps of a learner count, and how the metrics of a run's processes come together.

    world  as in `common.runs.run.Run`
    """

    def __init__(self, learner: Learner, world: World) -> None:
        self._to_floats, self._world = learner.backend.to_floats, world
        self._extra = tuple(getattr(learner, "counts", ()))

    def nothing(self) -> RunningMetrics:
        """Those before the first batch."""
        return RunningMetrics(self._to_floats, len(self._extra))

    def whole(self, metrics: RunningMetrics) -> RunningMetrics:
        """Those of all processes added up; each of them asks for it at the same time."""
        return self.nothing().load_states(self._world.gather(metrics.state()))

    def states(self, metrics: RunningMetrics) -> list[list[float]]:
        """Those of all processes for a checkpoint; each of them asks for it at the same time."""
        return self._world.gather(metrics.state())

    def own(self, stored: list[list[float]]) -> list[list[float]]:
        """This process's share of a checkpoint's `states`; the first takes what has no process."""
        return stored[self._world.rank :: self._world.size] or [self.nothing().state()]

    def figures(self, name: str, metrics: RunningMetrics) -> dict[str, float]:
        """The metrics under the names of a metrics line: <name>_loss, <name>_accuracy, ..."""
        accuracy, *more = metrics.shares
        extra = {
            f"{name}_{what}_accuracy": share for what, share in zip(self._extra, more, strict=True)
        }
        return {f"{name}_loss": metrics.loss, f"{name}_accuracy": accuracy, **extra}
