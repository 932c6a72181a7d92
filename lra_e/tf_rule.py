"""The rule of LRA-E in TensorFlow (Ororbia & Mali, AAAI 2019, arXiv 1805.11703).

Symbols, batch first (B images, layer l = 1..L of width n_l, z^0 = the images):

    W^l (n_{l-1}, n_l)   forward weights            h^l = z^{l-1} W^l,  z^l = phi(h^l)
    E^l (n_l, n_{l-1})   error weights, l >= 2      play the part of (W^l) transposed
    e^l (B, n_l)         error                      e^L = softmax(h^L) - onehot(label)
    d^l (B, n_l)         displacement               d^{l-1} = e^l E^l
    y^l (B, n_l)         local target               y^l = phi(h^l - beta d^l),  e^l = z^l - y^l

The update of W^l is the outer product of its input and its error, that of E^l is gamma times the
transpose of the same; no derivative of phi and no forward weight takes part in sending errors down.

    >>> import keras, tensorflow as tf
    >>> from lra_e.tf_rule import MLP
    >>> model = MLP([784, 256, 256, 10])
    >>> optimiser = keras.optimizers.AdamW(1e-3)
    >>> images, labels = tf.random.uniform((50, 784)), tf.range(50) % 10
    >>> update = model.compute_lra_update(images, labels)
    >>> model.apply_update(update, optimiser)

All methods may be called inside a `tf.function`, compiled by XLA or not. `torch_rule` is the twin.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from common.doors import tf_images, tf_labels
from common.doors.arguments import number
from common.errors import ArgumentError
from lra_e.settings import checked
from lra_e.tf_activations import ACTIVATIONS, Activation


class Update(NamedTuple):
    """One batch's errors and descent directions; every list is in layer order."""

    loss: tf.Tensor  # () mean cross-entropy before the update
    logits: tf.Tensor  # (B, n_L)
    e: list[tf.Tensor]  # errors, layers 1..L
    d: list[tf.Tensor]  # displacements arriving at hidden layers 1..L-1, before beta
    y: list[tf.Tensor]  # targets of hidden layers 1..L-1
    gW: list[tf.Tensor]  # descent directions of W, layers 1..L
    gE: list[tf.Tensor] | None  # of E, layers 2..L; None where E does not learn
    gb: list[tf.Tensor] | None  # of b; None without trained biases


