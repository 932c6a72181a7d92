"""A convolution whose weights are not shared: every position has a kernel of its own.

Keras had this layer (LocallyConnected2D) and dropped it. Here it is a gather and one matrix product
per position, on an input with the batch innermost, `(H, W, C, B)`: what a patch takes from one
pixel is then one contiguous block of C*B numbers, so that gathering copies blocks and putting
gradients back adds blocks. `(B, H, W, C)` as a matrix of B rows is one transpose away from it.

Cost of forward and backward, P positions, K = kh*kw*C_in numbers a patch, F filters: 6*B*P*K*F
operations, those of the convolution; the kernel, P*K*F numbers, is read twice and its gradient
written once, the patches, B*P*K numbers, are written once and read twice. Measured beside the
convolution by `python -m benchmarks.brainprop_loccon`.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from common.doors.arguments import integer
from common.errors import ArgumentError

PADDINGS = ("valid", "same")


class Geometry(NamedTuple):
    """Where the patches of a layer lie in its input, padded first by `pads`.

    pixels   int32 `(positions * kh * kw,)`: the padded input's pixel, row-major, that each entry
             of each patch is; positions row-major, entries of a patch by row and column
    output   height and width of the output
    padded   height and width of the padded input
    pads     ((top, bottom), (left, right)), as TensorFlow pads: the odd one below and right
    """

    pixels: np.ndarray
    output: tuple[int, int]
    padded: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]


@functools.cache
def geometry(
    size: tuple[int, int], kernel_size: tuple[int, int], strides: tuple[int, int], padding: str
) -> Geometry:
    """The patches of an input of height and width `size`. ValueError where none fits."""
    ends = [_along(*axis, padding) for axis in zip(size, kernel_size, strides, strict=True)]
    output, pads = (ends[0][0], ends[1][0]), (ends[0][1], ends[1][1])
    if min(output) < 1:
        raise ValueError(f"kernel_size (={kernel_size}) does not fit an input of size {size}")
    padded = (size[0] + sum(pads[0]), size[1] + sum(pads[1]))
    rows, columns = (
        np.arange(n)[:, None] * stride + np.arange(k)
        for n, k, stride in zip(output, kernel_size, strides, strict=True)
    )
    pixels = rows[:, None, :, None] * padded[1] + columns[None, :, None, :]
    pixels = pixels.ravel().astype(np.int32)
    pixels.flags.writeable = False  # shared by all layers of this shape
    return Geometry(pixels, output, padded, pads)


def _along(size: int, kernel: int, stride: int, padding: str) -> tuple[int, tuple[int, int]]:
    """Output size and padding along one axis."""
    if padding == "valid":
        return (size - kernel) // stride + 1, (0, 0)
    output = -(-size // stride)
    total = max((output - 1) * stride + kernel - size, 0)
    return output, (total // 2, total - total // 2)


def locally_connected(
    x: tf.Tensor,
    kernel: tf.Tensor,
    kernel_size: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    padding: str = "valid",
) -> tf.Tensor:
    """The unshared convolution: y[b, p, f] = sum over k of patch[b, p, k] kernel[p, k, f].

    x        `(B, H, W, C_in)`
    kernel   `(positions, kh*kw*C_in, C_out)`, positions row-major, a patch's entries by row,
             column and channel

    Returns `(B, H_out, W_out, C_out)`. Linear in x and in kernel; both gradients, and theirs, are
    known. ValueError where no patch fits.
    """
    where = geometry(
        (x.shape[1], x.shape[2]),
        _two("kernel_size", kernel_size),
        _two("strides", strides),
        padding,
    )
    if where.pads != ((0, 0), (0, 0)):
        x = tf.pad(x, [(0, 0), *where.pads, (0, 0)])
    y = _product(x, kernel, where.pixels)
    return tf.reshape(y, (-1, *where.output, kernel.shape[2]))


def _product(x: tf.Tensor, kernel: tf.Tensor, pixels: np.ndarray) -> tf.Tensor:
    """x `(B, H, W, C)`, kernel `(P, K, F)`, pixels `(P * kh * kw,)` -> `(B, P, F)`."""
    height, width, channels = x.shape[1:]
    positions, entries, _ = kernel.shape

    @tf.custom_gradient
    def product(x: tf.Tensor, kernel: tf.Tensor) -> Any:
        turned = tf.transpose(tf.reshape(x, (-1, height * width * channels)))
        patches = tf.gather(tf.reshape(turned, (height * width, -1)), pixels)
        patches = tf.reshape(patches, (positions, entries, -1))  # (P, K, B)

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # What tf.gather would do by itself, without a detour by sparse slices.
            dy = tf.transpose(dy, (1, 0, 2))
            back = tf.reshape(tf.matmul(kernel, dy, transpose_b=True), (len(pixels), -1))
            dx = tf.math.unsorted_segment_sum(back, pixels, height * width)
            dx = tf.transpose(tf.reshape(dx, (height * width * channels, -1)))
            return tf.reshape(dx, (-1, height, width, channels)), tf.matmul(patches, dy)

        return tf.transpose(tf.matmul(patches, kernel, transpose_a=True), (1, 0, 2)), gradient

    return product(x, kernel)


@keras.saving.register_keras_serializable(package="brainprop")
class LocallyConnected2D(keras.layers.Layer):
    """Convolution with unshared weights: y[b, p, f] = sum over k of patch[b, p, k] K[p, k, f].

    filters      number of output channels
    kernel_size  an integer, Python's or NumPy's, or two; strides likewise
    padding      "valid" or "same" (TensorFlow's: the odd row or column goes below and right)
    use_bias     one number for each position and filter, `(H_out, W_out, filters)`

    `(B, H, W, C_in)` -> `(B, H_out, W_out, filters)`; H, W and C_in must be known when the layer is
    built. Weights: `kernel`, `(positions, kh*kw*C_in, filters)`, positions row-major, a patch's
    entries by row, column and channel. Raises ValueError for a value that an argument cannot have.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: str = "valid",
        activation: Any = None,
        use_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = integer("filters", filters)
        self.kernel_size = _two("kernel_size", kernel_size)
        self.strides = _two("strides", strides)
        if padding not in PADDINGS:
            raise ArgumentError("padding", f"(={padding!r}) must be one of {', '.join(PADDINGS)}")
        self.padding = padding
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)

    def _image(self, shape: tuple[int | None, ...]) -> tuple[int, int, int]:
        """Height, width and channels of an input of this shape."""
        if len(shape) != 4:
            raise ValueError(f"{self.name}: the input must have 4 axes, not shape {shape}")
        if None in shape[1:]:
            raise ValueError(
                f"{self.name}: height, width and channels must be known, not shape {shape}: "
                f"every position has its own weights"
            )
        return shape[1:]  # type: ignore[return-value]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        height, width, channels = self._image(input_shape)
        output = geometry((height, width), self.kernel_size, self.strides, self.padding).output
        entries = self.kernel_size[0] * self.kernel_size[1] * channels
        self.kernel = self.add_weight(
            name="kernel",
            shape=(output[0] * output[1], entries, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(*output, self.filters),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
            )

    def call(self, inputs: Any) -> Any:
        y = locally_connected(
            inputs,
            tf.convert_to_tensor(self.kernel),
            self.kernel_size,
            self.strides,
            self.padding,
        )
        if self.use_bias:
            y += tf.convert_to_tensor(self.bias)
        return self.activation(y)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        height, width, _ = self._image(input_shape)
        output = geometry((height, width), self.kernel_size, self.strides, self.padding).output
        return (input_shape[0], *output, self.filters)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
        }


def _two(name: str, value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable) or np.ndim(value) == 0:
        value = (value, value)  # type: ignore[assignment]
    both = list(value)  # type: ignore[arg-type]
    if len(both) != 2:
        raise ArgumentError(name, f"(={value!r}) must be one integer or two")
    return integer(name, both[0]), integer(name, both[1])
