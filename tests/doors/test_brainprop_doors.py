"""BrainProp: Keras' contracts, numbers, frozen layers, input files, in both frameworks."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

from common.errors import ArgumentError


def tensorflow():
    return pytest.importorskip("tensorflow")


# -- the rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [5, -1, math.nan, math.inf, "0.1", None])
def test_a_rate_of_exploration_that_is_none_is_refused(epsilon):
    """`u > nan` is never true: every action is drawn, and nobody said so."""
    torch = pytest.importorskip("torch")
    from brainprop.pytorch.rule import select

    with pytest.raises(ArgumentError, match="^epsilon .* between 0 and 1"):
        select(torch.zeros(2, 3), epsilon=epsilon)


@pytest.mark.parametrize("epsilon", [5, -1, math.nan])
def test_a_rate_of_exploration_that_is_none_is_refused_in_tensorflow(epsilon):
    """The same in TensorFlow, wherever epsilon enters."""
    tf = tensorflow()
    from brainprop import rule
    from brainprop.gain.learner import Learner as GainLearner
    from brainprop.layers.output import BrainPropLayer
    from brainprop.learner import Learner
    from brainprop.networks import make_network

    q, u, drawn = tf.zeros((2, 3)), tf.zeros(2), tf.zeros(2, tf.int64)
    net = make_network("dense", (2, 2, 1), 3, widths={1500: 3, 1000: 3, 500: 3})
    for enter in (
        lambda: rule.select(q, u, drawn, epsilon=epsilon),
        lambda: BrainPropLayer(3, epsilon=epsilon),
        lambda: Learner(net, batch_size=2, epsilon=epsilon),
        lambda: GainLearner([], [], [], epsilon=epsilon),
    ):
        with pytest.raises(ArgumentError, match="^epsilon .* between 0 and 1"):
            enter()


def test_random_numbers_of_another_shape_are_refused():
    """u (n, 1) is compared with every action of the batch."""
    torch = pytest.importorskip("torch")
    from brainprop.pytorch.rule import select

    q = torch.zeros(3, 4)
    for named, name in (
        ({"u": torch.rand(3, 1)}, "u"),
        ({"drawn": torch.zeros(1).long()}, "drawn"),
    ):
        with pytest.raises(ArgumentError, match=f"^{name} "):
            select(q, **named)
    with pytest.raises(ArgumentError, match="^q "):
        select(q[0])


@pytest.mark.parametrize(
    ("named", "name"),
    [
        ({"std": math.nan}, "std"),
        ({"std": -1.0}, "std"),
        ({"dropout": [0.3, 1.0]}, "dropout"),
        ({"dropout": [0.3]}, "dropout"),
        ({"widths": {32: 0}}, "widths"),
        ({"padding": "full"}, "padding"),
        ({"variance": "unbias"}, "variance"),
        ({"classes": 1}, "classes"),
        ({"architecture": "convv"}, "architecture"),
    ],
)
@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_both_builds_refuse_the_same_values(framework, named, name):
    """A network of one class, or of weights nan, that is trained for a day."""
    pytest.importorskip(framework)
    from importlib import import_module

    make_network = import_module(
        "brainprop." + {"torch": "pytorch.networks"}.get(framework, "networks")
    ).make_network
    given = {"architecture": "conv", "input_shape": (8, 8, 1), "classes": 3} | named
    with pytest.raises(ArgumentError, match=f"^{name} "):
        make_network(**given)


def test_images_enter_the_torch_networks_in_any_floating_type():
    """A NumPy array has no `permute`."""
    torch = pytest.importorskip("torch")
    from brainprop.pytorch.networks import make_network

    net = make_network("conv", (8, 8, 1), 3, widths={32: 4, 500: 5}).eval()
    images = np.random.RandomState(0).rand(2, 8, 8, 1)
    assert net(images).equal(net(torch.tensor(images, dtype=torch.float32)))
    for wrong in (images.astype(np.uint8), images[0]):
        with pytest.raises(ArgumentError, match="^images "):
            net(wrong)


@pytest.mark.parametrize("architecture", ["dense", "conv", "loccon", "deep"])
def test_a_torch_network_is_copied_and_pickled(architecture):
    """A module that neither `torch.save` nor a process pool takes."""
    torch = pytest.importorskip("torch")
    from brainprop.pytorch.networks import make_network

    widths = {n: 3 for n in (32, 64, 128, 500, 1000, 1500)}
    net = make_network(architecture, (16, 16, 1), 3, widths=widths).eval()
    images = torch.rand(2, 16, 16, 1)
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert again(images).equal(net(images))


# -- Keras' contracts -----------------------------------------------------------------------------


def shown(n: int, classes: int = 4):
    """Labels, and what the layer shows in training: values of actions taken."""
    tf = tensorflow()
    draw = np.random.RandomState(1)
    actions = draw.randint(0, classes, n)
    return draw.randint(0, classes, n), tf.constant(
        np.eye(classes)[actions] * draw.rand(n, 1), tf.float32
    )


@pytest.mark.parametrize("n", [4, 6])  # 4: as many as there are classes
def test_the_loss_gives_one_value_a_sample(n):
    """(n, C) looks like n losses of a sequence: weights of samples act on actions instead."""
    pytest.importorskip("tensorflow")
    from brainprop.layers.loss import BrainPropLoss

    labels, y = shown(n)
    loss = BrainPropLoss(8)
    each = loss.call(labels, y).numpy()
    right = np.asarray(y).argmax(1) == labels
    assert each.shape == (n,)
    np.testing.assert_allclose(each, 0.5 * (right - np.asarray(y).max(1)) ** 2 / 8, 1e-6)
    weight = np.random.RandomState(2).rand(n).astype(np.float32)
    weighted = float(loss(labels, y, sample_weight=weight))
    assert weighted == pytest.approx(float((weight * each).sum()), rel=1e-6)
    assert float(loss(labels, y)) == pytest.approx(float(each.sum()), rel=1e-6)


@pytest.mark.parametrize("n", [4, 6])
def test_weights_of_samples_and_classes_train(n):
    """`fit` with weights 0 trains all the same, or with class weights the wrong classes."""
    tensorflow()
    import keras

    from brainprop.layers.loss import BrainPropLoss
    from brainprop.layers.output import BrainPropLayer

    images = np.random.RandomState(3).rand(n, 5).astype(np.float32)
    labels = np.arange(n) % 4

    def trained(**how):
        keras.utils.set_random_seed(5)
        net = keras.Sequential([keras.Input((5,)), BrainPropLayer(4, seed=1)])
        net.compile(keras.optimizers.SGD(0.5), BrainPropLoss(8))
        start = np.asarray(net.layers[0].kernel).copy()
        net.fit(images, labels, batch_size=n, verbose=0, shuffle=False, **how)
        return np.asarray(net.layers[0].kernel).copy() - start

    plain = trained()
    assert np.abs(plain).max() > 0
    np.testing.assert_array_equal(trained(sample_weight=np.zeros(n)), 0 * plain)
    np.testing.assert_allclose(trained(sample_weight=np.full(n, 2.0)), 2 * plain, 1e-4, 1e-7)
    chosen = (labels == 1).astype(float)
    by_class = trained(class_weight={0: 0.0, 1: 1.0, 2: 0.0, 3: 0.0})
    np.testing.assert_allclose(by_class, trained(sample_weight=chosen), 1e-5, 1e-8)


def test_the_loss_says_what_reduction_it_is_saved_with():
    """A model that was saved before and divides by the batch twice afterwards."""
    tensorflow()
    from brainprop.layers.loss import BrainPropLoss

    size: Any = np.int64(8)
    config = BrainPropLoss(size).get_config()
    assert (config["reduction"], config["batch_size"]) == ("sum", 8)
    assert type(config["batch_size"]) is int
    again = BrainPropLoss.from_config(config)
    labels, y = shown(6)
    assert float(again(labels, y)) == float(BrainPropLoss(8)(labels, y))


def normed(x, training=True, mask=None, **how):
    """Our batch norm and Keras', both biased, from the same inputs: output and statistics."""
    import keras

    from brainprop.layers.output import BatchNormalization

    layers = []
    for layer in (
        BatchNormalization(variance="biased", **how),
        keras.layers.BatchNormalization(**how),
    ):
        y = layer(x, training=training, mask=mask)
        layers.append(
            (
                layer,
                np.asarray(y).copy(),
                np.asarray(layer.moving_mean).copy(),
                np.asarray(layer.moving_variance).copy(),
            )
        )
    return layers


