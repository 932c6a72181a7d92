"""Fair timing: the candidates take turns, so that whatever else the machine does hits all alike."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Timing(NamedTuple):
    """Milliseconds a call."""

    ms: float  # median
    low: float  # first quartile
    high: float  # third quartile
    n: int


def interleave(
    candidates: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    warm_up: int = 20,
    clock: Callable[[], float] = time.process_time,
    wait: Callable[[], None] = lambda: None,
    least: int = 30,
) -> dict[str, Timing]:
    """Time candidates in turn for about so many seconds; `wait` ends what a call set going.

    `clock` is the CPU time of the process (right for one thread on a shared machine) or the wall's.
    Warm-up calls, in which graphs are traced and kernels chosen, are not counted.
    """
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(warm_up):
        for call in candidates.values():
            call()
    wait()
    gc.collect()
    gc.disable()
    try:
        end, rounds = time.perf_counter() + seconds, 0
        while rounds < least or time.perf_counter() < end:
            rounds += 1
            for name, call in candidates.items():
                before = clock()
                call()
                wait()
                found[name].append(1e3 * (clock() - before))
    finally:
        gc.enable()
    return {name: _timing(times) for name, times in found.items()}


def _timing(times: list[float]) -> Timing:
    low, middle, high = statistics.quantiles(times, n=4)
    return Timing(middle, low, high, len(times))
