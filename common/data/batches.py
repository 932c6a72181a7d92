"""Batches that live on the device, in an order that only (seed, epoch) decides.

The order of an epoch, its crop offsets and its flips are drawn here, on the host, from numpy's
PCG64 seeded with (seed, epoch): the same in every framework and on every device, and nothing to
store but (epoch, batch). `torch_batches` and `tf_batches` apply them on the device.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from common.data.datasets import Split
from common.errors import ArgumentError, unknown

LAYOUTS = ("NHWC", "NCHW", "flat")


class Plan(NamedTuple):
    """One epoch: which image comes when, and how it is cropped and flipped."""

    order: np.ndarray  # (n,) int64, indices into the split
    offsets: np.ndarray | None  # (n, 2) int64, row and column of the crop in the padded image
    flips: np.ndarray | None  # (n,) bool, mirrored left to right


def draw_plan(
    n: int, seed: int, epoch: int, *, shuffle: bool = True, pad: int = 0, flip: bool = False
) -> Plan:
    """The plan of epoch `epoch` (from 0): order, offsets (0..2 pad) and flips drawn in turn."""
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = rng.permutation(n) if shuffle else np.arange(n)
    offsets = rng.integers(0, 2 * pad + 1, (n, 2)) if pad else None
    flips = rng.integers(0, 2, n).astype(bool) if flip else None
    return Plan(order.astype(np.int64), offsets, flips)


class Batches(ABC):
    """Batches of a split: iterate `epoch(e)`, or `epoch(e, start=k)` to begin at batch k.

    split        images uint8 (N, H, W, C) and labels int64 (N,)
    batch_size   images a batch; the last one may be smaller unless drop_last
    mean, std    per channel (or one number), of pixels scaled to [0, 1]: (x/255 - mean) / std
    shuffle      draw an order for each epoch; else the split's own
    pad          crop H x W from the image with `pad` black pixels on every side, at random
    flip         mirror half of the images
    seed         with the epoch, all that the draws depend on
    order        a paper's own order instead: epoch -> indices (n,), a pure function of the epoch
    part         (rank, size): this process's part of batches that are `size` times as large
    layout       "NHWC", "NCHW" or "flat" (B, H*W*C)

    Yields (images floating point, labels int64), tensors of the framework on its device.
    Raises ArgumentError for sizes that cannot be.
    """

    CHUNK_BYTES = 2 << 20  # of float32 pixels made in one call: what a cache holds

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        shuffle: bool = False,
        drop_last: bool = False,
        pad: int = 0,
        flip: bool = False,
        seed: int = 0,
        order: Callable[[int], np.ndarray] | None = None,
        part: tuple[int, int] = (0, 1),
        layout: str = "NHWC",
        chunk_bytes: int | None = None,
    ) -> None:
        n, self.height, self.width, self.channels = split.images.shape
        self.rank, self.size = part
        whole = batch_size * self.size
        whole_only = drop_last or self.size > 1  # processes need equal shares
        if batch_size < 1 or (whole_only and whole > n):
            raise ArgumentError(
                "batch_size", f"(={batch_size}) must be between 1 and {n}, the images held"
            )
        if layout not in LAYOUTS:
            raise unknown("layout", layout, LAYOUTS)
        self.batch_size, self.drop_last, self.layout = batch_size, drop_last, layout
        self.shuffle, self.pad, self.flip, self.seed, self.order = shuffle, pad, flip, seed, order
        self.n, self._split = n, split
        self.images = n // whole * batch_size if whole_only else n  # an epoch
        self.mean = np.broadcast_to(np.asarray(mean, np.float64), (self.channels,))
        self.std = np.broadcast_to(np.asarray(std, np.float64), (self.channels,))
        pixels = 4 * self.height * self.width * self.channels
        chunk_bytes = chunk_bytes or self.CHUNK_BYTES
        self.batches_a_chunk = max(1, chunk_bytes // (pixels * batch_size))
        border = ((0, 0), (pad, pad), (pad, pad), (0, 0))
        self._hold(np.pad(split.images, border) if pad else split.images, split.labels)

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(self.images / self.batch_size)

    def plan(self, epoch: int) -> Plan:
        """What happens in epoch `epoch` (from 0)."""
        drawn = draw_plan(
            self.n, self.seed, epoch, shuffle=self.shuffle, pad=self.pad, flip=self.flip
        )
        if self.order is not None:
            drawn = drawn._replace(order=self._own_order(epoch))
        return drawn if self.size == 1 else self._own_part(drawn)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Any, Any]]:
        """The batches of one epoch, from batch `start`."""
        # Chunks begin at the same places whatever `start` is: a batch that lay elsewhere in memory
        # could be multiplied in another order, and a resumed run would lose its bits.
        first, skip = divmod(start, self.batches_a_chunk)
        step = self.batch_size * self.batches_a_chunk
        rows = self._upload(self.plan(epoch))
        for low in range(first * step, self.images, step):
            chunk = self._chunk(rows, low, min(low + step, self.images))
            yield from islice(chunk, skip, None)
            skip = 0

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self.epoch(0)

    def sample(self, images: int, batch_size: int) -> "Batches":
        """The first `images` of `Split.limit`'s permutation, neither cropped nor mirrored: the same
        ones at any time, whatever seed, epoch and part."""
        how: dict[str, Any] = {"mean": self.mean, "std": self.std, "layout": self.layout}
        return type(self)(self._split.limit(images), batch_size, **how, **self._place())

    def _own_order(self, epoch: int) -> np.ndarray:
        assert self.order is not None
        order = np.asarray(self.order(epoch), np.int64)
        if (
            order.ndim != 1
            or len(order) < self.images * self.size
            or not 0 <= order.min() <= order.max() < self.n
        ):
            raise ArgumentError(
                "order", f"of epoch {epoch} must hold indices of the {self.n} images"
            )
        return order

    def _own_part(self, plan: Plan) -> Plan:
        """Of each large batch the rank's stretch; processes need equal shares, so no ragged end."""

        def mine(drawn: np.ndarray) -> np.ndarray:
            whole = drawn[: self.images * self.size]
            rest = drawn.shape[1:]
            return whole.reshape(-1, self.size, self.batch_size, *rest)[:, self.rank].reshape(
                -1, *rest
            )

        order, offsets, flips = plan
        return Plan(
            mine(order),
            None if offsets is None else mine(offsets),
            None if flips is None else mine(flips),
        )

    @property
    def normalises(self) -> bool:
        """Whether a mean or a standard deviation is given; pixels are x/255 otherwise."""
        return bool(self.mean.any() or (self.std != 1).any())

    @property
    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Per channel a and b, float64: (x/255 - mean) / std = a x - b takes two passes, not three.

        Frameworks round a and b to the images' precision, then a x, then the difference.
        """
        return 1 / (255 * self.std), self.mean / self.std

    @property
    def augments(self) -> bool:
        """Whether images are cropped or flipped."""
        return bool(self.pad or self.flip)

    @abstractmethod
    def _place(self) -> dict[str, Any]:
        """The framework's own arguments, to make batches beside these."""

    @abstractmethod
    def _hold(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Move the (padded) images and the labels to the device, once."""

    @abstractmethod
    def _upload(self, plan: Plan) -> Any:
        """Move an epoch's plan to the device, once an epoch."""

    @abstractmethod
    def _chunk(self, rows: Any, low: int, high: int) -> Iterator[tuple[Any, Any]]:
        """The batches of images low..high of the epoch's order."""
