"""Gain modulation: the authors' prototype of how attention could act on a cortical circuit.

Every unit has a gain beta, 0 at rest. A sample is shown once; then, for `span` rounds, feedback
from the selected unit changes the gains while the sample stays; then every connection learns from
the gain of the unit that it feeds, times the reward-prediction error. Symbols, n samples, P
positions (1 in a dense layer), K inputs a patch, F units:

    x (n, P, K)     patches of a layer's input          W (K, F), b (P, F)
    z (n, P, F)     x W + b                             a = z + z beta, y = relu(a); the last: y = a
    p (n, C)        softmax of the last y, before attention; s: argmax p, or drawn
    delta (n,)      lr_w (r - p_s), reward r = 1 where s is the label

A round sends fb = lr_a (onehot(s) - p) down, p being that of the round's own forward pass:

    g = fb where y > 0 (in the last layer everywhere)
    fb of the layer below = put back(g W'^T),  W' = W + x^T (beta / z)
    beta <- clip(beta + g z, -max_gain, max_gain)

(put back: each input's feedback is the mean over the patches that hold it). Then, averaged over
the samples, W += x^T (delta beta / z), b += delta beta / z, and beta = 0. With one round and no
clipping W moves by lr_w lr_a delta x^T g: the prediction error times the gradient of log p_s, as
in REINFORCE.

The prototype's gain had no axis for samples, so that its batches had to hold one; here each sample
has gains of its own, and a batch moves the weights by the mean of what its samples would.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from brainprop import rule
from brainprop.layers.locally_connected import geometry
from common.doors.tf_labels import classes

LOWEST, HIGHEST = -2.0, 4.0  # of the prediction error; never reached, for it lies in (-1, 1)


class Layer(NamedTuple):
    """Where a layer's patches come from: `pixels` (P * entries,) of an input of `size` pixels, each
    of which `cover` patches hold. `bounds` of the padded input: rows and columns that are real.

    A dense layer is one patch of one pixel that holds everything.
    """

    pixels: np.ndarray
    padded: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    size: tuple[int, int]
    positions: int

    @property
    def cover(self) -> np.ndarray:
        """Number of patches that hold each pixel of the input, (H, W)."""
        count = np.bincount(self.pixels, minlength=self.padded[0] * self.padded[1])
        return self._real(count.reshape(self.padded))

    def _real(self, grid: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        (top, _), (left, _) = self.pads
        return grid[top : top + self.size[0], left : left + self.size[1]]

    def patches(self, x: tf.Tensor) -> tf.Tensor:
        """Input, n times H W C numbers in that order -> (n, P, K)."""
        n = tf.shape(x)[0]
        if len(self.pixels) == 1:
            return tf.reshape(x, (n, 1, -1))
        image = tf.reshape(x, (n, *self.size, -1))
        if self.pads != ((0, 0), (0, 0)):
            image = tf.pad(image, [(0, 0), *self.pads, (0, 0)])
        flat = tf.reshape(image, (n, self.padded[0] * self.padded[1], -1))
        return tf.reshape(tf.gather(flat, self.pixels, axis=1), (n, self.positions, -1))

    def put_back(self, u: tf.Tensor) -> tf.Tensor:
        """Patches (n, P, K) -> the mean (n, H, W, C) of what they say of each input."""
        n = tf.shape(u)[0]
        if len(self.pixels) == 1:
            return u[:, None]
        entries = tf.transpose(tf.reshape(u, (n, len(self.pixels), -1)), (1, 0, 2))
        total = tf.math.unsorted_segment_sum(entries, self.pixels, self.padded[0] * self.padded[1])
        total = self._real(tf.reshape(total, (*self.padded, n, -1)))
        cover = tf.constant(self.cover[:, :, None, None], u.dtype)
        return tf.transpose(tf.math.divide_no_nan(total, cover), (2, 0, 1, 3))


def dense() -> Layer:
    """A layer whose one patch is its whole input."""
    return Layer(np.zeros(1, np.int32), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def conv(size: tuple[int, int], kernel: int, stride: int, padding: str) -> Layer:
    """A convolution of an input of height and width `size`; padding "valid" or "same"."""
    where = geometry(size, (kernel, kernel), (stride, stride), padding)
    positions = where.output[0] * where.output[1]
    return Layer(where.pixels, where.padded, where.pads, size, positions)


class Stage(NamedTuple):
    """What a layer saw and gave in a forward pass."""

    x: tf.Tensor  # (n, P, K)
    z: tf.Tensor  # (n, P, F), without gain
    y: tf.Tensor  # (n, P, F), with gain


def forward(
    layers: Sequence[Layer],
    W: Sequence[tf.Tensor],
    b: Sequence[tf.Tensor],
    images: tf.Tensor,
    beta: Sequence[tf.Tensor] | None = None,
) -> list[Stage]:
    """Stages of all layers from images (n, H, W, C); no gains are gains of 0."""
    stages, y = [], images
    for i, layer in enumerate(layers):
        x = layer.patches(y)
        flat = tf.reshape(x, (-1, x.shape[2] or W[i].shape[0]))
        z = tf.reshape(tf.matmul(flat, W[i]), (-1, layer.positions, W[i].shape[1])) + b[i]
        a = z if beta is None else z + z * beta[i]
        y = a if i == len(layers) - 1 else tf.nn.relu(a)
        stages.append(Stage(x, z, y))
    return stages


def logits(stages: Sequence[Stage]) -> tf.Tensor:
    """The last layer's y (n, C): p is its softmax."""
    return stages[-1].y[:, 0]


