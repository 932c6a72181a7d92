"""`common.batches` for TensorFlow: the same draws, gathered and normalised in compiled calls."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from common.batches import Batches, Plan
from common.datasets import Split


class TFBatches(Batches):
    """Device-resident batches; see `Batches` for the arguments.

    dtype is that of the images (normalised in at least float32). Calls into TensorFlow cost more
    than a small batch does, so one compiled call makes a whole chunk of batches.
    """

    def __init__(
        self, split: Split, batch_size: int, *, dtype: Any = tf.float32, **options: Any
    ) -> None:
        self.dtype = tf.as_dtype(dtype)
        self._work = tf.float64 if self.dtype == tf.float64 else tf.float32
        super().__init__(split, batch_size, **options)

    def _hold(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._padded = images.shape[1:3]
        pixels = (-1, self.channels) if self.augments else (len(images), -1)
        self._images = tf.constant(images.reshape(pixels))
        self._labels = tf.constant(labels)
        self._make = tf.function(self._batches_of, reduce_retracing=False)

    def _upload(self, plan: Plan) -> list[Any]:
        return [None if a is None else tf.constant(a) for a in plan]

    def _chunk(self, rows: Any, low: int, high: int) -> Iterator[tuple[Any, Any]]:
        parts = [None if a is None else a[low:high] for a in rows]
        return zip(*self._make(*parts), strict=True)

    def _batches_of(self, order: Any, offsets: Any, flips: Any) -> tuple[list[Any], list[Any]]:
        images = self._normalise(self._gather(order, offsets, flips))
        labels = tf.gather(self._labels, order)
        full, rest = divmod(int(order.shape[0]), self.batch_size)
        sizes = [self.batch_size] * full + ([rest] if rest else [])
        return tf.split(images, sizes), tf.split(labels, sizes)

    def _gather(self, order: Any, offsets: Any, flips: Any) -> Any:
        shape = (-1, self.height, self.width, self.channels)
        if not self.augments:
            return tf.reshape(tf.gather(self._images, order), shape)
        height, width = self._padded
        columns = tf.range(self.width, dtype=tf.int64)[None, :]
        if flips is not None:
            columns = tf.where(flips[:, None], self.width - 1 - columns, columns)
        row = tf.range(self.height, dtype=tf.int64)[None, :]
        if offsets is not None:
            row, columns = row + offsets[:, :1], columns + offsets[:, 1:]
        index = ((order[:, None] * height + row) * width)[:, :, None] + columns[:, None, :]
        return tf.reshape(tf.gather(self._images, tf.reshape(index, [-1])), shape)

    def _normalise(self, images: Any) -> Any:
        scaled = tf.cast(images, self._work) / 255
        if self.mean.any():
            scaled -= tf.constant(self.mean, self._work)
        if (self.std != 1).any():
            scaled /= tf.constant(self.std, self._work)
        scaled = tf.cast(scaled, self.dtype)
        if self.layout == "flat":
            return tf.reshape(scaled, (-1, self.height * self.width * self.channels))
        return tf.transpose(scaled, (0, 3, 1, 2)) if self.layout == "NCHW" else scaled
