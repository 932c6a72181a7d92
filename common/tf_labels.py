"""The door for labels of every TensorFlow rule; see `common.torch_labels`, its twin.

Keras turns labels into the outputs' type before a loss sees them: whole numbers in a floating
type are classes here. In a graph the values are checked when it runs, as in `tf.debugging`.
"""

from typing import Any

import tensorflow as tf

from common.errors import ArgumentError

ALLOWED = "classes (B,) or (B, 1) of an integer type, or one-hot rows (B, {0}) of any type"


def classes(labels: Any, outputs: tf.Tensor, argument: str = "labels") -> tf.Tensor:
    """Labels as classes (B,) int64, for a network's outputs (B, C).

    Raises ArgumentError for an empty batch, another shape, values that are no whole numbers, rows
    that are not one-hot, and a class outside 0 to C - 1 (in a graph: InvalidArgumentError).
    """
    labels, width = _tensor(labels, outputs, argument), outputs.shape[1]
    if labels.shape.rank == 2 and labels.shape[1] == width > 1:
        ones = tf.reduce_sum(tf.cast(labels == tf.cast(1, labels.dtype), tf.int32), 1)
        others = tf.reduce_sum(tf.cast(labels != tf.cast(0, labels.dtype), tf.int32), 1)
        one_hot = tf.reduce_all((ones == 1) & (others == 1))
        with tf.control_dependencies(
            _demand(one_hot, argument, lambda: "(rows) must be one-hot: a single 1, else 0")
        ):
            return tf.argmax(tf.cast(labels, tf.uint8), 1)
    return _checked(labels, outputs, argument)


def rows(labels: Any, outputs: tf.Tensor, argument: str = "labels") -> tf.Tensor:
    """Labels as rows (B, C) in the outputs' type: one-hot from classes, else as they are given."""
    labels, width = _tensor(labels, outputs, argument), outputs.shape[1]
    if labels.shape.rank == 2 and labels.shape[1] == width > 1:
        return tf.cast(labels, outputs.dtype)
    return tf.one_hot(_checked(labels, outputs, argument), width, dtype=outputs.dtype)


def _tensor(labels: Any, outputs: tf.Tensor, argument: str) -> tf.Tensor:
    labels = tf.convert_to_tensor(labels)
    if labels.dtype == tf.bool:
        labels = tf.cast(labels, tf.uint8)
        if labels.shape.rank != 2 or labels.shape[1] in (1, None):
            raise _refused(labels, outputs, argument)
    if labels.shape.rank not in (1, 2) or not labels.shape[:1].is_compatible_with(
        outputs.shape[:1]
    ):
        raise _refused(labels, outputs, argument)
    if outputs.shape[0] == 0:
        raise ArgumentError(argument, "are of an empty batch; leave such a batch out")
    return labels


def _checked(labels: tf.Tensor, outputs: tf.Tensor, argument: str) -> tf.Tensor:
    """Classes (B,) int64 from (B,) or (B, 1), each of them one that the network has."""
    if labels.shape.rank == 2 and labels.shape[1] not in (1, None):
        raise _refused(labels, outputs, argument)
    wanted, width = tf.cast(tf.reshape(labels, [-1]), tf.int64), outputs.shape[1]
    demands = []
    if labels.dtype.is_floating:
        whole = tf.reduce_all(tf.cast(wanted, labels.dtype) == tf.reshape(labels, [-1]))
        demands += _demand(whole, argument, lambda: "must be whole numbers, the classes")

    def wrong() -> str:
        low, high = int(tf.reduce_min(wanted)), int(tf.reduce_max(wanted))
        return (
            f"hold class {low if low < 0 else high}, and the network has classes 0 to {width - 1}"
        )

    inside = tf.reduce_all((wanted >= 0) & (wanted < width))
    demands += _demand(inside, argument, wrong)
    with tf.control_dependencies(demands):
        return tf.identity(wanted)


def _demand(holds: tf.Tensor, argument: str, problem: Any) -> list[tf.Operation]:
    """Raise ArgumentError at once in eager mode; an assertion of the graph otherwise."""
    if tf.executing_eagerly():
        if not bool(holds):
            raise ArgumentError(argument, problem())
        return []
    return [tf.debugging.Assert(holds, [f"{argument}: labels that the network cannot have"])]


def _refused(labels: tf.Tensor, outputs: tf.Tensor, argument: str) -> ArgumentError:
    batch, width = outputs.shape
    allowed = ALLOWED.format(width).replace("B", str(batch))
    shape = "x".join(map(str, labels.shape)) or "()"
    return ArgumentError(argument, f"(shape {shape}, {labels.dtype.name}) must be {allowed}")