@pytest.mark.parametrize(
    "how",
    [
        {"scale": False},
        {"center": False},
        {"scale": False, "center": False},
        {"axis": 1},
        {"axis": 3},
        {"axis": 2, "scale": False},
        {"axis": -1, "momentum": 0.3, "epsilon": 0.1},
        {"beta_initializer": "ones", "gamma_initializer": "zeros"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm_honours_keras_options(how, dtype):
    """`scale=False` ended in a traceback, `axis=1` normalised over the wrong axes in silence."""
    tf = tensorflow()
    x = tf.constant(np.random.RandomState(0).rand(5, 3, 4, 6) * 3 + 1, dtype)
    (ours, *mine), (theirs, *others) = normed(x, dtype=dtype, **how)
    for a, b in zip(mine, others, strict=True):
        np.testing.assert_allclose(a, b, 2e-4, 2e-5)
    assert [v.name for v in ours.weights] == [v.name for v in theirs.weights]


def test_batch_norm_honours_a_mask():
    """Padding counted among the values of a sequence."""
    tf = tensorflow()
    x = tf.constant(np.random.RandomState(0).rand(3, 7, 5), tf.float32)
    mask = tf.constant(np.random.RandomState(1).rand(3, 7) > 0.4)
    (_, *mine), (_, *others) = normed(x, mask=mask)
    for a, b in zip(mine, others, strict=True):
        np.testing.assert_allclose(a, b, 1e-3, 1e-5)
    with pytest.raises(ValueError, match="mask .* must be the inputs' without the last axis"):
        normed(x, mask=mask, axis=1)


@pytest.mark.parametrize(
    "how",
    [
        {"renorm": True},
        {"synchronized": True},
        {"variance": "unbias"},
        {"momentum": 2.0},
        {"epsilon": math.nan},
        {"momentum": -0.1},
    ],
    ids=str,
)
def test_batch_norm_refuses_what_it_does_not_do(how):
    """An option that is inherited, taken and ignored."""
    tensorflow()
    from brainprop.layers.output import BatchNormalization

    with pytest.raises(ArgumentError, match=f"^{next(iter(how))} "):
        BatchNormalization(**how)


def test_numpys_integers_are_sizes_of_layers():
    """`LocallyConnected2D(8, np.int64(3))` was "not iterable"; a config with int64 is not saved."""
    tensorflow()
    import json

    from brainprop.layers.locally_connected import LocallyConnected2D
    from brainprop.layers.output import BrainPropLayer

    x = np.random.RandomState(0).rand(2, 7, 7, 3).astype(np.float32)
    kinds: Any = ((np.int64(3), np.int32(2)), (np.array([3, 3]), np.array([2, 2])), (3, 2))
    four: Any = np.int64(4)
    for three, two in kinds:
        layer = LocallyConnected2D(four, three, two, kernel_initializer="ones")
        assert layer(x).shape == layer.compute_output_shape(x.shape) == (2, 3, 3, 4)
        config = layer.get_config()
        json.dumps([config[n] for n in ("filters", "kernel_size", "strides")])
        assert (config["filters"], config["kernel_size"], config["strides"]) == (4, (3, 3), (2, 2))
    numbers: Any = {"units": np.int64(4), "epsilon": np.float32(0.5), "seed": np.int64(1)}
    json.dumps(BrainPropLayer(**numbers).get_config()["units"])
    wrong: Any
    for wrong in (2.5, True, np.float64(3), "3", None, (3, 3, 3), np.array([3, 0])):
        with pytest.raises(ArgumentError, match="^kernel_size "):
            LocallyConnected2D(4, wrong)


# -- frozen ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("feedback", ["shared", "separate"])
@pytest.mark.parametrize("frozen", ["conv1", "bn1", "conv2", "dense1", "out1"])
def test_frozen_layers_keep_their_bits(frozen, feedback):
    """A layer with trainable=False whose kernel, feedback weights or statistics move."""
    tf = tensorflow()
    from brainprop.learner import Learner
    from brainprop.networks import make_network

    net = make_network("conv", (6, 6, 1), 3, widths={32: 3, 500: 4}, std=0.3, l2=0.01)
    net.get_layer(frozen).trainable = False
    learner = Learner(net, batch_size=4, lr=0.5, feedback=feedback)
    draw = np.random.RandomState(0)
    before = {n: np.asarray(v).copy() for n, v in learner.state().items()}
    for _ in range(4):
        learner.train_step(draw.rand(4, 6, 6, 1), draw.randint(0, 3, 4))
    after = learner.state()
    still = {n for n in before if (np.asarray(after[n]) == before[n]).all()}
    assert still == {n for n in before if n.startswith(f"{frozen}.")}
    assert {n.partition(".")[0] for n in before} >= {"conv1", "bn1", "conv2", "dense1", "out1"}
    learner.load_state({n: tf.constant(v) for n, v in before.items()})
    assert all((np.asarray(v) == before[n]).all() for n, v in learner.state().items())


def test_a_frozen_batch_norm_normalises_by_its_moving_statistics():
    """Keras' meaning of frozen: the step and `net(x, training=True)` agree."""
    tensorflow()
    from brainprop.layers.forward import forward
    from brainprop.networks import make_network

    net = make_network("conv", (6, 6, 1), 3, widths={32: 3, 500: 4}, std=0.3, dropout=[0.0, 0.0])
    norm = net.get_layer("bn1")
    norm.moving_mean.assign([0.3, -0.2, 0.1])
    norm.trainable = False
    x = np.random.RandomState(0).rand(4, 6, 6, 1).astype(np.float32)
    masks = [
        np.ones((4, *layer.input.shape[1:]), bool)
        for layer in net.layers
        if layer.name.startswith("drop")
    ]
    passed = forward(net, x, masks)
    stage = next(s for s in passed.stages if s.layer is norm)
    np.testing.assert_allclose(stage.z, norm(stage.x, training=True), 1e-5)
    assert list(passed.statistics) == ["bn2"]
