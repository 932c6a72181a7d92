"""What LRA-E must do in the limit, at depth and over time, whoever computes it."""

import numpy as np
import pytest

from tests.golden.trace import relative_error
from tests.oracles.lra_e_learners import make_learner, require
from tests.oracles.lra_e_numpy import Net
from tests.oracles.lra_e_settings import Recipe, Rule

each_implementation = pytest.mark.parametrize(
    "implementation", ["numpy", "torch", "torch-learner", "tensorflow"]
)
LAYERS = 5
SIZES = [12, 10, 9, 8, 7, 5]


def batch(sizes: list[int], dtype: str = "float64", count: int = 16):
    random = np.random.RandomState(11)
    x = random.rand(count, sizes[0]).astype(dtype)
    return x, random.randint(0, sizes[-1], count)


@each_implementation
def test_small_displacements_give_backprop_scaled_once_per_layer(implementation):
    """Catches a wrong sign or factor in the errors: with E = W transposed and beta -> 0 the update
    of layer l is backprop's times beta^(L-l), and what is missing shrinks in proportion to beta."""
    require(implementation)
    net = Net.draw(SIZES, np.random.RandomState(5))
    net.E = [w.T.copy() for w in net.W[1:]]
    x, labels = batch(SIZES)
    truth = make_learner("numpy", net, Rule(kind="bp"), Recipe()).update(x, labels)
    gaps = []
    for beta in (1e-2, 1e-3, 1e-4):
        update = make_learner(implementation, net, Rule(beta=beta), Recipe()).update(x, labels)
        scaled = [g / beta ** (LAYERS - layer) for layer, g in enumerate(update.gW, start=1)]
        assert relative_error(scaled[-1], truth.gW[-1]) < 1e-12
        gaps.append(list(map(relative_error, scaled[:-1], truth.gW[:-1])))
    for wide, middle, narrow in zip(*gaps, strict=True):
        assert 8 < wide / middle < 12 and 9.5 < middle / narrow < 10.5
        assert narrow < 1e-3


@pytest.mark.parametrize("implementation", ["torch", "tensorflow"])
def test_eight_hidden_layers_survive_single_precision_only_in_the_exact_form(implementation):
    """Catches the return of the cancellation (lra_e, D12): in float32 the lowest layers' errors
    would be rounding noise, which AdamW rescales to full-size steps."""
    require(implementation)
    sizes = [30, *[64] * 8, 10]
    random = np.random.RandomState(2)
    net = Net.draw(sizes, random, std_w=0.1, std_e=0.1, dtype="float32")
    x, labels = batch(sizes, "float32")
    truth = make_learner("numpy", net, Rule(), Recipe()).update(x, labels)
    worst = {}
    for form in ("exact", "difference"):
        learner = make_learner(implementation, net, Rule(error_form=form), Recipe(), "float32")
        update = learner.update(x, labels)
        pairs = zip(update.e + update.gW, truth.e + truth.gW, strict=True)
        worst[form] = max(relative_error(ours, theirs) for ours, theirs in pairs)
    assert worst["exact"] < 1e-4
    assert worst["difference"] > 0.5


@each_implementation
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradient_descent_keeps_the_gap_between_e_and_w_transposed(implementation, reduction):
    """Catches a lost transpose, sign or rate in E's update: under plain descent with gamma = 1
    every E - W^T stays what it was."""
    require(implementation)
    net = Net.draw(SIZES, np.random.RandomState(6))
    rule = Rule(beta=0.3, reduction=reduction)
    learner = make_learner(implementation, net, rule, Recipe("sgd", lr=2**-6))
    for _ in range(20):
        learner.update(*batch(SIZES))
        learner.apply()
    after = learner.net()
    assert relative_error(after.W[0], net.W[0]) > 1e-4
    for w, e, w0, e0 in zip(after.W[1:], after.E, net.W[1:], net.E, strict=True):
        assert relative_error(e, e0) > 1e-4
        assert relative_error(e - w.T, e0 - w0.T) < 1e-14


@each_implementation
def test_adamw_only_decays_the_gap_between_e_and_w_transposed(implementation):
    """Catches weight decay forgotten on the error weights: AdamW steps E and W^T alike, so that the
    gap shrinks by 1 - lr * decay a step and by nothing else."""
    require(implementation)
    net = Net.draw(SIZES, np.random.RandomState(6))
    recipe = Recipe("torch_adamw", lr=0.01, weight_decay=0.5)
    learner = make_learner(implementation, net, Rule(beta=0.3), recipe)
    for _ in range(20):
        learner.update(*batch(SIZES))
        learner.apply()
    after, shrunk = learner.net(), (1 - 0.01 * 0.5) ** 20
    for w, e, w0, e0 in zip(after.W[1:], after.E, net.W[1:], net.E, strict=True):
        assert relative_error(e - w.T, shrunk * (e0 - w0.T)) < 1e-13


@each_implementation
def test_computing_an_update_changes_nothing(implementation):
    """Catches an update that moves weights by itself, so that audited runs would differ."""
    require(implementation)
    net = Net.draw(SIZES, np.random.RandomState(8), std_b=0.3)
    learner = make_learner(implementation, net, Rule(), Recipe())
    first = learner.update(*batch(SIZES))
    second = learner.update(*batch(SIZES))
    after = learner.net()
    pairs = zip(net.W + net.E + net.b, after.W + after.E + after.b, strict=True)
    assert all(np.array_equal(before, now) for before, now in pairs)
    assert all(np.array_equal(a, b) for a, b in zip(first.gW, second.gW, strict=True))
