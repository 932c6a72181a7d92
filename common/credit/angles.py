"""Credit diagnostics: does a rule's update point where the true gradient does?

    cosine      of the angle between two tensors, taken as vectors
    angle       the same in degrees
    norm_ratio  |update| / |gradient|

All in float64 on the host: an audit (`common.credit.audit`) is rare, and its own rounding must not
be what it shows.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from common.errors import ArgumentError


def cosine(a: np.ndarray, b: np.ndarray) -> float | None:
    """Cosine between two arrays of one shape as vectors; None where one is zero or not finite."""
    if a.shape != b.shape:
        raise ArgumentError("b", f"must have the shape of a: shapes {a.shape} and {b.shape} differ")
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    # Scaled first, so that the squares of tiny gradients do not underflow.
    biggest_a, biggest_b = np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0)
    if not (0 < biggest_a < math.inf and 0 < biggest_b < math.inf):
        return None
    a, b = a / biggest_a, b / biggest_b
    value = float(a @ b / math.sqrt((a @ a) * (b @ b)))
    return max(-1.0, min(1.0, value))


def degrees(value: float | None) -> float | None:
    """The angle that belongs to a cosine, in degrees."""
    return None if value is None else math.degrees(math.acos(value))


def credit_angles(
    layers: Mapping[str, tuple[Any, Any]], to_numpy: Callable[[Any], np.ndarray]
) -> dict[str, dict[str, Any]]:
    """For each layer (update, true gradient): cosine, angle, norm ratio and the gradient's norm.

    `too_small` marks a layer whose gradient is within the rounding (of its own precision) of the
    network's largest: its angle is that of noise and means nothing.
    """
    host = {name: (to_numpy(u), to_numpy(g)) for name, (u, g) in layers.items()}
    norms = {name: float(np.linalg.norm(g.astype(np.float64))) for name, (_, g) in host.items()}
    largest = max(norms.values(), default=0.0)
    angles = {}
    for name, (update, gradient) in host.items():
        value = cosine(update, gradient)
        norm = float(np.linalg.norm(update.astype(np.float64)))
        precision = np.finfo(gradient.dtype).eps if gradient.dtype.kind == "f" else 0.0
        angles[name] = {
            "cosine": value,
            "angle": degrees(value),
            "norm_ratio": norm / norms[name] if norms[name] > 0 else None,
            "reference_norm": norms[name],
            "too_small": not norms[name] > precision * largest,
        }
    return angles


def weight_angles(
    layers: Mapping[str, tuple[Any, Any]], to_numpy: Callable[[Any], np.ndarray]
) -> dict[str, dict[str, float | None]]:
    """For each layer (forward weights, feedback weights in the same layout): cosine and angle."""
    values = {name: cosine(to_numpy(w), to_numpy(b)) for name, (w, b) in layers.items()}
    return {name: {"cosine": v, "angle": degrees(v)} for name, v in values.items()}
