"""The door for labels of every TensorFlow rule; see `common.doors.torch_labels`, its counterpart.

Keras turns labels into the outputs' type before a loss sees them: whole numbers in a floating
type are classes here. Shapes and types are checked by Python, values at once in eager mode and by
an assertion where a graph runs. XLA leaves assertions out: what it makes of a class that does not
exist is a row of nan, which no training survives unseen.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from common.errors import ArgumentError

ALLOWED = "classes ({0},) or ({0}, 1) of an integer type, or one-hot rows ({0}, {1}) of any type"
TOLERANCE = 1e-2  # of sums of rows, as in `torch_labels`


def classes(labels: Any, outputs: Any, argument: str = "labels") -> tf.Tensor:
    """Labels as classes (B,) int64, for a network's outputs (B, C), or a TensorSpec of them.

    Raises ArgumentError for an empty batch, another shape, values that are no whole numbers, rows
    that are not one-hot, and a class outside 0 to C - 1 (in a graph: InvalidArgumentError).
    """
    labels = _tensor(labels, outputs, argument)
    find = _of_rows if _are_rows(labels, outputs) else _checked
    return find(labels, outputs, argument)[0]


def rows(labels: Any, outputs: Any, argument: str = "labels", *, soft: bool = True) -> tf.Tensor:
    """Labels as rows (B, C) in the outputs' type: one-hot from classes.

    Rows of an integer type must be one-hot, those of a floating type, with `soft`, any distribution
    over the classes. Raises ArgumentError as `classes` does.
    """
    labels = _tensor(labels, outputs, argument)
    if _are_rows(labels, outputs) and soft and labels.dtype.is_floating:
        return _distribution(labels, outputs, argument)
    find = _of_rows if _are_rows(labels, outputs) else _checked
    wanted, good = find(labels, outputs, argument)
    made = tf.one_hot(wanted, outputs.shape[1], dtype=outputs.dtype)
    return made if tf.executing_eagerly() else _or_nan(good, made)


def entering(labels: Any, batch: int, width: int, argument: str = "labels") -> tf.Tensor:
    """`classes` for a step that is compiled: seen before it, since XLA asserts nothing in it.

    Labels (B,) int64 that lie on a GPU pass, for to see them would mean to wait for it.
    """
    on_gpu = tf.is_tensor(labels) and "GPU" in (getattr(labels, "device", None) or "")
    if on_gpu and labels.dtype == tf.int64 and labels.shape == (batch,):
        return labels
    return classes(labels, tf.TensorSpec((batch, width)), argument)


def _tensor(labels: Any, outputs: Any, argument: str) -> tf.Tensor:
    """Labels as a tensor of as many samples as the outputs, of an integer or a floating type."""
    if outputs.shape.rank != 2 or outputs.shape[1] is None:
        raise ArgumentError("outputs", f"(shape {_shape(outputs)}) must be (B, C)")
    try:
        labels = tf.convert_to_tensor(labels)
    except (TypeError, ValueError):
        kind = type(labels).__name__
        raise ArgumentError(argument, f"({kind}) must be {_allowed(outputs)}") from None
    if outputs.shape[0] == 0:
        raise ArgumentError(argument, "are of an empty batch; leave such a batch out")
    kind, rank = labels.dtype, labels.shape.rank
    fits = rank in (1, 2) and labels.shape[:1].is_compatible_with(outputs.shape[:1])
    if not fits or not (kind.is_integer or kind.is_floating or kind == tf.bool):
        raise _refused(labels, outputs, argument)
    if rank == 2 and labels.shape[1] != 1 and not _are_rows(labels, outputs):
        raise _refused(labels, outputs, argument)
    if kind != tf.bool:
        return labels
    if not _are_rows(labels, outputs):
        raise _refused(labels, outputs, argument)
    return tf.cast(labels, tf.uint8)


def _are_rows(labels: tf.Tensor, outputs: Any) -> bool:
    return labels.shape.rank == 2 and labels.shape[1] == outputs.shape[1] > 1


def _checked(labels: tf.Tensor, outputs: Any, argument: str) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Classes (B,) int64, each of them one that the network has; in a graph also whether it is."""
    width = outputs.shape[1]
    if tf.executing_eagerly():
        values = np.asarray(labels).reshape(-1)
        wanted = values.astype(np.int64)
        if labels.dtype.is_floating and not (wanted == values).all():
            raise ArgumentError(argument, "must be whole numbers, the classes")
        low, high = wanted.min(), wanted.max()
        if low < 0 or high >= width:
            wrong = int(low if low < 0 else high)
            raise ArgumentError(
                argument, f"hold class {wrong}, and the network has classes 0 to {width - 1}"
            )
        if labels.dtype == tf.int64 and labels.shape.rank == 1:
            return labels, None
        return tf.constant(wanted), None
    flat = tf.reshape(labels, [-1])
    wanted = tf.cast(flat, tf.int64)
    inside = (wanted >= 0) & (wanted < width)
    if labels.dtype.is_floating:
        inside &= tf.cast(wanted, flat.dtype) == flat
    alike = tf.shape(labels)[0] == tf.shape(outputs)[0]
    return _after(
        tf.reduce_all(inside) & alike, wanted, argument, "hold what is no class of the network"
    ), inside


