"""The loss and the reward that go with `BrainPropLayer` in Keras' `compile`: 0.5 delta^2 / B at the
action taken, 0 elsewhere."""

from typing import Any

import keras
import tensorflow as tf

from common.doors import tf_labels
from common.doors.arguments import integer


def _rewarded(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Reward of every action (n, C), from classes (n,), (n, 1) or one-hot rows (n, C)."""
    return tf_labels.rows(y_true, tf.convert_to_tensor(y_pred), "y_true", soft=False)


@keras.saving.register_keras_serializable(package="brainprop")
class BrainPropLoss(keras.losses.Loss):
    """Squared reward-prediction error of the action that a `BrainPropLayer` shows: what is not 0.

    The sum over the batch is divided by the nominal `batch_size` B, also for a smaller last batch.
    In evaluation the layer shows 1, so that the loss is 0.5 / B for every wrong answer.

    `call` gives one value a sample (n,), as all of Keras' losses do, so that `sample_weight` and
    `class_weight` act; calling the loss gives their sum. The reduction is "sum", for B has divided
    already: Keras' own, "sum_over_batch_size", would divide by the batch a second time. Saved
    models hold B and the reduction, and load as before.

    Raises ArgumentError for batch_size < 1, and for labels as `common.doors.tf_labels` does.
    """

    def __init__(self, batch_size: int, name: str = "brainprop_loss", **named: Any) -> None:
        super().__init__(name=name, **{"reduction": "sum", **named})
        self.batch_size = integer("batch_size", batch_size)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """0.5 delta^2 / B (n,) for labels y_true, classes or one-hot, and the layer's output."""
        return tf.reduce_sum(self.elementwise(y_true, y_pred), 1)

    def elementwise(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The same for every action (n, C): not 0 at the one taken."""
        y_pred = tf.convert_to_tensor(y_pred)
        delta = tf.where(y_pred == 0, tf.zeros_like(y_pred), _rewarded(y_true, y_pred) - y_pred)
        return 0.5 * tf.square(delta) / self.batch_size

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return super().get_config() | {"batch_size": self.batch_size}


@keras.saving.register_keras_serializable(package="brainprop")
def reward_rate(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Reward (n,) of the actions taken: a metric for `compile`.

    Categorical accuracy would look for the largest output, which is not the action taken where
    that one's value is negative (brainprop, D8).
    """
    y_pred = tf.convert_to_tensor(y_pred)
    taken = tf.cast(y_pred != 0, y_pred.dtype)
    return tf.reduce_sum(taken * _rewarded(y_true, y_pred), 1)
