"""The rule of BrainProp (Pozzi, Bohté, Roelfsema, NeurIPS 2020), in TensorFlow.

Symbols, batch first (n samples, C classes, h the last hidden layer, B the nominal batch size):

    q (n, C)        values of the actions, q = h W_out: linear, no bias
    s (n,)          the action taken: argmax q, or now and then (epsilon) one drawn from softmax(q)
    r (n,)          reward, 1 where s is the label, else 0
    delta (n,)      reward-prediction error, r - q_s
    fb              attention: 1 at unit s and 0 at all others; on the way down, at unit j of
                    pre-activation a_j that sends weights w_jk to the units k above,

                        fb_j = f'(a_j) sum_k w_jk fb_k

Every weight moves by lr delta x_i fb_j / B summed over the batch, which is gradient descent on the
sum of 0.5 delta^2 / B: the gradient of one output unit at a time. `teaching_signal` is that
gradient at q, dL/dq = -(delta / B) onehot(s); descent turns its sign. So automatic differentiation
is the way down, and carries -(delta / B) fb. In `asymmetric` feedback weights stand for w_jk.

Labels are what `common.doors.tf_labels` takes; it, and everything here, raises ArgumentError for a
value, a shape or a type that an argument cannot have.
"""

from collections.abc import Callable

import tensorflow as tf

from common.doors.arguments import number
from common.doors.tf_labels import classes as classes_of
from common.errors import ArgumentError

EPSILON = 0.02  # how often an action is drawn instead of being the best one


def select(q: tf.Tensor, u: tf.Tensor, drawn: tf.Tensor, *, epsilon: float = EPSILON) -> tf.Tensor:
    """Max-Boltzmann selection: the actions s (n,) int64 for q (n, C).

    u       (n,) float32, uniform on [0, 1): where u > epsilon (strictly) the best action is taken,
            the first one of equals
    drawn   (n,) the actions elsewhere, drawn from softmax(q), the best one among them: `boltzmann`
    """
    epsilon = number("epsilon", epsilon, least=0, most=1)
    if q.shape.rank != 2:
        raise ArgumentError("q", f"(shape {q.shape}) must be (n, C)")
    if not u.shape.is_compatible_with(q.shape[:1]):
        raise ArgumentError("u", f"(shape {u.shape}) must be ({q.shape[0]},)")
    best = tf.argmax(q, 1)
    return tf.where(u > tf.constant(epsilon, u.dtype), best, tf.cast(drawn, best.dtype))


def boltzmann(q: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """One draw (n,) from softmax(q) a row, from noise (n, C) uniform on [0, 1): the largest of
    q plus Gumbel noise is distributed so."""
    return tf.argmax(q - tf.cast(tf.math.log(-tf.math.log(noise)), q.dtype), 1)


def value_of(q: tf.Tensor, selected: tf.Tensor) -> tf.Tensor:
    """q_s (n,): the value of the action taken."""
    return tf.gather(q, selected, batch_dims=1)


def prediction_error(
    q: tf.Tensor, selected: tf.Tensor, labels: tf.Tensor, *, zero_is_unselected: bool = False
) -> tf.Tensor:
    """delta = r - q_s (n,). zero_is_unselected (brainprop, D9): none where q_s is exactly 0."""
    selected, labels = actions(selected, q), classes_of(labels, q)
    q_s = value_of(q, selected)
    delta = tf.cast(selected == labels, q.dtype) - q_s
    return tf.where(q_s == 0, tf.zeros_like(delta), delta) if zero_is_unselected else delta


def teaching_signal(
    delta: tf.Tensor, selected: tf.Tensor, classes: int, scale: tf.Tensor
) -> tf.Tensor:
    """dL/dq (n, C) = -(delta / B) onehot(s), with scale = 1 / B: all that the net is told."""
    return tf.one_hot(selected, classes, dtype=delta.dtype) * (-delta * scale)[:, None]


def asymmetric(
    product: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], x: tf.Tensor, W: tf.Tensor, B: tf.Tensor
) -> tf.Tensor:
    """z = product(x, W), whose error goes down through B while W and B both get W's gradient.

    product: of a layer's input and a kernel, linear in each, whatever the layer; B has W's shape.
    """

    @tf.custom_gradient
    def apply(x: tf.Tensor, W: tf.Tensor, B: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def down(dz: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            # These products themselves are not needed for their gradients: the graph drops them.
            with tf.GradientTape(persistent=True) as tape:
                tape.watch((x, W))
                through_B, with_W = product(x, B), product(tf.stop_gradient(x), W)
            dx, dW = tape.gradient(through_B, x, dz), tape.gradient(with_W, W, dz)
            return dx, dW, dW

        return product(x, W), down

    return apply(x, W, B)


def loss(delta: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Sum of 0.5 delta^2 / B over the batch; scale = 1 / B."""
    return 0.5 * tf.reduce_sum(tf.square(delta)) * scale


def backprop_signal(q: tf.Tensor, labels: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """dL/dq (n, C) of the mean cross-entropy, (softmax(q) - onehot) / n: error-backprop, the
    baseline."""
    labels = classes_of(labels, q)
    return (tf.nn.softmax(q) - tf.one_hot(labels, q.shape[1], dtype=q.dtype)) * scale


def cross_entropy(q: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy () of softmax(q)."""
    labels = classes_of(labels, q)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=q))


def correct_as_the_original(q: tf.Tensor, selected: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Number () of labels that are the argmax of onehot(s) q (brainprop, D8): where q_s < 0 that
    argmax is the first zero entry, whatever was selected."""
    selected, labels = actions(selected, q), classes_of(labels, q)
    output = tf.one_hot(selected, q.shape[1], dtype=q.dtype) * q
    return tf.math.count_nonzero(tf.argmax(output, 1) == labels)


def actions(selected: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
    """Actions (n,) as int64; a column of them would be compared with every label."""
    s = tf.convert_to_tensor(selected)
    if not (s.dtype.is_integer and s.shape.is_compatible_with(q.shape[:1])):
        raise ArgumentError("selected", f"(shape {s.shape}, {s.dtype.name}) must be integers (n,)")
    return tf.cast(s, tf.int64)
