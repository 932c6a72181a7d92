"""Ctrl-C and SIGTERM while a run is on: noted at once, answered after the next checkpoint."""

import signal
from typing import Any

from common.backends.protocols import World

NUMBERS = (signal.SIGINT, signal.SIGTERM)
AGREE_EVERY = 16  # steps between two questions whether any process got a signal


class Signals:
    """What this process was told. `number` is the signal's, None as long as there was none.

    world  processes that train along: all of them stop at the same step
    """

    def __init__(self, world: World) -> None:
        self.number: int | None = None
        self._world = world
        self._handlers: dict[int, Any] = {}

    def watch(self) -> None:
        """Take the signals over."""
        for number in NUMBERS:
            self._handlers[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Give them back to whoever had them."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def name(self) -> str:
        """SIGINT or SIGTERM; SIGINT where an exception came by itself."""
        return signal.Signals(self.number or signal.SIGINT).name

    def arrived(self, step: int, now: bool = False) -> bool:
        """Whether one has come, to whichever process. Several ask each other every few steps, or
        `now`; each must ask at the same steps."""
        if self._world.size > 1:
            if not now and step % AGREE_EVERY:
                return False
            (number,) = max(self._world.gather([float(self.number or 0)]))
            self.number = int(number) or None
        return self.number is not None

    def _note(self, number: int, frame: Any) -> None:
        # A second one: at once, without a checkpoint. torchrun hands on what the terminal has sent
        # already, and stops waiting by itself: with several processes a second one says nothing.
        if self.number and self._world.size == 1:
            raise SystemExit(128 + number)
        self.number = number
