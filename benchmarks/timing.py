"""Fair timing: the candidates take turns, so that whatever else the machine does hits all alike."""

import gc
import random
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
    warm_up: int = 24,
    block: int = 8,
    clock: Callable[[], float] = time.process_time,
    wait: Callable[[], None] = lambda: None,
    least: int = 20,
) -> dict[str, Timing]:
    """Time candidates in turn for about so many seconds; `wait` ends what a block set going.

    Each visit is a block of calls, timed together, and the order of the visits is drawn anew each
    round: after another candidate the caches hold the other's weights, which one call would pay
    for. `clock` is the CPU time of the process (right for one thread on a shared machine) or the
    wall's. Warm-up calls, in which graphs are traced and kernels chosen, are not counted.
    """
    times_of: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        for _ in range(warm_up):
            call()
    wait()
    gc.collect()
    gc.disable()
    draw, names = random.Random(0), list(candidates)
    try:
        end, rounds = time.perf_counter() + seconds, 0
        while rounds < least or time.perf_counter() < end:
            rounds += 1
            draw.shuffle(names)
            for name in names:
                call = candidates[name]
                call()  # brings its weights back to the caches
                wait()
                before = clock()
                for _ in range(block):
                    call()
                wait()
                times_of[name].append(1e3 * (clock() - before) / block)
    finally:
        gc.enable()
    return {name: _timing(times, block) for name, times in times_of.items()}


def _timing(times: list[float], block: int) -> Timing:
    low, middle, high = statistics.quantiles(times, n=4)
    return Timing(middle, low, high, len(times) * block)
