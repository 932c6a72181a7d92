"""The kernels by three routes: closed form, neural-tangents, finite networks."""

import numpy as np
import pytest

from s3net.expressibility import kernel, tangents

NAMES = [(w, False) for w in kernel.WIRINGS] + [("proposed", True)]
each_net = pytest.mark.parametrize("wiring, identity", NAMES)


def points(n: int = 7) -> np.ndarray:
    return np.random.RandomState(n).standard_normal((n, 4))


@each_net
@pytest.mark.parametrize("blocks", [1, 4])
def test_the_closed_form_is_what_neural_tangents_computes(wiring, identity, blocks) -> None:
    """A factor, a branch or a recursion that differs from the paper's tool."""
    if why := tangents.available():
        pytest.skip(f"neural-tangents: {why}")
    words = {"wiring": wiring, "blocks": blocks, "identity": identity, "w_std": 1.3, "b_std": 0.2}
    for other in (None, points(3)):
        ours = kernel.kernels(points(), other, **words)
        theirs = tangents.kernels(points(), other, **words)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8)


@each_net
def test_wide_networks_approach_the_closed_form(wiring, identity) -> None:
    """A closed form of another network than the drawn one, with its shared trunk. The mean of 60
    networks must lie within four standard errors, and the spread must fall with the width."""
    pytest.importorskip("torch")
    from s3net.expressibility.empirical import deviation

    x = points(3)
    narrow = deviation(x, wiring, 2, 16, 60, identity=identity)
    wide = deviation(x, wiring, 2, 256, 60, identity=identity)
    assert wide[0] < 4 * wide[1] and wide[0] < 0.08
    assert wide[1] < 0.5 * narrow[1]
