"""BrainProp's loss and reward for Keras: 0.5 delta^2 / B at the action taken, 0 elsewhere."""

from typing import Any

import keras
import tensorflow as tf

from common.errors import ArgumentError


def _rewarded(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Reward of every action (n, C), from classes (n,), (n, 1) or one-hot rows (n, C)."""
    y_true = tf.convert_to_tensor(y_true)
    if y_true.shape.rank == 2 and y_true.shape[1] == y_pred.shape[1]:
        return tf.cast(y_true, y_pred.dtype)
    classes = tf.cast(tf.reshape(y_true, [-1]), tf.int64)
    return tf.one_hot(classes, y_pred.shape[1], dtype=y_pred.dtype)


@keras.saving.register_keras_serializable(package="brainprop")
class BrainPropLoss(keras.losses.Loss):
    """Squared reward-prediction error of the action that a `BrainPropLayer` shows: what is not 0.

    The sum over the batch is divided by the nominal `batch_size` B, also for a smaller last batch.
    In evaluation the layer shows 1, so that the loss is 0.5 / B for every wrong answer.

    `call` gives (n, C); calling the loss gives their sum. Raises ArgumentError for batch_size < 1.
    """

    def __init__(self, batch_size: int, name: str = "brainprop_loss", **named: Any) -> None:
        super().__init__(name=name, **{"reduction": "sum", **named})
        if batch_size < 1:
            raise ArgumentError("batch_size", f"(={batch_size}) must be >= 1")
        self.batch_size = batch_size

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """0.5 delta^2 / B (n, C) for labels y_true, classes or one-hot, and the layer's output."""
        delta = tf.where(y_pred == 0, tf.zeros_like(y_pred), _rewarded(y_true, y_pred) - y_pred)
        return 0.5 * tf.square(delta) / self.batch_size

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return super().get_config() | {"batch_size": self.batch_size}


@keras.saving.register_keras_serializable(package="brainprop")
def reward_rate(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Reward (n,) of the actions taken: a metric for `compile`.

    Categorical accuracy would look for the largest output, which is not the action taken where
    that one's value is negative (defect 8).
    """
    taken = tf.cast(y_pred != 0, y_pred.dtype)
    return tf.reduce_sum(taken * _rewarded(y_true, y_pred), 1)
