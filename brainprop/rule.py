"""The rule of BrainProp (Pozzi, Bohté, Roelfsema, NeurIPS 2020) at the output layer, in TensorFlow.

Symbols, batch first (n samples, C classes, h the last hidden layer, B the nominal batch size):

    q (n, C)        values of the actions, q = h W_out: linear, no bias
    s (n,)          the action taken: argmax q, or now and then (epsilon) one drawn from softmax(q)
    r (n,)          reward, 1 where s is the label, else 0
    delta (n,)      reward-prediction error, r - q_s
    fb              attention: 1 at unit s and 0 at all others, sent down by
                    `brainprop.layers.forward`

Every weight moves by lr delta x_i fb_j / B summed over the batch, which is gradient descent on the
sum of 0.5 delta^2 / B: the gradient of one output unit at a time. `teaching_signal` is that
gradient at q, dL/dq = -(delta / B) onehot(s); descent turns its sign.

Labels are what `common.doors.tf_labels` takes; it, and everything here, raises ArgumentError for a
value, a shape or a type that an argument cannot have.
"""

from collections.abc import Callable

import tensorflow as tf

from common.doors.arguments import number
from common.doors.tf_labels import classes as classes_of
from common.errors import ArgumentError

EPSILON = 0.02  # how often an action is drawn instead of being the best one


def select(
    q: tf.Tensor, u: tf.Tensor, explore: Callable[[], tf.Tensor], epsilon: float = EPSILON
) -> tf.Tensor:
    """Max-Boltzmann selection: the actions s (n,) int64 for q (n, C).

    u (n,) float32 is uniform on [0, 1): where u > epsilon (strictly) the best action is taken, the
    first one of equals; elsewhere that of `explore()` (n,), drawn from softmax(q) over all actions.
    """
    epsilon = number("epsilon", epsilon, least=0, most=1)
    if q.shape.rank != 2:
        raise ArgumentError("q", f"(shape {q.shape}) must be (n, C)")
    if not u.shape.is_compatible_with(q.shape[:1]):
        raise ArgumentError("u", f"(shape {u.shape}) must be ({q.shape[0]},)")
    best = tf.argmax(q, 1)
    return tf.where(u > tf.constant(epsilon, u.dtype), best, tf.cast(explore(), best.dtype))


def boltzmann(q: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """One draw (n,) from softmax(q) a row, from noise (n, C) uniform on [0, 1): the largest of
    q plus Gumbel noise is distributed so."""
    return tf.argmax(q - tf.cast(tf.math.log(-tf.math.log(noise)), q.dtype), 1)


def value_of(q: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
    """q_s (n,): the value of the action taken."""
    return tf.gather(q, s, batch_dims=1)


def prediction_error(
    q: tf.Tensor, s: tf.Tensor, labels: tf.Tensor, zero_is_unselected: bool = False
) -> tf.Tensor:
    """delta = r - q_s (n,). zero_is_unselected (brainprop, D9): none where q_s is exactly 0."""
    s, labels = _actions(s, q), classes_of(labels, q)
    q_s = value_of(q, s)
    delta = tf.cast(s == labels, q.dtype) - q_s
    return tf.where(q_s == 0, tf.zeros_like(delta), delta) if zero_is_unselected else delta


def teaching_signal(delta: tf.Tensor, s: tf.Tensor, classes: int, scale: tf.Tensor) -> tf.Tensor:
    """dL/dq (n, C) = -(delta / B) onehot(s), with scale = 1 / B: all that the net is told."""
    return tf.one_hot(s, classes, dtype=delta.dtype) * (-delta * scale)[:, None]


def loss(delta: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Sum of 0.5 delta^2 / B over the batch; scale = 1 / B."""
    return 0.5 * tf.reduce_sum(tf.square(delta)) * scale


def backprop_signal(q: tf.Tensor, labels: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """dL/dq (n, C) of the mean cross-entropy, (softmax(q) - onehot) / n: error-backprop's twin."""
    labels = classes_of(labels, q)
    return (tf.nn.softmax(q) - tf.one_hot(labels, q.shape[1], dtype=q.dtype)) * scale


def cross_entropy(q: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy () of softmax(q)."""
    labels = classes_of(labels, q)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=q))


def accuracy_as_the_original(q: tf.Tensor, s: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Number of labels that are the argmax of onehot(s) q (brainprop, D8): where q_s < 0 that
    argmax is the first zero entry, whatever was selected."""
    s, labels = _actions(s, q), classes_of(labels, q)
    output = tf.one_hot(s, q.shape[1], dtype=q.dtype) * q
    return tf.math.count_nonzero(tf.argmax(output, 1) == labels)


def _actions(s: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
    """Actions (n,) as int64; a column of them would be compared with every label."""
    s = tf.convert_to_tensor(s)
    if not (s.dtype.is_integer and s.shape.is_compatible_with(q.shape[:1])):
        raise ArgumentError("s", f"(shape {s.shape}, {s.dtype.name}) must be integers (n,)")
    return tf.cast(s, tf.int64)
