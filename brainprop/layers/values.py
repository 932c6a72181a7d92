"""BrainProp as a loss, for any Keras classifier whose last layer is linear (no activation):

    >>> import keras, numpy as np
    >>> from brainprop.layers.values import ActionValueLoss
    >>> model = keras.Sequential([keras.layers.Dense(500, "relu"), keras.layers.Dense(10)])
    >>> model.compile(keras.optimizers.SGD(0.1), ActionValueLoss(), metrics=["accuracy"])
    >>> images, labels = np.random.rand(256, 784), np.arange(256) % 10
    >>> seen = model.fit(images, labels, batch_size=128, verbose=0)
    >>> sorted(seen.history)
    ['accuracy', 'loss']

The loss takes an action for every sample and is 0.5 delta^2 of that one, so that what automatic
differentiation brings down is -delta times the attention of the unit selected (brainprop, 5.1).
`BrainPropLayer` with `BrainPropLoss` is the original's pair, whose output shows the action.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from brainprop import rule
from common.doors import tf_labels
from common.doors.arguments import integer, number
from common.errors import ArgumentError

Selection = Callable[[tf.Tensor], tf.Tensor]


@keras.saving.register_keras_serializable(package="brainprop")
class ActionValueLoss(keras.losses.Loss):
    """Mean or sum of 0.5 delta^2 over a batch, delta that of the action taken, from values q.

    epsilon     how often an action is drawn from softmax(q) instead of being the best, in [0, 1]
    batch_size  B, by which the sum is divided; the paper has one B for all batches, a smaller last
                one included (brainprop, D10). None: each batch by its own n
    select      a selection of your own, q (n, C), which carries no gradient, to actions (n,);
                epsilon is then not used. Register it with Keras if the model is to be saved whole
    seed        of the draws

    `call` gives one value a sample, so that `sample_weight` and `class_weight` act; their sum is
    the loss, and the reduction "sum", as in `BrainPropLoss`. Keras does not tell a loss whether it
    trains or tests: `val_loss` explores too. Accuracy does not, it is of the best action.

    Raises ArgumentError for a number out of its range and a selection that is no function; called,
    for values that are not (n, C) with C >= 2 or that come out of a softmax or a sigmoid, for
    actions that are no integers (n,), and for labels as `common.doors.tf_labels` does.
    """

    def __init__(
        self,
        epsilon: float = rule.EPSILON,
        *,
        batch_size: int | None = None,
        select: Selection | None = None,
        seed: int | None = None,
        name: str = "action_value_loss",
        **named: Any,
    ) -> None:
        super().__init__(name=name, **{"reduction": "sum", **named})
        if keras.backend.backend() != "tensorflow":
            problem = f"(={keras.backend.backend()}) must be tensorflow; for models of torch's "
            raise ArgumentError("keras.backend", f"{problem}there is brainprop.pytorch")
        if select is not None and not callable(select):
            raise ArgumentError("select", f"(={select}) must be a function of q, or None")
        self.epsilon = number("epsilon", epsilon, least=0, most=1)
        self.batch_size = None if batch_size is None else integer("batch_size", batch_size)
        self.seed = None if seed is None else integer("seed", seed, least=0)
        self.select = select
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """0.5 delta^2 / B (n,) from labels y_true, classes or one-hot, and values y_pred (n, C)."""
        _are_values(y_pred)
        q = tf.convert_to_tensor(y_pred)
        rewards = tf_labels.rows(y_true, q, "y_true", soft=False)
        selected = tf.stop_gradient(self.actions(q))
        delta = rule.value_of(rewards, selected) - rule.value_of(q, selected)
        size = tf.shape(q)[0] if self.batch_size is None else self.batch_size
        return 0.5 * tf.square(delta) / tf.cast(size, q.dtype)

    def actions(self, q: tf.Tensor) -> tf.Tensor:
        """The actions (n,) int64 taken for values q (n, C); drawn anew at each call."""
        q = tf.stop_gradient(q)
        if self.select is not None:
            return rule.actions(self.select(q), q)
        u = keras.random.uniform(tf.shape(q)[:1], dtype="float32", seed=self.seed_generator)
        noise = keras.random.uniform(tf.shape(q), dtype="float32", seed=self.seed_generator)
        return rule.select(q, u, rule.boltzmann(q, noise), epsilon=self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs."""
        return super().get_config() | {
            "epsilon": self.epsilon,
            "batch_size": self.batch_size,
            "select": keras.saving.serialize_keras_object(self.select),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ActionValueLoss":
        """A loss from what `get_config` gave."""
        select = config.get("select")
        if isinstance(select, dict):
            select = keras.saving.deserialize_keras_object(select)
        return cls(**config | {"select": select})


def _are_values(q: Any) -> None:
    """ArgumentError for what cannot be the values of actions."""
    shape = tuple(q.shape)
    if len(shape) != 2 or shape[1] is None or shape[1] < 2:
        raise ArgumentError("y_pred", f"(shape {shape}) must be (n, C), a value for each of C >= 2")
    if hasattr(q, "_keras_logits"):  # Keras leaves them on the output of a softmax or sigmoid
        raise ArgumentError("y_pred", "comes out of a softmax or a sigmoid: the model's last layer "
                            "must be linear, without activation")  # fmt: skip
