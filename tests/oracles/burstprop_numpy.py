"""Burstprop in numpy, one sample and one layer at a time, from the equations (burstprop, 5.1).

Convolutions are matrices here: every layer is `y = M x + c`, M built by convolving unit images, so
that transport is M^T b and nothing is shared with the implementation under test.
"""

from dataclasses import dataclass

import numpy as np


def sigmoid(y):
    return 1 / (1 + np.exp(-y))


@dataclass
class Layer:
    """W, Y (out, in) or (out, in, k, k) with a stride; Z (n, n) or None."""

    W: np.ndarray
    bias: np.ndarray
    Y: np.ndarray
    Z: np.ndarray | None = None
    stride: int = 1

    def __post_init__(self):
        self.V, self.V_bias = np.zeros_like(self.W), np.zeros_like(self.bias)

    def matrix(self, W, shape):
        """(outputs, inputs) of a layer with weights W on inputs of this shape, and its output."""
        if W.ndim == 2:
            return W, (W.shape[0],)
        inputs, k = int(np.prod(shape)), W.shape[-1]
        h, w = ((n - k) // self.stride + 1 for n in shape[1:])
        M = np.zeros((W.shape[0], h, w, inputs))
        for j, unit in enumerate(np.eye(inputs).reshape(inputs, *shape)):
            for a in range(h):
                for b in range(w):
                    at, left = a * self.stride, b * self.stride
                    patch = unit[:, at : at + k, left : left + k]
                    M[:, a, b, j] = (W * patch).sum((1, 2, 3))
        return M.reshape(-1, inputs), (W.shape[0], h, w)

    def gradient(self, delta, x, shape):
        """G_W from one sample: every place of the kernel on its own."""
        if self.W.ndim == 2:
            return np.outer(delta, x), delta
        G, x, k = np.zeros_like(self.W), x.reshape(shape), self.W.shape[-1]
        h, w = ((n - k) // self.stride + 1 for n in shape[1:])
        delta = delta.reshape(-1, h, w)
        for a in range(h):
            for b in range(w):
                at, left = a * self.stride, b * self.stride
                G += delta[:, a, b, None, None, None] * x[:, at : at + k, left : left + k]
        return G, delta.sum((1, 2))


def step(layers, images, targets, lr, momentum, decay, p0, recurrent_lr=0.0, learned=True):
    """One update of the layers, in place. images (B, ...), targets (B, classes)."""
    sums = [[np.zeros_like(a) for a in (v.W, v.bias, v.W if v.Z is None else v.Z)] for v in layers]
    for image, T in zip(images, targets, strict=True):
        shapes, xs, es, e = [], [], [], image
        shape = image.shape
        for layer in layers:
            shapes.append(shape)
            M, out = layer.matrix(layer.W, shape)
            x = e.ravel()
            places = M.shape[0] // len(layer.bias)
            e = sigmoid(M @ x + np.repeat(layer.bias, places))
            xs.append(x)
            es.append(e)
            shape = out
        b, b_t, f, f_t = None, None, None, None
        for i in reversed(range(len(layers))):
            layer, e = layers[i], es[i]
            if b is None:
                b, b_t = p0 * e, p0 * ((T - e) * (1 - e) + 1) * e
            elif layer.Z is None:
                b, b_t = sigmoid(f * (1 - e)) * e, sigmoid(f_t * (1 - e)) * e
            else:
                b_pre = sigmoid(f) * e
                c = layer.Z @ b_pre
                u = f * (1 - e) - c
                b, b_t = sigmoid(u) * e, sigmoid(f_t * (1 - e) - c) * e
                sums[i][2] += np.outer(u, b_pre)
            G, G_bias = layer.gradient(b - b_t, xs[i], shapes[i])
            sums[i][0] += G
            sums[i][1] += G_bias
            M, _ = layer.matrix(layer.Y, shapes[i])
            f, f_t = M.T @ b, M.T @ b_t
    for layer, rate, (G, G_bias, Z_sum) in zip(layers, lr, sums, strict=True):
        layer.V = momentum * layer.V - rate * G
        layer.V_bias = momentum * layer.V_bias - rate * G_bias
        layer.W = layer.W + layer.V - decay * layer.W
        layer.bias = layer.bias + layer.V_bias
        if learned:
            layer.Y = layer.Y + layer.V - decay * layer.Y
        if layer.Z is not None:
            layer.Z = layer.Z + recurrent_lr * Z_sum