class MLP:
    """A fully connected network that LRA-E trains; names are those that the paper's README gives.

    layer_sizes   widths n_0 .. n_L, at least two
    beta          displacement of the targets, > 0
    gamma         scale of E's update; 0 keeps E fixed
    local_loss    "gaussian" (e = z - y, the 2019 scripts) or "cauchy" (the log-penalty of the
                  earlier LRA paper, arXiv 1803.01834: e = 2 (z - y) / (1 + (z - y)^2))
    error_form    "exact" computes z - y without cancellation; "difference" subtracts, as the
                  original does, and loses all digits of float32 after some eight layers
    transposed_e  (lra_e, D1): E of square hidden layers receives its update transposed
    reduction     updates are the batch's "mean" or, as in the old TensorFlow scripts, its "sum"
    normalise     divide each update by its Frobenius norm + 1e-8
    bias          add b^l, starting at zero; train_bias=False keeps it constant

    W, E and b (None without biases) are lists of Keras variables that start at N(0, 0.1^2) and 0;
    `W[i].assign` gives another start. Raises ArgumentError for a value outside these ranges.

    Images (B, n_0) are tensors or arrays of any floating type, labels what `common.doors.tf_labels`
    takes. `W[i].trainable = False` freezes a variable.
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: str = "tanh",
        beta: float = 0.1,
        gamma: float = 1.0,
        bias: bool = False,
        train_bias: bool = True,
        local_loss: str = "gaussian",
        error_form: str = "exact",
        transposed_e: bool = False,
        reduction: str = "mean",
        normalise: bool = False,
        dtype: Any = None,
        device: str | None = None,
    ) -> None:
        sizes = checked(
            layer_sizes,
            beta,
            gamma,
            activation=activation,
            local_loss=local_loss,
            error_form=error_form,
            reduction=reduction,
        )
        self.layer_sizes, self.beta, self.gamma = sizes, float(beta), float(gamma)
        self.activation, self.local_loss = activation, local_loss
        self.error_form, self.transposed_e = error_form, transposed_e
        self.reduction, self.normalise, self.train_bias = reduction, normalise, train_bias
        self.dtype = tf.as_dtype(dtype or tf.float32)
        if not self.dtype.is_floating:
            raise ArgumentError("dtype", f"(={self.dtype.name}) must be a floating type")

        def weights(
            letter: str, first: int, shapes: Sequence[tuple[int, ...]], std: float
        ) -> list[keras.Variable]:
            return [
                keras.Variable(
                    tf.random.normal(shape, stddev=std, dtype=self.dtype),
                    dtype=self.dtype.name,
                    name=f"{letter}{layer}",
                )
                for layer, shape in enumerate(shapes, first)
            ]

        pairs = list(zip(sizes, sizes[1:], strict=False))
        with tf.device(device):
            self.W = weights("W", 1, pairs, 0.1)
            self.E = weights("E", 2, [(above, below) for below, above in pairs[1:]], 0.1)
            self.b = weights("b", 1, [(n,) for n in sizes[1:]], 0.0) if bias else None

    @property
    def _phi(self) -> Activation:  # not an attribute: functions without a name are not pickled
        return ACTIVATIONS[self.activation]

    def activities(self, x: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Pre-activations h^1..h^L and activities z^0..z^{L-1} of images x (B, n_0)."""
        h: list[tf.Tensor] = []
        z = [tf_images.batch(x, self.dtype, self.layer_sizes[:1])]
        for i, W in enumerate(self.W):
            h.append(tf.matmul(z[i], W) if self.b is None else tf.matmul(z[i], W) + self.b[i])
            if i < len(self.W) - 1:
                z.append(self._phi.phi(h[i]))
        return h, z

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        """Logits (B, n_L) of images x (B, n_0)."""
        return self.activities(x)[0][-1]

    __call__ = forward

    def compute_output(self, x: tf.Tensor) -> tf.Tensor:
        """The same as `forward`, under the original's name."""
        return self.forward(x)

    def compute_lra_update(
        self,
        x: tf.Tensor,
        labels: tf.Tensor,
        E: Sequence[tf.Tensor] | None = None,
        learn_E: bool = True,
    ) -> Update:
        """Errors, targets and descent directions for images x (B, n_0) and labels; changes nothing.

        labels are classes (B,) or rows (B, n_L), one-hot or a distribution. Errors go down through
        the tensors `E` where given, else through the model's own. learn_E=False leaves gE out.
        """
        E = self.E if E is None else E
        h, z = self.activities(x)
        loss, error = _output_error(h[-1], labels)
        last = len(self.W) - 1
        e: list[tf.Tensor] = [error]
        d: list[tf.Tensor] = []
        y: list[tf.Tensor] = []
        for i in range(last, 0, -1):
            d.insert(0, tf.matmul(e[0], E[i - 1]))
            target, error = self._local_error(h[i - 1], z[i], d[0])
            y.insert(0, target)
            e.insert(0, error)
        gW = self._outer(z, e)
        gE = [self.error_weight_update(i, gW[i]) for i in range(1, last + 1)] if learn_E else None
        return Update(loss, h[-1], e, d, y, gW, gE, self._bias_update(e))

    def compute_backprop_update(self, x: tf.Tensor, labels: tf.Tensor) -> Update:
        """The gradient of the same network's cross-entropy (batch mean or sum), E untouched."""
        h, z = self.activities(x)
        loss, error = _output_error(h[-1], labels)
        e = [error]
        for i in range(len(self.W) - 1, 0, -1):
            back = tf.matmul(e[0], self.W[i], transpose_b=True)
            e.insert(0, back * self._phi.derivative(h[i - 1], z[i]))
        return Update(loss, h[-1], e, [], [], self._outer(z, e), None, self._bias_update(e))

    def backward(self, x: tf.Tensor, labels: tf.Tensor, lr: float = 0.001) -> Update:
        """Backprop and one step of plain gradient descent on W (and trained b), in place; what is
        frozen stays."""
        lr = number("lr", lr, least=0)
        update = self.compute_backprop_update(x, labels)
        pairs = [*zip(self.W, update.gW, strict=True)]
        pairs += zip(self.b or (), update.gb or (), strict=False)
        for variable, g in pairs:
            if variable.trainable:
                variable.assign_sub(lr * g)
        return update

    def apply_update(self, update: Update, optimiser: keras.optimizers.Optimizer) -> None:
        """Hand an update to any Keras optimiser and step; what has no update, or is frozen
        (trainable=False), is not handed over, nor is E with gamma = 0, which a weight decay moves.

        An optimiser that is not yet built is built on what this update holds.
        """
        pairs = [*zip(self.W, update.gW, strict=True)]
        gE = update.gE if self.gamma else None
        for more, given in ((self.E, gE), (self.b, update.gb)):
            pairs += zip(more or (), given or (), strict=given is not None)
        pairs = [(variable, g) for variable, g in pairs if variable.trainable]
        if pairs:
            optimiser.apply([g for _, g in pairs], [variable for variable, _ in pairs])

    def _local_error(self, h: tf.Tensor, z: tf.Tensor, d: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Target and error of one hidden layer from the displacement d that reaches it."""
        s = self.beta * d
        if self.error_form == "exact":
            y, e = self._phi.displaced(h, z, s)
        else:
            y = self._phi.phi(h - s)
            e = z - y
        if self.local_loss == "cauchy":
            e = 2 * e / (1 + e * e)
        return y, e

    def _outer(self, z: list[tf.Tensor], e: list[tf.Tensor]) -> list[tf.Tensor]:
        """(z^{l-1}) transposed times e^l, averaged or summed over the batch."""
        if self.reduction == "mean":  # dividing the errors is cheaper than dividing the products
            scale = 1 / tf.cast(tf.shape(z[0])[0], self.dtype)
            e = [error * scale for error in e]
        out = [tf.matmul(below, error, transpose_a=True) for below, error in zip(z, e, strict=True)]
        if self.normalise:
            out = [g / (tf.norm(g) + 1e-8) for g in out]
        # None is there before all are: W and E are read after the output's update is known, and
        # without XLA TensorFlow's graph optimiser (2.21) lets an assignment overtake such a read.
        return tf.tuple(out)

    def error_weight_update(self, i: int, gW: tf.Tensor) -> tf.Tensor:
        """Descent direction of E^{i+1} (python index i of W) from that of W^{i+1}."""
        wrong = self.transposed_e and i < len(self.W) - 1
        if wrong and gW.shape[0] != gW.shape[1]:
            raise ArgumentError(
                "transposed_e", f"(=True) needs equal hidden widths, got {self.layer_sizes}"
            )
        return self.gamma * (gW if wrong else tf.transpose(gW))

    def _bias_update(self, e: list[tf.Tensor]) -> list[tf.Tensor] | None:
        if self.b is None or not self.train_bias:
            return None
        reduce = tf.reduce_mean if self.reduction == "mean" else tf.reduce_sum
        return [reduce(error, 0) for error in e]


def _output_error(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean cross-entropy () and e^L = softmax(logits) - onehot (B, n_L)."""
    labels = tf_labels.rows(labels, logits)
    log_p = tf.nn.log_softmax(logits)
    return -tf.reduce_mean(tf.reduce_sum(labels * log_p, 1)), tf.exp(log_p) - labels
