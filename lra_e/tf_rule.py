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

All methods may be called inside a `tf.function`, compiled by XLA or not. In PyTorch: `torch_rule`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from common.doors import tf_images, tf_labels
from common.doors.arguments import number
from common.errors import ArgumentError
from lra_e.networks import Activation, Network, Shapes, Update


def _tanh_change(h: tf.Tensor, z: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
    # tanh a - tanh b = tanh(a - b) (1 - tanh a tanh b)
    return tf.tanh(s) * (1 - z * tf.tanh(h - s))


def _sigmoid_change(h: tf.Tensor, z: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
    y = tf.sigmoid(h - s)
    return tf.tanh(s / 2) * (1 - (2 * z - 1) * (2 * y - 1)) / 2


def _relu_change(h: tf.Tensor, z: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
    y = tf.nn.relu(h - s)
    return tf.where((z > 0) & (y > 0), s, z - y)


ACTIVATIONS: dict[str, Activation[tf.Tensor]] = {
    "tanh": Activation(tf.tanh, lambda h, z: 1 - z * z, _tanh_change),
    "sigmoid": Activation(tf.sigmoid, lambda h, z: z * (1 - z), _sigmoid_change),
    "relu": Activation(tf.nn.relu, lambda h, z: tf.cast(h > 0, h.dtype), _relu_change),
    "linear": Activation(lambda h: h, lambda h, z: tf.ones_like(h), lambda h, z, s: tf.identity(s)),
    # The rule needs no derivative, so it also trains units that have none.
    "sign": Activation(tf.sign, lambda h, z: tf.zeros_like(h), lambda h, z, s: z - tf.sign(h - s)),
}


class MLP(Network):
    """A fully connected network that LRA-E trains; names are those that the paper's README gives.

    Arguments as `lra_e.networks.Network` tells. W, E and b (None without biases) are lists of Keras
    variables; `W[i].assign` gives another start.

    Images (B, n_0) are tensors or arrays of any floating type, labels what `common.doors.tf_labels`
    takes. `W[i].trainable = False` freezes a variable.
    """

    def _draw(self, shapes: Shapes, dtype: Any, device: str | None) -> None:
        self.dtype = tf.as_dtype(dtype or tf.float32)
        if not self.dtype.is_floating:
            raise ArgumentError("dtype", f"(={self.dtype.name}) must be a floating type")

        def weights(name: str, first: int, std: float) -> list[keras.Variable]:
            made = (tf.random.normal(s, stddev=std, dtype=self.dtype) for s in shapes[name])
            return [make_variable(w, f"{name}{layer}") for layer, w in enumerate(made, first)]

        with tf.device(device):
            self.W, self.E = weights("W", 1, 0.1), weights("E", 2, 0.1)
            self.b = weights("b", 1, 0.0) if "b" in shapes else None

    @property
    def _phi(
        self,
    ) -> Activation[tf.Tensor]:  # not an attribute: functions without a name are not pickled
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
        detail: bool = True,
    ) -> Update[tf.Tensor]:
        """Errors, targets and descent directions for images x (B, n_0) and labels; changes nothing.

        labels are classes (B,) or rows (B, n_L), one-hot or a distribution. Errors go down through
        the tensors `E` where given, else through the model's own. detail=False leaves d, y and gE
        out.
        """
        E = self.E if E is None else E
        h, z = self.activities(x)
        loss, error = _output_error(h[-1], labels)
        e: list[tf.Tensor] = [error]
        d: list[tf.Tensor] = []
        y: list[tf.Tensor] = []
        for i in range(len(self.W) - 1, 0, -1):
            down = tf.matmul(e[0], E[i - 1])
            change = self._change(h[i - 1], z[i], self.beta * down)
            if detail:
                d.insert(0, down)
                y.insert(0, z[i] - change)
            e.insert(0, self._local_error(change))
        gW, gb = self._outer(z, e), self._bias_update(e)
        if not detail:
            return Update(loss, h[-1], e, None, None, gW, None, gb)
        gE = [self.error_weight_update(i, gW[i]) for i in range(1, len(gW))]
        return Update(loss, h[-1], e, d, y, gW, gE, gb)

    def compute_backprop_update(self, x: tf.Tensor, labels: tf.Tensor) -> Update[tf.Tensor]:
        """The gradient of the same network's cross-entropy (batch mean or sum), E untouched."""
        h, z = self.activities(x)
        loss, error = _output_error(h[-1], labels)
        e = [error]
        for i in range(len(self.W) - 1, 0, -1):
            back = tf.matmul(e[0], self.W[i], transpose_b=True)
            e.insert(0, back * self._phi.derivative(h[i - 1], z[i]))
        gW, gb = self._outer(z, e), self._bias_update(e)
        return Update(loss, h[-1], e, None, None, gW, None, gb)

    def backward(self, x: tf.Tensor, labels: tf.Tensor, lr: float = 0.001) -> Update[tf.Tensor]:
        """Backprop and one step of plain gradient descent on W (and trained b), in place; what is
        frozen stays."""
        lr = number("lr", lr, least=0)
        update = self.compute_backprop_update(x, labels)
        for variable, direction in self._pairs(update):
            variable.assign_sub(lr * direction)
        return update

    def apply_update(
        self, update: Update[tf.Tensor], optimiser: keras.optimizers.Optimizer
    ) -> None:
        """Hand an update to any Keras optimiser and step; what has no update, or is frozen
        (trainable=False), is not handed over, nor is E with gamma = 0, which a weight decay moves.

        An optimiser that is not yet built is built on what this update holds.
        """
        if pairs := list(self._pairs(update)):
            optimiser.apply([g for _, g in pairs], [variable for variable, _ in pairs])

    def _pairs(self, update: Update[tf.Tensor]) -> Iterator[tuple[keras.Variable, tf.Tensor]]:
        """Each variable that learns with its descent direction."""
        gE = update.gE if self.gamma else None
        for tensors, directions in ((self.W, update.gW), (self.E, gE), (self.b, update.gb)):
            if directions is not None:
                for tensor, direction in zip(tensors or (), directions, strict=True):
                    if tensor.trainable:
                        yield tensor, direction

    def _change(self, h: tf.Tensor, z: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
        """z - y of one hidden layer whose pre-activation h the displacement s moves."""
        if self.error_form == "exact":
            return self._phi.change(h, z, s)
        return z - self._phi.phi(h - s)

    def _local_error(self, change: tf.Tensor) -> tf.Tensor:
        """The gradient of the local loss at z - y."""
        return change if self.local_loss == "gaussian" else 2 * change / (1 + change * change)

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


def make_variable(value: tf.Tensor, name: str) -> keras.Variable:
    """A Keras variable that starts at a tensor, of its type."""
    return keras.Variable(value, dtype=value.dtype.name, name=name)
