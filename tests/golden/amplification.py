"""How much a run makes of rounding: a replay of several steps is checked by its own sensitivity.

Two correct programs differ by a rounding here and there, and a deep net, or one that is trained for
some steps, multiplies that: by two million in eight layers, say. No constant fits both such a run
and a harmless one. So where a replay exceeds a tolerance, the recorded start (`init`) is moved by
one unit in the last place, up or down at random, and the replay is done again: what its numbers
move by is what one rounding has become by then. ROOM times that is allowed, never more than CAP of
the number's size: beyond it the run is chaos, and says nothing about who is right.

A replay within its tolerances is never looked at twice, and where little is made of rounding
nothing is allowed beyond them.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.trace import Trace

START = re.compile(r"(^|[._/])init([._/]|$)")
DRAWS = 3
ROOM = 20  # roundings of the size of the start's, on the way to one number
CAP = 0.5  # a sign error is 2, a transpose about 1.4

Replay = Callable[[Trace], None]


class Rehearsal(Trace):
    """A trace whose start is moved by one unit in the last place of `precision` (seed None: not at
    all), and which notes what it is given instead of judging it: `given`, by key."""

    def __init__(self, path: Path, precision: str, seed: int | None):
        super().__init__(path)
        self.given: dict[str, np.ndarray] = {}
        random = np.random.RandomState(seed)
        for key in [k for k in self if START.search(k) and self.kind(k) == "f"]:
            start = self._arrays[key].astype(precision)
            if seed is not None:
                away = np.where(random.rand(*start.shape) < 0.5, -np.inf, np.inf)
                # A zero stays one: weights that do not exist, biases before the first step.
                start = np.where(start == 0, start, np.nextafter(start, away.astype(precision)))
            self._arrays[key] = start

    def compare(
        self, key: str, ours: Any, tolerance: float, *, scale: float | None = None
    ) -> float:
        self.given[key] = np.asarray(ours)
        _ = self[key]
        return 0.0

    def compare_each(self, key: str, ours: Any, tolerances: Any) -> None:
        self.compare(key, ours, 0.0)


def precision(trace: Trace) -> str:
    """What a run computed in, as its file says it; float64 where it does not."""
    if "meta.dtype" in trace:
        return trace.text("meta.dtype").removeprefix("torch.")
    if "cfg_json" in trace:
        return str(json.loads(trace.text("cfg_json")).get("floatx", "float64"))
    return "float64"


def allowances(path: Path, replay: Replay) -> dict[str, np.ndarray]:
    """By key, how far each entry of what the replay gives may be from the record: absolute, shaped
    like it. Empty for a file without a start."""
    kind = precision(Trace(path))
    still = Rehearsal(path, kind, None)
    if not any(START.search(key) for key in still):
        return {}
    replay(still)
    moved: dict[str, np.ndarray] = {}
    for seed in range(DRAWS):
        trace = Rehearsal(path, kind, seed)
        replay(trace)
        for key, ours in still.given.items():
            if ours.dtype.kind == "f":
                gap = np.abs(trace.given[key].astype(float) - ours.astype(float))
                moved[key] = np.maximum(moved.get(key, 0.0), np.nan_to_num(gap, nan=np.inf))
    return {
        key: np.minimum(ROOM * gap, CAP * np.abs(still.given[key]).max(initial=0.0))
        for key, gap in moved.items()
    }


def check_replay(path: Path, replay: Replay) -> Trace:
    """Replay a trace to its end; AssertionError where it differs by more than its tolerances, and
    by more than its own sensitivity explains."""
    trace = Trace(path)
    try:
        replay(trace)
    except AssertionError:
        allowed = allowances(path, replay)
        if not allowed:
            raise
        trace = Trace(path, allowed)
        replay(trace)
    trace.finish()
    return trace
