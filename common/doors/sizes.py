"""Several whole numbers given to library code: widths, shapes, counts."""

from collections.abc import Sequence
from typing import Any

from common.doors.arguments import integer, shown
from common.errors import ArgumentError


def integers(
    argument: str, values: Any, *, least: int = 1, count: int | None = None
) -> tuple[int, ...]:
    """`values` as a tuple of integers >= least, `count` of them if given, else one or more.

    Raises ArgumentError for anything else.
    """
    several = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    if not several or not values or (count is not None and len(values) != count):
        wanted = "one or more" if count is None else str(count)
        raise ArgumentError(argument, f"(={shown(values)}) must be {wanted} integers in a sequence")
    return tuple(integer(argument, value, least=least) for value in values)
