"""LRA-E in plain numpy: the reference that every other implementation is held against.

It is written from the paper's equations and nothing else, one matrix at a time, and imports no code
of this repository. Layouts are the canonical ones: batch-major activations `(B, n)`, `W[l]`
`(n_{l-1}, n_l)`, `E[l]` `(n_l, n_{l-1})`, `b[l]` `(n_l,)`. Python index 0 is layer 1 in `W` and
`b`, layer 2 in `E`.

    net = Net.draw([11, 9, 8, 5], np.random.RandomState(0))
    update = lra_update(net, x, labels, beta=0.1)
    SGD(lr=0.1).step(net.W + net.E, update.gW + update.gE)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray


@dataclass
class Net:
    """Weights `W`, error weights `E` and biases `b` of one network; empty `b`: no biases."""

    W: list[Array]
    E: list[Array]
    b: list[Array] = field(default_factory=list)

    @classmethod
    def draw(
        cls,
        sizes: Sequence[int],
        random: np.random.RandomState,
        *,
        std_w: float = 0.5,
        std_e: float = 1.0,
        std_b: float | None = None,
        dtype: str = "float64",
    ) -> "Net":
        """Gaussian weights in the order W1, W2, E2, W3, E3, …, then biases if `std_b` is given."""
        W: list[Array] = []
        E: list[Array] = []
        for lower, upper in zip(sizes, sizes[1:], strict=False):
            W.append((random.standard_normal((lower, upper)) * std_w).astype(dtype))
            if len(W) > 1:
                E.append((random.standard_normal((upper, lower)) * std_e).astype(dtype))
        b = (
            []
            if std_b is None
            else [(random.standard_normal(n) * std_b).astype(dtype) for n in sizes[1:]]
        )
        return cls(W, E, b)

    def copy(self) -> "Net":
        return Net(
            [w.copy() for w in self.W], [e.copy() for e in self.E], [b.copy() for b in self.b]
        )

    def astype(self, dtype: str) -> "Net":
        return Net(*([a.astype(dtype) for a in group] for group in (self.W, self.E, self.b)))


@dataclass
class Update:
    """What one batch says: descent directions; for LRA-E also `e` (1..L), `d` and `y` (1..L-1)."""

    loss: float
    logits: Array
    gW: list[Array]
    gb: list[Array]
    gE: list[Array] = field(default_factory=list)
    e: list[Array] = field(default_factory=list)
    d: list[Array] = field(default_factory=list)
    y: list[Array] = field(default_factory=list)


def one_hot(labels: Array, classes: int) -> Array:
    """`(B,)` integers -> `(B, classes)` of zeros and ones."""
    return np.eye(classes)[labels]


def softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def forward(net: Net, x: Array) -> tuple[list[Array], list[Array]]:
    """Pre-activations `h` (1..L), the last being the logits, and activations `z` (0..L-1)."""
    h: list[Array] = []
    z = [x]
    for index, w in enumerate(net.W):
        h.append(z[-1] @ w + (net.b[index] if net.b else 0.0))
        if index < len(net.W) - 1:
            z.append(np.tanh(h[-1]))
    return h, z


def cross_entropy(logits: Array, labels: Array) -> float:
    """Mean over the batch, in nats."""
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float(np.mean(log_sum - logits[np.arange(len(labels)), labels]))


def lra_update(
    net: Net,
    x: Array,
    labels: Array,
    *,
    beta: float,
    gamma: float = 1.0,
    reduction: str = "mean",
    error_form: str = "difference",
    local_loss: str = "gaussian",
    transposed_e: bool = False,
    normalise: bool = False,
) -> Update:
    """One LRA-E update of a tanh network; `net` is left as it is.

    `error_form`: "difference" subtracts the target from the activation as the original programs do,
    "exact" uses tanh a - tanh b = tanh(a - b)(1 - tanh a tanh b), which loses no digits.
    `transposed_e` is the old programs' first defect: hidden layers' E moves along G_W instead of
    its transpose (square layers only). `normalise` divides G_W by its Frobenius norm (+ 1e-8), and
    hence also what E receives.
    """
    h, z = forward(net, x)
    layers = len(net.W)
    divisor = {"mean": len(x), "sum": 1}[reduction]
    top = softmax(h[-1]) - one_hot(labels, h[-1].shape[1])
    e = [top]
    d: list[Array] = []
    y: list[Array] = []
    for layer in range(layers, 1, -1):  # the layer whose error goes down through its E
        down = e[0] @ net.E[layer - 2]
        below = h[layer - 2]
        target = np.tanh(below - beta * down)
        activation = z[layer - 1]
        if error_form == "exact":
            gap = np.tanh(beta * down) * (1.0 - activation * target)
        else:
            gap = activation - target
        e.insert(0, gap if local_loss == "gaussian" else 2.0 * gap / (1.0 + gap * gap))
        d.insert(0, down)
        y.insert(0, target)
    gW = [below.T @ error / divisor for below, error in zip(z, e, strict=True)]
    if normalise:
        gW = [g / (np.linalg.norm(g) + 1e-8) for g in gW]
    gb = [error.sum(axis=0) / divisor for error in e] if net.b else []
    gE = []
    for layer in range(2, layers + 1):
        wrong_way = transposed_e and layer < layers
        gE.append(gamma * (gW[layer - 1] if wrong_way else gW[layer - 1].T))
    return Update(cross_entropy(h[-1], labels), h[-1], gW, gb, gE, e, d, y)


def backprop_update(net: Net, x: Array, labels: Array) -> Update:
    """Gradient of the mean cross-entropy with respect to W and b."""
    h, z = forward(net, x)
    error = (softmax(h[-1]) - one_hot(labels, h[-1].shape[1])) / len(x)
    gW: list[Array] = []
    gb: list[Array] = []
    for index in range(len(net.W) - 1, -1, -1):
        gW.insert(0, z[index].T @ error)
        gb.insert(0, error.sum(axis=0))
        if index:
            error = (error @ net.W[index].T) * (1.0 - z[index] ** 2)
    return Update(cross_entropy(h[-1], labels), h[-1], gW, gb if net.b else [])


class SGD:
    """theta <- theta - lr G. `float32_lr`: TensorFlow keeps the rate as a float32 number."""

    def __init__(self, lr: float, *, float32_lr: bool = False):
        self.lr = float(np.float32(lr)) if float32_lr else lr

    def step(self, parameters: Sequence[Array], updates: Sequence[Array]) -> None:
        """Change `parameters` in place."""
        for parameter, update in zip(parameters, updates, strict=True):
            parameter -= self.lr * update


class TorchAdamW:
    """AdamW as PyTorch defines it: decay first, moments bias-corrected, eps after correction."""

    def __init__(
        self,
        lr: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        self.lr, self.beta1, self.beta2, self.eps, self.decay = lr, beta1, beta2, eps, weight_decay
        self.t = 0
        self.m: list[Array] = []
        self.v: list[Array] = []

    def step(self, parameters: Sequence[Array], updates: Sequence[Array]) -> None:
        """Change `parameters` in place."""
        if not self.t:
            self.m = [np.zeros_like(p) for p in parameters]
            self.v = [np.zeros_like(p) for p in parameters]
        self.t += 1
        correction = np.sqrt(1 - self.beta2**self.t)
        for parameter, update, m, v in zip(parameters, updates, self.m, self.v, strict=True):
            parameter *= 1 - self.lr * self.decay
            m += (1 - self.beta1) * (update - m)
            v *= self.beta2
            v += (1 - self.beta2) * update**2
            parameter -= (
                self.lr / (1 - self.beta1**self.t) * m / (np.sqrt(v) / correction + self.eps)
            )


class KerasAdamW:
    """AdamW as Keras computes it, hyperparameters rounded to float32 where Keras rounds them.

    `rebuilt`: a new optimiser every step, hence always t = 1 and empty moments (new TensorFlow).
    """

    def __init__(
        self,
        lr: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-7,
        weight_decay: float = 0.004,
        rebuilt: bool = False,
    ):
        self.lr, self.decay = float(np.float32(lr)), float(np.float32(weight_decay))
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.rebuilt = rebuilt
        self.t = 0
        self.m: list[Array] = []
        self.v: list[Array] = []

    def step(self, parameters: Sequence[Array], updates: Sequence[Array]) -> None:
        """Change `parameters` in place."""
        if self.rebuilt or not self.t:
            self.t = 0
            self.m = [np.zeros_like(p) for p in parameters]
            self.v = [np.zeros_like(p) for p in parameters]
        self.t += 1
        power1 = float(np.float32(self.beta1)) ** self.t
        power2 = float(np.float32(self.beta2)) ** self.t
        alpha = self.lr * np.sqrt(1 - power2) / (1 - power1)
        for parameter, update, m, v in zip(parameters, updates, self.m, self.v, strict=True):
            parameter -= parameter * self.decay * self.lr
            m += (update - m) * (1 - self.beta1)
            v += (update**2 - v) * (1 - self.beta2)
            parameter -= alpha * m / (np.sqrt(v) + self.eps)
