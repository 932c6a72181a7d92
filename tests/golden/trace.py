"""A recorded trace, read like a mapping, that knows which of its keys were used.

A replayer reads what it needs, computes, and compares. At the end `finish` fails for every key that
nobody consumed: a trace that says more than its replayer checks is a gap in the tests.

    trace = Trace(Path("tests/golden/data/lra_e/torch_lra_adamw.npz"))
    net = build(trace.integers("layer_sizes"))
    trace.compare("step1_logits", net(trace["x"][0]), 1e-11)
    trace.finish()
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np


class Trace(Mapping[str, np.ndarray]):
    """One `.npz` file. `trace[key]` marks the key as consumed, `key in trace` and `len` do not.

    `paper` is the folder's name, `stem` the file's; `errors` holds the norm-wise error of every
    float comparison made so far, by key. `allowed`: what each entry of a key may differ by, beyond
    the tolerances, for a run that makes much of rounding (`amplification`).
    """

    def __init__(self, path: Path, allowed: Mapping[str, np.ndarray] | None = None):
        self._allowed = dict(allowed or {})
        self.path = Path(path)
        self.paper, self.stem = self.path.parent.name, self.path.stem
        with np.load(self.path, allow_pickle=False) as archive:
            self._arrays = {key: archive[key] for key in archive.files}
        self._read: set[str] = set()
        self.errors: dict[str, float] = {}

    def __getitem__(self, key: str) -> np.ndarray:
        array = self._arrays[key]
        self._read.add(key)
        return array

    def __contains__(self, key: object) -> bool:
        return key in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"{self.paper}/{self.stem}"

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of an array without consuming it."""
        return self._arrays[key].shape

    def kind(self, key: str) -> str:
        """Numpy's letter for an array's kind of number ("f", "i", ...), without consuming it."""
        return self._arrays[key].dtype.kind

    def number(self, key: str, default: float | None = None) -> float:
        """A scalar as float; `default` where the file does not say."""
        return float(self._scalar(key, default))

    def integer(self, key: str, default: int | None = None) -> int:
        """A scalar as int; `default` where the file does not say."""
        return int(self._scalar(key, default))

    def integers(self, key: str) -> list[int]:
        """A one-dimensional array as a list of int."""
        return [int(value) for value in self[key]]

    def text(self, key: str, default: str | None = None) -> str:
        """A text scalar; `default` where the file does not say."""
        return str(self._scalar(key, default))

    def _scalar(self, key: str, default: Any) -> Any:
        if key in self or default is None:
            return self[key].item()
        return default

    def companion(self, stem: str) -> "Trace":
        """Another file of the same folder (inputs shared by several traces)."""
        return Trace(self.path.with_name(f"{stem}.npz"))

    def compare(
        self, key: str, ours: Any, tolerance: float, *, scale: float | None = None
    ) -> float:
        """Hold `ours` against the recorded array: the error, or AssertionError beyond tolerance.

        The error of floats is norm-wise: max|ours - recorded| / max|recorded|, or over `scale`
        where the recorded array has no size of its own. Where one side is not finite, the other
        must be the same. Integers, truth values and texts must be equal. Shapes must agree.
        """
        recorded = self[key]
        ours = np.asarray(ours)
        where = f"{self!r}: {key}"
        assert ours.shape == recorded.shape, (
            f"{where} has shape {recorded.shape}, ours {ours.shape}"
        )
        if recorded.dtype.kind != "f":
            assert np.array_equal(ours, recorded), f"{where} is {recorded}, ours {ours}"
            return 0.0
        error = self.errors[key] = relative_error(ours, recorded, scale=scale)
        if key in self._allowed:
            largest = float(np.max(self._allowed[key], initial=0.0))
            size = float(np.max(np.abs(recorded), initial=0.0)) if scale is None else scale
            tolerance = max(tolerance, largest / size if size else 0.0)
        assert error <= tolerance, (
            f"{where}: max|difference| / max|value| = {error:.2e}, allowed {tolerance:.2e}"
        )
        return error

    def compare_each(self, key: str, ours: Any, tolerances: Any) -> None:
        """As `compare`, each entry with its own absolute tolerance (statistics of large arrays)."""
        recorded, ours = self[key], np.asarray(ours, dtype=float)
        allowed = np.broadcast_to(np.asarray(tolerances, dtype=float), recorded.shape)
        allowed = np.maximum(allowed, self._allowed.get(key, 0.0))
        where = f"{self!r}: {key}"
        assert ours.shape == recorded.shape, (
            f"{where} has shape {recorded.shape}, ours {ours.shape}"
        )
        same = (ours == recorded) | (np.isnan(ours) & np.isnan(recorded))
        gap = np.where(same, 0.0, np.abs(ours - recorded))
        assert np.all(gap <= allowed), (
            f"{where} is {recorded}, ours {ours}: differences {gap}, allowed {allowed}"
        )

    def unread(self) -> list[str]:
        """The keys that nobody consumed."""
        return [key for key in self._arrays if key not in self._read]

    def finish(self) -> None:
        """AssertionError unless every key of the file was consumed."""
        unread = self.unread()
        assert not unread, (
            f"{self!r}: {len(unread)} of {len(self)} keys were not consumed by the replayer: "
            + ", ".join(unread[:20])
            + (", …" if len(unread) > 20 else "")
        )


def relative_error(ours: Any, reference: Any, *, scale: float | None = None) -> float:
    """max|ours - reference| / max|reference| (or / `scale`); 0 if equal, infinite if undefined.

    Entries that are not finite must be the same on both sides; they do not count in the maxima.
    """
    ours, reference = np.asarray(ours, dtype=float), np.asarray(reference, dtype=float)
    if ours.shape != reference.shape:
        raise ValueError(f"shapes differ: {ours.shape} and {reference.shape}")
    finite = np.isfinite(reference)
    if not np.array_equal(np.isfinite(ours), finite):
        return float("inf")
    if not np.array_equal(ours[~finite], reference[~finite], equal_nan=True):
        return float("inf")
    gap = float(np.max(np.abs(ours - reference)[finite], initial=0.0))
    size = float(np.max(np.abs(reference)[finite], initial=0.0)) if scale is None else scale
    if gap == 0.0:
        return 0.0
    return gap / size if size else float("inf")
