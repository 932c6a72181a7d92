"""What a number given to library code may be; an ArgumentError names the argument otherwise."""

import math
import numbers
from typing import Any

from common.errors import ArgumentError


def number(
    argument: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """`value` as a float: finite, > above, >= least, <= most, < below, where these are given.

    Anything that is a real number of one element will do (NumPy's, a tensor), but no bool.
    """
    try:
        number = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    inside = (
        math.isfinite(number)
        and (above is None or number > above)
        and (least is None or number >= least)
        and (most is None or number <= most)
        and (below is None or number < below)
    )
    if not inside:
        allowed = _allowed(above, least, most, below)
        finite = "" if math.isfinite(number) and allowed else "a finite number "
        raise ArgumentError(argument, f"(={shown(value)}) must be {finite}{allowed}".rstrip())
    return number


def integer(argument: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """`value` as an int of least to most: Python's or NumPy's integers, but no bool."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        allowed = _allowed(None, least, most, None)
        noun = "" if whole else "an integer "
        raise ArgumentError(argument, f"(={shown(value)}) must be {noun}{allowed}")
    return int(value)


def shown(value: Any) -> str:
    """A value as a message shows it: in one line that is not long."""
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _allowed(
    above: float | None, least: float | None, most: float | None, below: float | None
) -> str:
    if least is not None and most is not None:
        return f"between {least} and {most}"
    limits = ((">", above), (">=", least), ("<=", most), ("<", below))
    return " and ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)
