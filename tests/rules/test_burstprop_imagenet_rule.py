"""Rectified units and the softmax output, against their equations (burstprop, 5.4)."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="burstprop is a PyTorch paper")
from torch.nn import functional  # noqa: E402

from burstprop.imagenet import rule  # noqa: E402

KAPPA, P = 1e-5, 0.2


def drawn(*shape: int, scale: float = 1.0, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, dtype=torch.float64, generator=generator)


def test_the_output_learns_by_the_gradient_of_cross_entropy() -> None:
    """A teaching signal of the wrong sign or size: delta is p B times the batch-mean gradient."""
    logits, labels = drawn(5, 7).requires_grad_(), torch.tensor([0, 3, 6, 2, 2])
    (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, labels), logits)
    for exact in (False, True):
        units = rule.SoftmaxOutput(P, KAPPA, exact)
        sent, delta, *_ = units.bursts(units.rate(logits.detach()), labels)
        torch.testing.assert_close(delta, 5 * P * gradient, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(sent[0], P * logits.detach().softmax(1))
        d = sent[1] if exact else sent[1] - sent[0]
        torch.testing.assert_close(d, -KAPPA * delta, rtol=1e-9, atol=1e-15)


def test_no_unit_bursts_more_often_than_it_fires() -> None:
    """A probability above one where a class is nearly impossible and kappa is large."""
    logits, labels = torch.tensor([[9.0, -9.0]], dtype=torch.float64), torch.tensor([1])
    a = logits.softmax(1)
    (b, b_t), delta = rule.output_original(logits, labels, P, 1.0)
    assert b_t[0, 1] == a[0, 1]
    (same, d), exact = rule.output_exact(logits, labels, P, 1.0)
    torch.testing.assert_close(d, b_t - b)
    torch.testing.assert_close(exact, delta)
    assert torch.equal(same, b)


@pytest.mark.parametrize("kappa", [1.0, 1e-2])
def test_both_forms_of_a_hidden_layer_are_equal_on_paper(kappa: float) -> None:
    """A factor that one of them forgot: kappa, 1/e, e, a sign."""
    e = (drawn(6, 4, 3, 3) - 0.1).relu() * 2
    e += 0.1 * (e > 0)
    f, g = drawn(*e.shape, seed=1), drawn(*e.shape, seed=2, scale=kappa)
    (b, b_t), delta, *_ = rule.ReLUUnits(kappa, False).bursts(e, torch.stack((f, f + g)))
    (same, d), exact, *_ = rule.ReLUUnits(kappa, True).bursts(e, torch.stack((f, g)))
    torch.testing.assert_close(same, b)
    torch.testing.assert_close(d, b_t - b, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(exact, delta, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(delta, b - b_t)
    e, f, g, m = (t.numpy() for t in (e, f, g, (e > 0) / (e + 1e-8)))
    spelled = e / (1 + np.exp(-(g / kappa + f) * m)) - e / (1 + np.exp(-f * m))
    np.testing.assert_allclose(d.numpy(), spelled, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("exact", [False, True])
def test_a_silent_unit_sends_nothing_and_learns_nothing(exact: bool) -> None:
    """A division by the rate of a unit that does not fire."""
    e, received = torch.zeros(2, 3), torch.full((2, 2, 3), 1e3)
    for tensor in rule.ReLUUnits(KAPPA, exact).bursts(e, received)[:2]:
        assert not tensor.any()


def test_a_small_error_comes_down_a_quarter_as_large() -> None:
    """delta is -sigmoid'(0) g / kappa without baseline feedback, whatever the rate."""
    e, g = 0.1 + drawn(50).abs(), drawn(50, scale=1e-9)
    _, delta = rule.hidden_exact(e, torch.stack((torch.zeros_like(e), g)), KAPPA)
    torch.testing.assert_close(delta, -g / KAPPA / 4, rtol=1e-3, atol=0.0)


def test_the_difference_of_sigmoids_keeps_its_digits_in_float32() -> None:
    """Cancellation for small steps, an overflow for large ones, saturated units."""
    steps = [0.0, *(s * 10.0**k for k in range(-12, 4) for s in (1, -1))]
    u, v = (torch.tensor(x).flatten() for x in np.meshgrid([0, 1e-3, 1, -1, 9, -9, 60], steps))
    u, v = u.float(), v.float()
    difference = rule.sigmoid_difference(u, v).double().numpy()
    wide = [t.numpy().astype(np.longdouble) for t in (u, v)]
    low, high = np.minimum(wide[0], wide[0] + wide[1]), np.maximum(wide[0], wide[0] + wide[1])
    true = np.sign(wide[1]) * -np.expm1(low - high) / (1 + np.exp(-high)) / (1 + np.exp(low))
    representable = np.abs(true) > 1e-37
    error = np.abs(difference - true)[representable] / np.abs(true)[representable]
    # u + v is rounded to 24 bits of 60 at the worst: 2e-6 of the probability that is left.
    assert error.max() < 4e-6 and np.isfinite(difference).all()
    assert error[np.abs(wide[0])[representable] <= 9].max() < 1e-6
    in_place = v.clone()
    rule.sigmoid_difference(u, in_place, out=in_place)
    assert np.array_equal(in_place.double().numpy(), difference)
    coarse = (torch.sigmoid(u + v) - torch.sigmoid(u)).double().numpy()
    assert np.nanmax(np.abs(coarse - true)[representable] / np.abs(true)[representable]) >= 1
