"""The rule beside what is not its code: finite differences, and the equations written in numpy.

Where an original program can be run, its recorded traces stand here instead (tests/golden). A rule
of one's own has none: each part that is a gradient is held against differences of the loss, each
part that is not against its equation, one image and one unit at a time.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="newpaper is written in torch")
from newpaper.networks import make_network  # noqa: E402
from newpaper.rule import gradients  # noqa: E402

SIZES, N = [6, 5, 4, 3], 7


@pytest.fixture
def case():
    """Weights, matrices, images and one-hot labels, in float64."""
    torch.manual_seed(3)
    net = make_network(SIZES).double()
    x = torch.rand(N, SIZES[0], dtype=torch.float64)
    y = torch.eye(SIZES[-1], dtype=torch.float64)[torch.randint(SIZES[-1], (N,))]
    W, b = ([p.detach() for p in each] for each in (net.W, net.b))
    return W, b, net.B, x, y


def loss(W, b, x, y) -> float:
    """Mean cross-entropy, in numpy."""
    h = x.numpy()
    for W_l, b_l in zip(W[:-1], b[:-1], strict=True):
        h = np.tanh(h @ W_l.numpy().T + b_l.numpy())
    z = h @ W[-1].numpy().T + b[-1].numpy()
    return float(np.mean(np.log(np.exp(z).sum(1)) - (z * y.numpy()).sum(1)))


def slope(tensors, layer: int, place: tuple[int, ...], *case, step: float = 1e-6) -> float:
    """Central difference of the loss along one number."""
    values = []
    for sign in (1, -1):
        tensors[layer][place] += sign * step
        values.append(loss(*case))
        tensors[layer][place] -= sign * step
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize(("rule", "layers"), [("bp", (0, 1, 2)), ("drtp", (2,))])
def test_what_is_a_gradient_is_the_slope_of_the_loss(case, rule, layers):
    """A factor N, a transpose, a derivative taken at the wrong place."""
    W, b, B, x, y = case
    result, _ = gradients(W, b, B, x, y, rule)
    for layer in layers:
        for place in np.ndindex(*W[layer].shape):
            expected = slope(W, layer, place, W, b, x, y)
            assert float(result.W[layer][place]) == pytest.approx(expected, abs=1e-8)
        for unit in range(len(b[layer])):
            expected = slope(b, layer, (unit,), W, b, x, y)
            assert float(result.b[layer][unit]) == pytest.approx(expected, abs=1e-8)


def test_a_hidden_layer_learns_what_the_equation_says(case):
    """The hidden update (newpaper, 5), image by image and unit by unit."""
    W, b, B, x, y = case
    result, _ = gradients(W, b, B, x, y, "drtp")
    h = [x.numpy()]
    for layer in range(2):
        h.append(np.tanh(h[-1] @ W[layer].numpy().T + b[layer].numpy()))
    for layer in range(2):
        dW = np.zeros(tuple(W[layer].shape))
        for n in range(N):
            (label,) = np.flatnonzero(y.numpy()[n])
            for i in range(dW.shape[0]):
                delta = -B[layer].numpy()[label, i] * (1 - h[layer + 1][n, i] ** 2) / N
                dW[i] += delta * h[layer][n]
        np.testing.assert_allclose(result.W[layer].numpy(), dW, rtol=1e-12, atol=1e-15)


def test_a_hidden_layer_knows_nothing_of_the_weights_above(case):
    """The rule's promise: no weight transport."""
    W, b, B, x, y = case
    before, _ = gradients(W, b, B, x, y, "drtp")
    W[-1] *= -3
    after, _ = gradients(W, b, B, x, y, "drtp")
    assert torch.equal(before.W[0], after.W[0]) and torch.equal(before.W[1], after.W[1])
    assert not torch.equal(before.W[2], after.W[2])


def test_summed_updates_are_the_mean_ones_times_the_batch(case):
    """The switch of (newpaper, D1)."""
    W, b, B, x, y = case
    mean, _ = gradients(W, b, B, x, y, "drtp")
    summed, _ = gradients(W, b, B, x, y, "drtp", sum_over_batch=True)
    for one, other in zip(mean.W, summed.W, strict=True):
        assert torch.allclose(one * N, other)
