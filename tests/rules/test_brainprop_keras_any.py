"""BrainProp on any Keras model: the loss, feedback weights, selections."""

from typing import Any, cast

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from brainprop import rule  # noqa: E402
from brainprop.layers.conversion import SeparateConv2D, SeparateDense, convert  # noqa: E402
from brainprop.layers.loss import BrainPropLoss  # noqa: E402
from brainprop.layers.output import BrainPropLayer  # noqa: E402
from brainprop.layers.values import ActionValueLoss  # noqa: E402
from common.data.datasets import load  # noqa: E402
from common.errors import ArgumentError  # noqa: E402

layers = keras.layers


def convnet() -> Any:
    """The small conv net of Keras' own example "Simple MNIST convnet", without its softmax."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, activation="relu", padding="same", name="low"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", padding="same", name="high"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5, seed=1),
            layers.Dense(10, name="out"),
        ]
    )


def second_best(q):
    return tf.math.top_k(q, 2).indices[:, 1]


def values(n: int = 6, classes: int = 4):
    random = np.random.RandomState(0)
    return random.randint(0, classes, n), tf.constant(random.rand(n, classes), tf.float32)


def test_the_loss_is_the_layers_and_the_losss_of_before():
    """`BrainPropLayer` with `BrainPropLoss` is replayed against the original: the same update."""
    images = tf.constant(np.random.RandomState(0).rand(6, 5), tf.float32)
    labels = np.arange(6) % 4
    shown = BrainPropLayer(4, epsilon=0.5, seed=3)
    plain = keras.Sequential([keras.Input((5,)), layers.Dense(4, use_bias=False)])
    shown.build((None, 5))
    plain.layers[0].kernel.assign(shown.kernel)
    with tf.GradientTape() as tape:
        expected = BrainPropLoss(8)(labels, shown(images, training=True))
    expected_gradient = tape.gradient(expected, shown.kernel.value)
    loss = ActionValueLoss(0.5, batch_size=8, seed=3)
    with tf.GradientTape() as tape:
        ours = loss(labels, plain(images, training=True))
    np.testing.assert_allclose(float(ours), float(expected), 1e-6)
    gradient = tape.gradient(ours, plain.layers[0].kernel.value)
    np.testing.assert_array_equal(gradient, expected_gradient)
    assert np.abs(gradient).max() > 0


def test_the_loss_teaches_the_action_taken_alone():
    """(brainprop, 5.1): -(delta / B) at one unit, B the batch's n where none is given."""
    labels, q = values()
    for size, divisor in ((None, 6), (8, 8)):
        with tf.GradientTape() as tape:
            tape.watch(q)
            loss = ActionValueLoss(0.0, batch_size=size)(labels, q)
        s = np.argmax(q, 1)
        delta = (s == labels) - np.max(q, 1)
        np.testing.assert_allclose(float(loss), 0.5 * (delta**2).sum() / divisor, 1e-6)
        wanted = -np.eye(4)[s] * delta[:, None] / divisor
        np.testing.assert_allclose(tape.gradient(loss, q), wanted, 1e-6)


def test_one_hot_labels_and_weights_of_samples_act():
    """One value a sample, from classes or rows; weights 0 teach nothing."""
    labels, q = values()
    loss = ActionValueLoss(0.0)
    rows = np.eye(4, dtype=np.float32)[labels]
    np.testing.assert_array_equal(loss.call(labels, q), loss.call(rows, q))
    weight = np.array([0, 0, 2, 0, 0, 0], np.float32)
    expected = 2 * loss.call(labels, q)[2]
    np.testing.assert_allclose(loss(labels, q, sample_weight=weight), expected, 1e-6)


def test_a_selection_of_ones_own_takes_its_actions_in_fit_and_is_saved(tmp_path):
    """A function that is taken and not asked, or lost when the model is saved."""
    chosen = keras.saving.register_keras_serializable("tests")(second_best)
    labels, q = values()
    with tf.GradientTape() as tape:
        tape.watch(q)
        loss = ActionValueLoss(select=chosen)(labels, q)
    taught = np.abs(tape.gradient(loss, q)).argmax(1)
    np.testing.assert_array_equal(taught, np.argsort(q, 1)[:, -2])
    net = keras.Sequential([keras.Input((5,)), layers.Dense(4)])
    net.compile(keras.optimizers.SGD(0.1), ActionValueLoss(select=chosen))
    net.fit(np.random.rand(6, 5), labels, verbose=0)
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert again.loss.select is chosen and again.loss.get_config() == net.loss.get_config()


