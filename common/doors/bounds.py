"""How large a number may be before nothing can mean it: what a command line refuses at once."""

import os

LARGEST, SMALLEST = 1.8e19, 1.2e-38
"""Of floats: the square of the one is finite in float32, below the other it has none but zero."""
LARGEST_INT = 2**31 - 1
LARGEST_SEED = 2**62 - 1  # twice it and one more fit into int64: two streams of a seed
LARGEST_BATCH = 2**20
LARGEST_SIDE = 2**13
LARGEST_FACTOR = 1000
DEEPEST = 2000
MOST_PROCESSES = max(256, 8 * (os.cpu_count() or 1))


def excess(number: float, most: float | None, positive: bool) -> str | None:
    """What a number must be, where it is too large (or, of those > 0, too small); else None.

    most: of its absolute value; None: as much as its kind can bear.
    """
    whole = isinstance(number, int)
    bound = most if most is not None else LARGEST_INT if whole else LARGEST
    shown = f"{bound}" if whole else f"{bound:g}"
    if number > bound:
        return f"must be <= {shown}"
    if number < -bound:
        return f"must be >= -{shown}"
    if positive and not whole and number < SMALLEST:
        return f"must be >= {SMALLEST:g}: float32 has nothing smaller"
    return None
