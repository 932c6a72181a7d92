"""An update beside a reference, layer by layer, for anybody's arrays: NumPy's, JAX's, PyTorch's.

    >>> import numpy as np
    >>> reference = {"first": np.array([3.0, 4.0]), "last": np.array([1.0, 0.0])}
    >>> update = {"first": np.array([6.0, 8.0]), "last": np.array([0.0, 2.0])}
    >>> print(compare_arrays(update, reference))
    layer  cosine  angle  norm ratio  signs agree
    first  +1.000    0.0       2.000       100.0%
    last   +0.000   90.0       2.000         0.0%
    >>> compare_arrays(update, reference).layers["first"].norm_ratio
    2.0

Both are directions of the same kind, as a gradient is: what an optimiser subtracts. `common.credit.
torch_compare` makes the reference for a PyTorch model.
"""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from common.credit.angles import credit_angles
from common.errors import ArgumentError
from common.files.writing import whole


@dataclass(frozen=True)
class LayerCredit:
    """What a layer's update is worth.

    cosine, angle    of update and reference as vectors (degrees); None where one is zero or not
                     finite
    norm_ratio       |update| / |reference|; None for a reference of zeros
    sign_agreement   part, from 0 to 1, of the reference's non-zero elements whose sign the update
                     has; None where there are none
    reference_norm   |reference|
    too_small        the reference is within rounding of the largest layer's: its direction is noise
    """

    cosine: float | None
    angle: float | None
    norm_ratio: float | None
    sign_agreement: float | None
    reference_norm: float
    too_small: bool


@dataclass(frozen=True)
class Comparison:
    """layers: name -> LayerCredit, in the reference's order. Prints as a table."""

    layers: Mapping[str, LayerCredit]

    def __str__(self) -> str:
        wide = max([5, *map(len, self.layers)])
        lines = [f"{'layer':<{wide}}  cosine  angle  norm ratio  signs agree"]
        for name, layer in self.layers.items():
            cells = (
                _shown(layer.cosine, "+.3f", 6),
                _shown(layer.angle, ".1f", 5),
                _shown(layer.norm_ratio, ".3f", 10),
                _shown(layer.sign_agreement, ".1%", 11),
            )
            note = "  reference too small to have a direction" if layer.too_small else ""
            lines.append(f"{name:<{wide}}  {'  '.join(cells)}{note}")
        return "\n".join(lines)

    def rows(self) -> list[dict[str, Any]]:
        """A row a layer: its name and the numbers."""
        return [{"layer": name, **asdict(layer)} for name, layer in self.layers.items()]

    def to_csv(self, path: str | Path) -> None:
        """The rows as a table with a head. OSError where it cannot be written."""
        with whole(Path(path)) as temporary, open(temporary, "w", newline="") as file:
            names = ["layer", *(each.name for each in fields(LayerCredit))]
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(self.rows())


def compare_arrays(update: Mapping[str, Any], reference: Mapping[str, Any]) -> Comparison:
    """Update and reference by layer, arrays of equal shapes under equal names.

    ArgumentError for a name that one of them lacks, and for another shape.
    """
    if missing := [name for name in reference if name not in update]:
        raise ArgumentError(
            "update", f"has no {missing[0]}; it has {', '.join(update) or 'nothing'}"
        )
    if strange := [name for name in update if name not in reference]:
        raise ArgumentError("update", f"has {strange[0]}, which the reference has not")
    pairs = {name: (to_numpy(update[name]), to_numpy(reference[name])) for name in reference}
    for name, (mine, true) in pairs.items():
        if mine.shape != true.shape:
            raise ArgumentError(
                "update", f"has {name} of shape {mine.shape}, the reference {true.shape}"
            )
    angles = credit_angles(pairs, np.asarray)
    return Comparison(
        {
            name: LayerCredit(sign_agreement=_signs(*pairs[name]), **angle)
            for name, angle in angles.items()
        }
    )


def to_numpy(array: Any) -> np.ndarray:
    """On the host, whatever library it is of; half precisions, which NumPy lacks, as float32."""
    if hasattr(array, "detach"):  # a torch tensor
        array = array.detach().cpu()
        array = array.float() if str(array.dtype) == "torch.bfloat16" else array
    values = np.asarray(array)
    return values if values.dtype.kind in "fiub" else values.astype(np.float32)


def _signs(update: np.ndarray, reference: np.ndarray) -> float | None:
    counted = reference != 0
    if not counted.any():
        return None
    return float((np.sign(update) == np.sign(reference))[counted].mean())


def _shown(value: float | None, how: str, width: int) -> str:
    return f"{'-' if value is None else format(value, how):>{width}}"