def test_it_explores_at_epsilon():
    """A seed that is set and gives the same draws every step, or none at all."""
    q = tf.tile(tf.constant([[0.0, 1.0, 2.0]]), (4000, 1))
    loss = ActionValueLoss(0.25, seed=1)
    one, two = loss.actions(q).numpy(), loss.actions(q).numpy()
    assert (one != two).any()
    assert (one == 2).mean() == pytest.approx(1 - 0.25 * (1 - 0.6652), abs=0.02)


Model: Any = keras.Model


class Subclassed(Model):
    def call(self, inputs):
        return inputs


def odd() -> Any:
    net = [keras.Input((8, 3)), layers.Conv1D(4, 3, name="odd"), layers.Flatten(), layers.Dense(3)]
    return keras.Sequential(net)


def squashed(activation: str):
    net = keras.Sequential([keras.Input((5,)), layers.Dense(4, activation=activation)])
    net.compile("sgd", ActionValueLoss())
    net.fit(np.ones((4, 5)), np.arange(4), verbose=0)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: ActionValueLoss(1.5), "epsilon (=1.5) must be between 0 and 1"),
        (lambda: ActionValueLoss(batch_size=0), "batch_size (=0) must be >= 1"),
        (lambda: ActionValueLoss(select=cast(Any, "best")), "select (=best) must be a function"),
        (
            lambda: ActionValueLoss()([0, 0], tf.ones((2, 1))),
            "y_pred (shape (2, 1)) must be (n, C)",
        ),
        (lambda: ActionValueLoss()([0, 5], tf.ones((2, 3))), "y_true hold class 5"),
        (lambda: ActionValueLoss(select=lambda q: q)([0, 1], tf.ones((2, 3))), "selected (shape"),
        (lambda: squashed("softmax"), "y_pred comes out of a softmax or a sigmoid"),
        (lambda: squashed("sigmoid"), "y_pred comes out of a softmax or a sigmoid"),
        (lambda: convert(Subclassed()), "model (Subclassed) must be a Sequential or functional"),
        (lambda: convert(keras.Sequential([layers.Dense(3)])), "model has no weights yet"),
        (lambda: convert(convnet(), skip=["hi"]), "skip (=hi) must be one of"),
        (lambda: convert(convnet(), skip="high"), "skip (=high) must be a list of names"),
        (lambda: convert(convnet(), std=-1), "std (=-1) must be > 0"),
        (lambda: convert(odd()), "model has layer odd (Conv1D), no plain Dense or Conv2D"),
    ],
)
def test_what_cannot_be_is_one_sentence(call, part):
    """A traceback from inside Keras where one argument was wrong."""
    with pytest.raises(ArgumentError) as error:
        call()
    assert part in str(error.value) and "\n" not in str(error.value)


def test_conversion_keeps_names_numbers_and_the_model_given(tmp_path):
    """A copy that starts from other weights, or one that is saved without its B."""
    net = convnet()
    net.get_layer("out").bias.assign(np.arange(10))
    separate = convert(net, skip=["low"], seed=1)
    images = np.random.RandomState(0).rand(4, 8, 8, 1)
    np.testing.assert_array_equal(separate(images), net(images))
    assert [x.name for x in separate.layers] == [x.name for x in net.layers]
    kinds = {x.name: type(x) for x in separate.layers}
    assert (kinds["low"], kinds["high"]) == (layers.Conv2D, SeparateConv2D)
    assert kinds["out"] is SeparateDense and type(net.get_layer("out")) is layers.Dense
    B, W = (np.asarray(getattr(separate.get_layer("high"), name)) for name in ("B", "kernel"))
    assert B.std() == pytest.approx(np.sqrt((W**2).mean()), rel=0.05)
    assert abs(np.corrcoef(B.ravel(), W.ravel())[0, 1]) < 0.05
    assert len(convert(odd(), skip=["odd"]).trainable_variables) == 5
    separate.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again.get_layer("high").B, B)


