"""Numbers that a library call is given: what is out of range is refused where it enters."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from common.errors import ArgumentError


def number(
    argument: str,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """`value` as a float: a finite number from `low` to `high`, numpy's included.

    above, below: `low` and `high` themselves are excluded. Raises ArgumentError otherwise.
    """
    real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    low_ok = real and (low is None or (value > low if above else value >= low))
    high_ok = real and (high is None or (value < high if below else value <= high))
    if not (low_ok and high_ok):
        bounds = [f"{'>' if above else '>='} {low}"] if low is not None else []
        bounds += [f"{'<' if below else '<='} {high}"] if high is not None else []
        wanted = " ".join(["a finite number", " and ".join(bounds)]).strip()
        raise ArgumentError(argument, f"(={value!r}) must be {wanted}")
    return float(value)


def whole(argument: str, value: Any, low: int = 1) -> int:
    """`value` as an int: a whole number of at least `low`, numpy's included, but no bool.

    Raises ArgumentError otherwise.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise ArgumentError(argument, f"(={value!r}) must be an integer >= {low}")
    return int(value)


def wholes(argument: str, values: Any, low: int = 1, count: int | None = None) -> tuple[int, ...]:
    """`values` as a tuple of `whole` numbers, `count` of them if given.

    Raises ArgumentError otherwise.
    """
    sequence = isinstance(values, Sequence) and not isinstance(values, str)
    if not sequence or not values or (count is not None and len(values) != count):
        wanted = "one or more" if count is None else str(count)
        raise ArgumentError(argument, f"(={values!r}) must be a sequence of {wanted} integers")
    return tuple(whole(argument, value, low) for value in values)
