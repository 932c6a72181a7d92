"""The networks of BrainProp against counts and recipe (brainprop, 4, 6)."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from brainprop.learner import Learner  # noqa: E402
from brainprop.networks import make_network  # noqa: E402
from brainprop.recipes import (  # noqa: E402
    INPUTS,
    PAIRS,
    input_shape,
    recipe,
    stalled,
)
from common.errors import UsageError  # noqa: E402
from common.runs.schedules import steps  # noqa: E402
from tests.rules.narrow import skip_where_tensorflow_dies  # noqa: E402

COUNTS = {
    ("mnist", "dense"): (3_181_000, 0),
    ("mnist", "conv"): (3_150_760, 128),
    ("mnist", "loccon"): (3_831_048, 128),
    ("cifar10", "conv"): (4_111_336, 128),
    ("cifar10", "loccon"): (5_725_192, 128),
    ("cifar10", "deep"): (1_734_216, 1_536),
    ("cifar100", "conv"): (4_156_336, 128),
    ("cifar100", "loccon"): (5_770_192, 128),
    ("cifar100", "deep"): (1_779_216, 1_536),
    ("tiny_imagenet", "deep"): (4_901_216, 1_536),
}
CLASSES = {"mnist": 10, "cifar10": 10, "cifar100": 100, "tiny_imagenet": 200}


@pytest.mark.parametrize("algorithm", ["BrainProp", "EBP"])
@pytest.mark.parametrize("pair", COUNTS, ids="-".join)
def test_every_pair_has_as_many_numbers_as_the_original(pair, algorithm):
    """A layer, a bias or a stride too many: another network than the published one."""
    net = make_network(pair[1], INPUTS[pair[0]], CLASSES[pair[0]], algorithm)
    total, moving = COUNTS[pair]
    learning = sum(int(np.prod(v.shape)) for v in net.trainable_variables)
    assert (net.count_params(), learning) == (total, total - moving)
    assert Learner(net, algorithm, batch_size=8).parameters() == total - moving
    assert recipe(pair[0], pair[1], algorithm).batch_size == (32 if pair[1] == "loccon" else 128)


def test_all_pairs_are_counted():
    """A pair that no test knows."""
    assert set(COUNTS) == {(d, a) for d, all in PAIRS.items() for a in all if d != "digits"}
    assert [input_shape("digits", a)[2] for a in PAIRS["digits"]] == [1, 1, 1, 3]


def test_kernels_of_equal_shape_start_different_and_from_the_seed():
    """(brainprop, D3): one initialiser makes equal layers start and stay equal."""
    net = make_network("deep", (16, 16, 3), 10, seed=4, widths={128: 64})
    kernels = [np.asarray(x.kernel) for x in net.layers if x.name.startswith("conv")][1:]
    assert len({k.tobytes() for k in kernels}) == 6
    assert np.std(kernels) == pytest.approx(0.005, rel=0.02) and abs(np.mean(kernels)) < 1e-4
    again = make_network("deep", (16, 16, 3), 10, seed=4, widths={128: 64})
    np.testing.assert_array_equal(again.layers[2].kernel, net.layers[2].kernel)
    shared = make_network("deep", (16, 16, 3), 10, shared_initialiser=True, widths={128: 64})
    first, second = (np.asarray(x.kernel) for x in shared.layers if x.name in ("conv2", "conv3"))
    np.testing.assert_array_equal(first, second)
    other = make_network("deep", (16, 16, 3), 10, seed=5, widths={128: 64})
    assert np.abs(np.asarray(other.layers[2].kernel) - kernels[0]).max() > 0


def test_deep_decays_every_kernel_and_nothing_else():
    """l2 on gamma, or none on the output."""
    net = make_network("deep", (16, 16, 3), 10, widths={64: 4, 128: 4, 500: 4})
    assert len(net.losses) == 9
    learner = Learner(net, batch_size=4)
    decays = dict(zip(learner.names, learner.step.decays, strict=True))
    assert {n: d for n, d in decays.items() if d} == {
        n: 1e-3 for n in learner.names if n.endswith("kernel")
    }
    assert [x.rate for x in net.layers if x.name.startswith("drop")] == [0.3, 0.3, 0.8, 0.3]


def test_dropout_keeps_its_share_and_every_step_draws_anew():
    """A mask that repeats: part of the net never learns."""
    net = make_network("conv", (8, 8, 1), 10, widths={32: 16})
    learner = Learner(net, batch_size=64, seed=1)
    first, again, next_one = (learner.draw(64, step) for step in (0, 0, 1))
    for a, b, c, layer in zip(
        first.masks, again.masks, next_one.masks, learner.dropouts, strict=True
    ):
        assert np.mean(a) == pytest.approx(1 - layer.rate, abs=0.02)
        assert (a.numpy() == b.numpy()).all() and (a.numpy() != c.numpy()).any()
    assert (first.u.numpy() != next_one.u.numpy()).any()
    assert (Learner(net, batch_size=64, seed=2).draw(64, 0).u.numpy() != first.u.numpy()).any()


def test_rates_halve_and_patience_counts_epochs_without_a_rise():
    """The recipe's schedule off by one epoch."""
    assert [steps(0.1, e, 100, 0.5) for e in (0, 99, 100, 200)] == [0.1, 0.1, 0.05, 0.025]
    assert not stalled([0.5] * 45) and stalled([0.5] * 46)
    rising = [0.5 + 0.0011 * e for e in range(200)]
    creeping = [0.5 + 0.000009 * e for e in range(47)]
    assert not stalled(rising) and stalled(creeping)


def test_a_wrong_pair_is_refused_with_what_goes():
    """Another network than the original ever trained on these data, without a word."""
    with pytest.raises(UsageError, match=r"\(=deep\) must be one of dense, loccon, conv for MNIST"):
        recipe("mnist", "deep", "EBP")


def test_the_step_trains_in_bfloat16_with_float32_weights():
    """Steps of 0.1 times a small gradient vanish in bfloat16 weights."""
    skip_where_tensorflow_dies()
    net = make_network(
        "conv", (8, 8, 1), 10, widths={32: 4, 500: 8}, dtype="mixed_bfloat16", std=0.3
    )
    learner = Learner(net, batch_size=8)
    images, labels = tf.random.uniform((8, 8, 8, 1)), tf.range(8, dtype=tf.int64)
    before = np.asarray(net.layers[0].kernel)
    loss, _ = learner.train_step(images, labels)
    assert np.isfinite(float(loss)) and net.layers[0].kernel.dtype == "float32"
    assert np.abs(np.asarray(net.layers[0].kernel) - before).max() > 0