def test_errors_go_down_through_B_and_B_learns_what_W_learns():
    """Written out for one hidden layer, on a model of the functional kind."""
    inputs = keras.Input((5,), dtype="float64")
    hidden = layers.Dense(6, "relu", dtype="float64", name="hidden")(inputs)
    net = keras.Model(inputs, layers.Dense(4, dtype="float64", name="out")(hidden))
    net = convert(net)
    h, o = net.get_layer("hidden"), net.get_layer("out")
    x, labels = np.random.RandomState(0).randn(6, 5), np.arange(6) % 4
    learning = [h.kernel, h.B, h.bias, o.kernel, o.B, o.bias]
    with tf.GradientTape() as tape:
        q = net(x)
        loss = ActionValueLoss(0.0, batch_size=8, dtype="float64")(labels, q)
    found = tape.gradient(loss, [v.value for v in learning])
    s = np.argmax(q, 1)
    fb = -np.eye(4)[s] * ((s == labels) - np.max(q, 1))[:, None] / 8
    z = x @ np.asarray(h.kernel) + np.asarray(h.bias)
    low = (fb @ np.asarray(o.B).T) * (z > 0)
    dW, dV = x.T @ low, np.maximum(z, 0).T @ fb
    for one, wanted in zip(found, (dW, dW, low.sum(0), dV, dV, fb.sum(0)), strict=True):
        np.testing.assert_allclose(one, wanted, 0, 1e-14)


def test_with_B_equal_to_W_a_convolution_is_backprops():
    """Strides, padding or dilation that the way down forgets."""
    x = tf.constant(np.random.RandomState(0).rand(2, 9, 8, 4), tf.float64)
    for how in ({"strides": 2}, {"padding": "same"}, {"dilation_rate": 2}, {"groups": 2}):
        named = {"activation": "tanh", "dtype": "float64"} | how
        net = keras.Sequential(
            [keras.Input((9, 8, 4), dtype="float64"), layers.Conv2D(6, 3, **named)]
        )
        twin = convert(net)
        twin.layers[0].B.assign(net.layers[0].kernel)
        found = []
        for model in (net, twin):
            layer = model.layers[0]
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(tf.math.sin(model(x)))
            found.append(tape.gradient(loss, [x, layer.kernel.value, layer.bias.value]))
        for one, wanted in zip(*found, strict=True):
            np.testing.assert_allclose(one, wanted, 0, 1e-13)


def test_with_weight_decay_W_and_B_become_one():
    """Keras' own `weight_decay` reaches B as it does W: their difference shrinks with each step."""
    keras.utils.set_random_seed(0)
    net = convert(convnet(), skip=["low"], seed=1)
    layer = net.get_layer("high")
    before = np.asarray(layer.kernel) - np.asarray(layer.B)
    start = np.asarray(layer.kernel).copy()
    net.compile(keras.optimizers.SGD(0.1, weight_decay=0.5), ActionValueLoss())
    images = np.random.RandomState(0).rand(40, 8, 8, 1)
    net.fit(images, np.arange(40) % 10, batch_size=8, epochs=2, verbose=0)
    after = np.asarray(layer.kernel) - np.asarray(layer.B)
    np.testing.assert_allclose(after, before * (1 - 0.1 * 0.5) ** 10, 1e-3, 1e-6)
    assert np.abs(np.asarray(layer.kernel) - start * 0.95**10).max() > 1e-4  # and they learn


@pytest.mark.parametrize("feedback", ["shared", "separate"])
def test_a_network_none_of_us_wrote_learns_digits(feedback):
    """Everything above is right and the model does not learn."""
    digits = load("digits")
    keras.utils.set_random_seed(0)
    net = convnet()
    net = convert(net, skip=["low"], seed=1) if feedback == "separate" else net
    optimiser = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=1e-3)
    net.compile(optimiser, ActionValueLoss(seed=1), metrics=["accuracy"])
    net.fit(digits.train.images / 255, digits.train.labels, 32, epochs=14, verbose=0)
    assert net.evaluate(digits.test.images / 255, digits.test.labels, verbose=0)[1] > 0.9


def test_the_rule_takes_no_actions_of_another_shape():
    """A column of actions would be compared with every label."""
    with pytest.raises(ArgumentError, match="selected"):
        rule.actions(tf.constant([[0], [1]]), tf.ones((3, 2)))
