"""BrainProp twice, in TensorFlow and in PyTorch, written apart: the same numbers in float64."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
torch = pytest.importorskip("torch")

from brainprop import (  # noqa: E402
    networks,  # noqa: E402
    recipes,  # noqa: E402
)
from brainprop.layers.forward import forward  # noqa: E402
from brainprop.learner import Draws, Learner  # noqa: E402
from brainprop.pytorch import networks as torch_networks  # noqa: E402
from brainprop.pytorch.rule import brainprop_loss, select  # noqa: E402

SHAPES = {"dense": (7, 6, 1), "conv": (9, 8, 2), "loccon": (9, 8, 2), "deep": (10, 8, 3)}
WIDTHS = {1500: 12, 1000: 11, 500: 10, 32: 4, 64: 3, 128: 4}
CLASSES, BATCH, LR, EPSILON = 5, 8, 0.05, 0.3  # explore often enough to see it
DRAWN = np.random.default_rng


def both(architecture: str, algorithm: str, variance: str):
    """The TensorFlow learner and the torch network, from the same weights."""
    net = networks.make_network(
        architecture,
        SHAPES[architecture],
        CLASSES,
        algorithm,
        std=0.3,
        widths=WIDTHS,
        variance=variance,
        epsilon=EPSILON,
        dtype="float64",
        seed=3,
    )
    learner = Learner(net, algorithm, batch_size=BATCH, lr=LR, epsilon=EPSILON)
    torch_net = torch_networks.make_network(
        architecture, SHAPES[architecture], CLASSES, widths=WIDTHS, variance=variance
    ).double()
    random = DRAWN(4)
    for layer in net.layers:
        for variable in layer.weights:
            if variable.name in ("gamma", "moving_variance"):
                variable.assign(random.uniform(0.5, 1.5, variable.shape))
            elif variable.name in ("beta", "moving_mean"):
                variable.assign(random.normal(size=variable.shape) * 0.1)
    torch_networks.load_arrays(torch_net, values(net))
    return learner, torch_net


def values(net) -> dict[str, np.ndarray]:
    return {f"{x.name}.{v.name}": v.numpy().copy() for x in net.layers for v in x.weights}


def draws(learner, n: int, random) -> tuple:
    """u, the actions to explore, and dropout masks, for n samples."""
    u, explore = random.random(n).astype(np.float32), random.integers(0, CLASSES, n)
    masks = [random.random((n, *x.input.shape[1:])) >= x.rate for x in learner.dropouts]
    return u, explore, masks


CASES = [(a, b, "unbiased") for a in recipes.ARCHITECTURES for b in recipes.ALGORITHMS]


@pytest.mark.parametrize(
    ("architecture", "algorithm", "variance"), [*CASES, ("loccon", "BrainProp", "biased")]
)
def test_both_frameworks_take_the_same_steps(architecture, algorithm, variance):
    """Padding, batch norm's statistics, dropout, l2, 1/B: whatever one of them gets wrong alone."""
    learner, torch_net = both(architecture, algorithm, variance)
    random, l2 = DRAWN(5), recipes.L2[architecture]
    for n in (BATCH, BATCH, BATCH - 3):
        images = random.random((n, *SHAPES[architecture]))
        labels = random.integers(0, CLASSES, n)
        u, explore, masks = draws(learner, n, random)
        given = Draws(tf.constant(u), tf.constant(explore), [tf.constant(m) for m in masks])
        loss, _ = learner.train_step(tf.constant(images), tf.constant(labels), given)

        q = torch_net.train()(torch.as_tensor(images), [torch.as_tensor(m) for m in masks])
        y = torch.as_tensor(labels)
        if algorithm == "BrainProp":
            s = select(q, torch.as_tensor(u), torch.as_tensor(explore), epsilon=EPSILON)
            ours = brainprop_loss(q, s, y, batch_size=BATCH)
        else:
            ours = torch.nn.functional.cross_entropy(q, y)
        ours = ours + torch_net.penalty(l2)
        gradients = torch.autograd.grad(ours, list(torch_net.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(torch_net.parameters(), gradients, strict=True):
                parameter -= LR * gradient
        assert ours.item() == pytest.approx(float(loss), abs=1e-12)
    mine = torch_networks.arrays(torch_net)
    for name, value in values(learner.net).items():
        np.testing.assert_allclose(mine[name], value, rtol=0, atol=1e-11, err_msg=name)
    images = random.random((3, *SHAPES[architecture]))
    with torch.no_grad():
        q = torch_net.eval()(torch.as_tensor(images)).numpy()
    np.testing.assert_allclose(forward(learner.net, tf.constant(images)).q, q, rtol=0, atol=1e-11)


def test_a_step_moves_the_weights_visibly():
    """Two implementations that both do nothing agree as well."""
    learner, torch_net = both("conv", "BrainProp", "unbiased")
    before = values(learner.net)
    random = DRAWN(6)
    images = tf.constant(random.random((BATCH, *SHAPES["conv"])))
    labels = tf.constant(random.integers(0, CLASSES, BATCH))
    learner.train_step(images, labels)
    for name, value in values(learner.net).items():
        assert np.abs(value - before[name]).max() > 1e-6, name