def explore(q: tf.Tensor, noise: tf.Tensor, double_softmax: bool = False) -> tf.Tensor:
    """One draw (n,) from p = softmax(q) a row, from noise (n, C) uniform on [0, 1).
    double_softmax (brainprop, D20): from softmax(p), nearly uniform."""
    return rule.boltzmann(tf.nn.softmax(q) if double_softmax else q, noise)


def prediction_error(
    p: tf.Tensor, selected: tf.Tensor, labels: tf.Tensor, lr_w: float
) -> tf.Tensor:
    """delta (n,) = lr_w clip(r - p_s)."""
    reward = tf.cast(selected == classes(labels, p), p.dtype)
    error = reward - rule.value_of(p, selected)
    return lr_w * tf.clip_by_value(error, LOWEST, HIGHEST)


def attend(
    layers: Sequence[Layer],
    W: Sequence[tf.Tensor],
    b: Sequence[tf.Tensor],
    images: tf.Tensor,
    at_rest: Sequence[Stage],
    selected: tf.Tensor,
    *,
    span: int,
    lr_a: float,
    max_gain: float,
) -> tuple[list[tf.Tensor], list[Stage]]:
    """`span` rounds of feedback: gains beta (n, P, F) of all layers, and the last forward pass.

    at_rest: the forward pass without gains, which is the first round's.
    """
    stages = list(at_rest)
    beta = [tf.zeros_like(stage.z) for stage in stages]
    for round_ in range(span):
        if round_:
            stages = forward(layers, W, b, images, beta)
        p = tf.nn.softmax(logits(stages))
        fb = (lr_a * (tf.one_hot(selected, p.shape[1], dtype=p.dtype) - p))[:, None]
        for i in range(len(layers) - 1, -1, -1):
            x, z, y = stages[i]
            g = tf.reshape(fb, tf.shape(z))
            g = g if i == len(layers) - 1 else tf.where(y > 0, g, tf.zeros_like(g))
            if i:
                # In the first round beta is 0 and W' is W.
                share = tf.math.divide_no_nan(beta[i], z) if round_ else None
                fb = layers[i].put_back(_back(g, W[i], x, share))
            beta[i] = tf.clip_by_value(beta[i] + g * z, -max_gain, max_gain)
    return beta, stages


def _back(g: tf.Tensor, W: tf.Tensor, x: tf.Tensor, share: tf.Tensor | None) -> tf.Tensor:
    """g W'^T (n, P, K) with W' = W + x^T share, which each sample has for itself and never makes:
    g W^T + (g share^T) x."""
    straight = tf.matmul(tf.reshape(g, (-1, W.shape[1])), W, transpose_b=True)
    straight = tf.reshape(straight, tf.shape(x))
    if share is None:
        return straight
    return straight + tf.matmul(tf.matmul(g, share, transpose_b=True), x)


def updates(
    beta: Sequence[tf.Tensor], stages: Sequence[Stage], delta: tf.Tensor
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """What W and b of all layers change by: means over the samples of x^T (delta beta / z)."""
    dW, db = [], []
    scale = delta / tf.cast(tf.size(delta), delta.dtype)
    for gain, (x, z, _) in zip(beta, stages, strict=True):
        share = scale[:, None, None] * tf.math.divide_no_nan(gain, z)
        flat = tf.reshape(share, (-1, z.shape[2]))
        dW.append(tf.matmul(tf.reshape(x, (tf.shape(flat)[0], -1)), flat, transpose_a=True))
        db.append(tf.reduce_sum(share, 0))
    return dW, db
