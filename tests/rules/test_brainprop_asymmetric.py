"""Feedback weights of their own on the way down (`brainprop.rule.asymmetric`)."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
from brainprop import rule  # noqa: E402


def test_the_rule_sends_errors_down_through_B_for_a_product_of_anybodys():
    """The rule knows the layers of this package only, or B gets a gradient of its own."""
    random = np.random.RandomState(0)
    x, W, B, dz = (tf.constant(random.randn(*shape)) for shape in ((3, 5), (2, 5), (2, 5), (3, 2)))
    with tf.GradientTape() as tape:
        tape.watch((x, W, B))
        z = rule.asymmetric(lambda x, kernel: 2 * tf.einsum("ni,oi->no", x, kernel), x, W, B)
    np.testing.assert_allclose(z, 2 * np.asarray(x) @ np.asarray(W).T, 1e-12)
    dx, dW, dB = tape.gradient(z, (x, W, B), dz)
    np.testing.assert_allclose(dx, 2 * np.asarray(dz) @ np.asarray(B), 1e-12)
    np.testing.assert_allclose(dW, 2 * np.asarray(dz).T @ np.asarray(x), 1e-12)
    np.testing.assert_array_equal(dB, dW)
