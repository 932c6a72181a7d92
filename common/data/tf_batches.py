"""`common.data.batches` for TensorFlow: the same draws, gathered and normalised in compiled
calls."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from common.data.batches import Batches, Plan
from common.data.datasets import Split


class TFBatches(Batches):
    """Device-resident batches; see `Batches` for the arguments.

    dtype is that of the images (normalised in at least float32). Calls into TensorFlow cost more
    than a small batch does, so one compiled call makes a whole chunk of batches.
    """

    CHUNK_BYTES = 6 << 20  # a call into TensorFlow costs some 200 us

    def __init__(
        self, split: Split, batch_size: int, *, dtype: Any = tf.float32, **options: Any
    ) -> None:
        self.dtype = tf.as_dtype(dtype)
        self._work = tf.float64 if self.dtype == tf.float64 else tf.float32
        super().__init__(split, batch_size, **options)

    def _place(self) -> dict[str, Any]:
        return {"dtype": self.dtype}

    def _hold(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._padded = images.shape[1:3]
        pixels = (-1, self.channels) if self.augments else (len(images), -1)
        self._images = tf.constant(images.reshape(pixels))
        self._labels = tf.constant(labels)
        # As arguments of the compiled call: its optimiser turns a division by a constant into a
        # product with the reciprocal, which has other bits.
        # Tiled over a row of pixels: broadcasting over three channels alone is slow.
        rows = [_shortest(np.tile(c, self.width)) for c in self.affine]
        self._constants = [tf.constant(c, self._work) for c in (255, *rows)]
        self._compiled: dict[int, Callable] = {}  # by the number of images; at most two

    def _upload(self, plan: Plan) -> list[tuple[Any, ...]]:
        # Cut once an epoch: a slice of its own for every chunk would cost as much as the gather.
        lows = range(0, self.images, self.batch_size * self.batches_a_chunk)
        sizes = np.diff([*lows, self.images])
        parts = [
            [None] * len(sizes) if a is None else tf.split(tf.constant(a[: self.images]), sizes)
            for a in plan
        ]
        return list(zip(*parts, strict=True))

    def _chunk(self, rows: Any, low: int, high: int) -> Iterator[tuple[Any, Any]]:
        drawn = rows[low // (self.batch_size * self.batches_a_chunk)]
        if high - low not in self._compiled:
            make = tf.function(self._batches_of, autograph=False)
            self._compiled[high - low] = make.get_concrete_function(drawn, self._constants)
        return zip(*self._compiled[high - low](drawn, self._constants), strict=True)

    def _batches_of(self, drawn: Any, constants: Any) -> tuple[list[Any], list[Any]]:
        order, offsets, flips = drawn
        images = self._normalise(self._gather(order, offsets, flips), *constants)
        labels = tf.gather(self._labels, order)
        full, rest = divmod(int(order.shape[0]), self.batch_size)
        sizes = [self.batch_size] * full + ([rest] if rest else [])
        return tf.split(images, sizes), tf.split(labels, sizes)

    def _gather(self, order: Any, offsets: Any, flips: Any) -> Any:
        if not self.augments:
            return tf.gather(self._images, order)
        height, width = self._padded
        columns = tf.range(self.width, dtype=tf.int64)[None, :]
        if flips is not None:
            columns = tf.where(flips[:, None], self.width - 1 - columns, columns)
        row = tf.range(self.height, dtype=tf.int64)[None, :]
        if offsets is not None:
            row, columns = row + offsets[:, :1], columns + offsets[:, 1:]
        index = ((order[:, None] * height + row) * width)[:, :, None] + columns[:, None, :]
        return tf.gather(self._images, tf.reshape(index, [-1]))

    def _normalise(self, images: Any, white: Any, factor: Any, shift: Any) -> Any:
        shape = (-1, self.height, self.width, self.channels)
        scaled = tf.cast(tf.reshape(images, (-1, self.width * self.channels)), self._work)
        scaled = scaled * factor - shift if self.normalises else scaled / white
        scaled = tf.reshape(tf.cast(scaled, self.dtype), shape)
        if self.layout == "flat":
            return tf.reshape(scaled, (-1, self.height * self.width * self.channels))
        return tf.transpose(scaled, (0, 3, 1, 2)) if self.layout == "NCHW" else scaled


def _shortest(values: np.ndarray) -> np.ndarray:
    return values[0] if (values == values[0]).all() else values
