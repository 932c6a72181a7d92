"""When the learning rate halves and when training stops; no framework."""

import math
from collections.abc import Iterable


def rate(lr: float, epoch: int, every: int = 100) -> float:
    """The learning rate of an epoch (from 0): halved every so many epochs."""
    return lr * 0.5 ** (epoch // every)


def stalled(values: Iterable[float], patience: int = 45, min_delta: float = 0.001) -> bool:
    """Whether training stops after the epochs that had these accuracies (fractions).

    An epoch improves if its value less min_delta is above the best so far; after `patience`
    epochs in a row without improvement it is over, so that one never improving ends after 46.
    """
    best, waited = -math.inf, 0
    for value in values:
        if value - min_delta > best:
            best, waited = value, 0
        else:
            waited += 1
    return waited >= patience
