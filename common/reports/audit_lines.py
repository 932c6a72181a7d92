"""What the audit lines of a run's metrics.jsonl say of their own worth; no framework.

Lines of `common.credit.audit` have `images`, `batches` and, a layer, `<unit>_mean` and
`<unit>_spread`. Older ones have none of these: they are of one batch, and their angles scatter
from line to line by as much as batches do.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def measured(lines: Sequence[Mapping[str, Any]]) -> str:
    """What the points of a figure are of, in a few words; "" without lines."""
    batches_of = {(line.get("images"), line.get("batches")) for line in lines}
    if not batches_of:
        return ""
    if len(batches_of) > 1:
        return "measured on differing images"
    images, batches = batches_of.pop()
    if not images or not batches:
        return "each point one batch"
    if batches == 1:
        return f"the same {images} images at each point, one batch"
    return f"the same {images} images at each point; bands: mean ± spread of {batches} batches"


def band(entry: Mapping[str, Any], unit: str) -> tuple[float, float] | None:
    """Mean ± standard deviation over the batches of one layer's entry ("cosine" or "angle"), within
    what such a number can be; None where the line has none."""
    mean, spread = entry.get(f"{unit}_mean"), entry.get(f"{unit}_spread")
    if mean is None or spread is None:
        return None
    low, high = {"cosine": (-1.0, 1.0), "angle": (0.0, 180.0)}[unit]
    return max(low, mean - spread), min(high, mean + spread)
