"""An audit: a rule's update beside backprop's gradient, on the same named images every time.

One batch says little: at 29 images the angle of ASAP's first convolution scatters by 27 degrees
from batch to batch, at 512 by one. An audit therefore takes `--audit-images` images of the training
set, always the same ones, in whole batches of the run's own size, and a line says of each layer

    cosine, angle, norm_ratio, reference_norm, too_small   of the mean update and the mean gradient
    cosine_mean, cosine_spread, angle_mean, angle_spread   mean and standard deviation over the
                                                           batches; null where a batch has no angle,
                                                           a spread also where there is one batch

and of itself `images` and `batches`. Lines of before 2026-11 have neither: they are of one batch.
"""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from common.credit.angles import credit_angles, weight_angles


class Sampled(Protocol):
    """Training batches that can show some of their images again."""

    batch_size: int
    n: int

    def sample(self, images: int, batch_size: int) -> Iterable[tuple[Any, Any]]:
        """So many images as they are, the same ones at any time, in batches of that size."""


class AuditedBackend(Protocol):
    """What an audit asks of a framework (see `common.backends.protocols`)."""

    def rng_state(self) -> dict[str, Any]: ...
    def load_rng_state(self, states: Mapping[str, Any]) -> None: ...
    def to_numpy(self, tensor: Any) -> np.ndarray: ...


class Audited(Protocol):
    """A rule whose updates can be looked at."""

    @property
    def backend(self) -> AuditedBackend: ...

    def credit(self, images: Any, labels: Any) -> dict[str, tuple[Any, Any]]:
        """Layer -> (update, true gradient), changing nothing."""


@runtime_checkable
class FedBack(Protocol):
    """A learner with feedback weights."""

    def feedback(self) -> dict[str, tuple[Any, Any]]:
        """Layer -> (forward, feedback weights) in one layout."""


class Audits:
    """When a run audits, and of what: `--audit`, `--audit-every`, `--audit-images`."""

    def __init__(self, asked: bool, every: int | None, images: int, learner: Audited) -> None:
        self.every, self.images = every, images
        self.asked = bool(asked or every)
        self._learner = learner
        self._sample: Iterable[tuple[Any, Any]] | None = None

    def due(self, step: int) -> bool:
        """Whether `--audit-every` wants one after so many steps."""
        return bool(self.every and step % self.every == 0)

    def take(self, train: Sampled) -> None:
        """All audits of the run are of images of these batches: the first that are taken."""
        if self.asked and self._sample is None:
            self._sample = named(train, self.images)

    def measure(self, train: Sampled) -> dict[str, Any]:
        """What an audit line holds besides its place. train: where to take images from, if none
        are taken yet."""
        if self._sample is None:
            self._sample = named(train, self.images)
        return audit(self._learner, self._sample)


def named(train: Sampled, images: int) -> Iterable[tuple[Any, Any]]:
    """At most so many images of a training set in whole batches of its own size; one smaller batch
    where there are not enough for one."""
    images = min(images, train.n)
    size = min(images, train.batch_size)
    return train.sample(images // size * size, size)


def audit(learner: Audited, batches: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """The angles "credit" and, where the learner has feedback weights, "feedback"
    (`common.backends.protocols`).

    The framework's generators are put back, so that a run with audits has the bits of one without.
    """
    backend = learner.backend
    before = backend.rng_state()
    sums: dict[str, list[Any]] = {}
    types: dict[str, list[np.dtype]] = {}
    single: list[dict[str, dict[str, Any]]] = []
    images = 0
    for x, labels in batches:
        layers = {
            name: [backend.to_numpy(each) for each in pair]
            for name, pair in learner.credit(x, labels).items()
        }
        single.append(credit_angles(layers, np.asarray))  # type: ignore[arg-type]
        for name, pair in layers.items():
            parts = [each.astype(np.float64) * len(labels) for each in pair]
            types[name] = [each.dtype for each in pair]
            sums[name] = [a + b for a, b in zip(sums.get(name, [0.0, 0.0]), parts, strict=True)]
        images += len(labels)
    means: dict[str, Any] = {
        # In its own type again: what is lost in that type's rounding is `too_small`.
        name: [(total / images).astype(t) for total, t in zip(pair, types[name], strict=True)]
        for name, pair in sums.items()
    }
    audited: dict[str, Any] = {"images": images, "batches": len(single)}
    audited["credit"] = credit_angles(means, np.asarray)
    for name, line in audited["credit"].items():
        for unit in ("cosine", "angle"):
            line |= _over_batches(unit, [each[name][unit] for each in single])
    if isinstance(learner, FedBack):
        audited["feedback"] = weight_angles(learner.feedback(), backend.to_numpy)
    backend.load_rng_state(before)
    return audited


def _over_batches(unit: str, values: list[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    whole = len(known) == len(values) and bool(values)
    return {
        f"{unit}_mean": statistics.fmean(known) if whole else None,
        f"{unit}_spread": statistics.stdev(known) if whole and len(known) > 1 else None,
    }