def _of_rows(labels: tf.Tensor, outputs: Any, argument: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Classes (B,) int64 of one-hot rows (B, C), and whether each of them is one."""
    ones = labels == tf.cast(1, labels.dtype)
    others = labels != tf.cast(0, labels.dtype)
    single = (tf.math.count_nonzero(ones, 1) == 1) & (tf.math.count_nonzero(others, 1) == 1)
    classes = tf.argmax(tf.cast(ones, tf.uint8), 1)
    problem = "(rows) must be one-hot: a single 1, else 0"
    return _after(tf.reduce_all(single), classes, argument, problem), single


def _distribution(labels: tf.Tensor, outputs: Any, argument: str) -> tf.Tensor:
    weights = tf.cast(labels, outputs.dtype)
    good = tf.reduce_all((weights >= 0) & (weights <= 1), 1)  # false for nan as well
    good &= tf.abs(tf.reduce_sum(weights, 1) - 1) <= TOLERANCE
    problem = "(rows) must be one-hot or a distribution: from 0 to 1, of sum 1"
    weights = _after(tf.reduce_all(good), weights, argument, problem)
    return weights if tf.executing_eagerly() else _or_nan(good, weights)


def _or_nan(good: tf.Tensor, made: tf.Tensor) -> tf.Tensor:
    """The rows that are good, nan in place of others: XLA has dropped the assertion."""
    return tf.where(good[:, None], made, tf.constant(np.nan, made.dtype))


def _after(good: tf.Tensor, value: tf.Tensor, argument: str, problem: str) -> tf.Tensor:
    """The value once it is known to be good: ArgumentError in eager mode, else an assertion."""
    if tf.executing_eagerly():
        if not bool(good):
            raise ArgumentError(argument, problem)
        return value
    assertion = tf.debugging.Assert(good, [f"{argument} {problem}"])
    if _has_gpu():  # the step need not wait for it: a `tf.function` runs it in any case
        return value
    with tf.control_dependencies([assertion]):
        return tf.identity(value)


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def _refused(labels: tf.Tensor, outputs: Any, argument: str) -> ArgumentError:
    what = f"(shape {_shape(labels)}, {labels.dtype.name})"
    return ArgumentError(argument, f"{what} must be {_allowed(outputs)}")


def _allowed(outputs: Any) -> str:
    batch, width = outputs.shape
    return ALLOWED.format("B" if batch is None else batch, width)


def _shape(tensor: Any) -> str:
    return "x".join(map(str, tensor.shape)) or "()"
