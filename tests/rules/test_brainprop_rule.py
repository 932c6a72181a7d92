"""The rule of BrainProp against what it is meant to do: equations, limits, conservation."""

from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from brainprop import rule  # noqa: E402
from brainprop.layers.forward import forward  # noqa: E402
from brainprop.layers.loss import BrainPropLoss, reward_rate  # noqa: E402
from brainprop.layers.output import BatchNormalization, BrainPropLayer, normalise  # noqa: E402
from brainprop.learner import Draws, Learner  # noqa: E402
from brainprop.networks import make_network  # noqa: E402
from brainprop.recipes import ARCHITECTURES  # noqa: E402
from common.errors import UsageError  # noqa: E402
from tests.oracles import brainprop_attention  # noqa: E402

NARROW = {1500: 9, 1000: 8, 500: 7, 32: 4, 64: 3, 128: 5}


def narrow(architecture: str, algorithm: str = "BrainProp", **more):
    settings: dict[str, Any] = {
        "std": 0.3,
        "seed": 2,
        "dtype": "float64",
        "widths": NARROW,
        "l2": 0.0,
    }
    side = 8 if architecture == "deep" else 9
    return make_network(architecture, (side, side, 2), 4, algorithm, **settings | more)


def examples(net, n: int = 6, seed: int = 0):
    random = np.random.RandomState(seed)
    images = tf.constant(random.rand(n, *net.input_shape[1:]), net.layers[-1].compute_dtype)
    return images, tf.constant(random.randint(0, net.output_shape[1], n))


def draws(net, n: int = 6, seed: int = 1) -> Draws:
    """Some exploring, and masks."""
    random = np.random.RandomState(seed)
    layers = [x for x in net.layers if isinstance(x, keras.layers.Dropout)]
    masks = [tf.constant(random.rand(n, *x.input.shape[1:]) >= x.rate) for x in layers]
    u = random.choice(np.array([0.0, 0.5], np.float32), n)
    return Draws(tf.constant(u), tf.constant(random.randint(0, net.output_shape[1], n)), masks)


@pytest.mark.parametrize("feedback", ["shared", "separate"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_way_down_written_by_hand_is_the_gradient(architecture, feedback):
    """The learning rule stops being local attention: a wrong transpose, mask, pool or norm."""
    net = narrow(architecture)
    learner = Learner(net, batch_size=8, feedback=feedback)
    images, labels = examples(net)
    given = draws(net)
    update = learner.compute(images, labels, given)
    passed = forward(net, images, given.masks)
    delta = rule.prediction_error(passed.q, update.selected, labels)
    start = rule.teaching_signal(delta, update.selected, 4, tf.constant(1 / 8, tf.float64))
    by_hand = brainprop_attention.gradients(passed, start, learner.B)
    assert sorted(by_hand) == sorted(learner.names)
    for name, gradient in zip(learner.names, update.gradients, strict=False):
        size = np.abs(gradient).max()
        assert size > 0, name
        np.testing.assert_allclose(by_hand[name], gradient, 0, 1e-12 * size, err_msg=name)


def test_attention_of_one_unit_times_delta_is_the_whole_update():
    """Credit goes down from units that were not selected, or delta is not a common factor."""
    net = narrow("dense")
    images, labels = examples(net)
    passed = forward(net, images, [])
    s = tf.constant([3, 1, 0, 2, 2, 1], tf.int64)
    delta = rule.prediction_error(passed.q, s, labels)
    fb = brainprop_attention.send_down(passed, tf.one_hot(s, 4, dtype=tf.float64))
    W = {x.name: np.asarray(x.kernel) for x in net.layers if hasattr(x, "kernel")}
    h = {stage.layer.name: stage.x.numpy() for stage in passed.stages}
    z = {stage.layer.name: stage.z.numpy() for stage in passed.stages}
    expected = np.eye(4)[s]
    for above, layer in (("out1", "dense3"), ("dense3", "dense2"), ("dense2", "dense1")):
        expected = (expected @ W[above].T) * (z[layer] > 0)  # f'(a_j) sum_k w_jk fb_k
        np.testing.assert_allclose(fb[layer], expected, 1e-12)
    signal = rule.teaching_signal(delta, s, 4, tf.constant(0.5, tf.float64))
    whole = brainprop_attention.gradients(passed, signal)["dense2.kernel"]
    local = -np.einsum("n,ni,nj->ij", 0.5 * delta, h["dense2"], fb["dense2"])
    np.testing.assert_allclose(whole, local, 1e-10, 1e-14)


def test_a_unit_not_selected_learns_nothing():
    """The error of one unit leaks to the others: that would be ordinary regression."""
    net = narrow("dense")
    learner = Learner(net, batch_size=6, epsilon=1.0)
    images, labels = examples(net)
    given = Draws(tf.zeros(6), tf.ones(6, tf.int64), [])  # all take action 1
    before = np.asarray(net.layers[-1].kernel)
    learner.train_step(images, labels, given)
    moved = np.abs(np.asarray(net.layers[-1].kernel) - before).max(0)
    assert moved[1] > 0 and (moved[[0, 2, 3]] == 0).all()


def test_one_step_down_the_loss_lowers_it():
    """A flipped sign trains away from every reward while the code runs as before."""
    net = narrow("conv", dropout=(0.0, 0.0))
    learner = Learner(net, batch_size=6, lr=0.01)
    images, labels = examples(net)
    given = draws(net)
    first = learner.compute(images, labels, given)
    fixed = Draws(tf.zeros(6), first.selected, given.masks)  # the same actions again
    learner.train_step(images, labels, given)
    assert float(learner.compute(images, labels, fixed).loss) < float(first.loss)


def test_selection_explores_at_epsilon_and_not_above():
    """`u >= epsilon` or the other way round: hardly ever seen in training, wrong in every trace."""
    q = tf.constant([[0.1, 0.9], [0.9, 0.1], [0.5, 0.5], [-1.0, -2.0]])
    u = np.array([0.02, np.nextafter(np.float32(0.02), np.float32(1)), 1, 1], np.float32)
    chosen = rule.select(q, tf.constant(u), tf.constant([0, 1, 1, 1]))
    assert chosen.numpy().tolist() == [0, 0, 0, 0]


def test_boltzmann_draws_follow_the_softmax():
    """A temperature, or the argmax left out of the draw: exploration of another kind."""
    logits = np.array([1.0, 0.0, -1.0, 2.0], np.float32)
    noise = tf.random.stateless_uniform((100_000, 4), (0, 0))
    drawn = rule.boltzmann(tf.broadcast_to(logits, (100_000, 4)), noise).numpy()
    shares = np.bincount(drawn, minlength=4) / 100_000
    np.testing.assert_allclose(shares, tf.nn.softmax(logits), atol=0.006)


def test_an_action_of_value_zero_still_earns_its_error():
    """(brainprop, D9): with dead hidden units every value is 0 and nothing is learnt for good."""
    q, labels = tf.zeros((2, 3)), tf.constant([0, 1], tf.int64)
    s = tf.constant([0, 0], tf.int64)
    assert rule.prediction_error(q, s, labels).numpy().tolist() == [1.0, 0.0]
    assert rule.prediction_error(q, s, labels, zero_is_unselected=True).numpy().tolist() == [0, 0]
    for zero, wanted in ((False, 0.25), (True, 0.0)):
        layer = BrainPropLayer(3, kernel_initializer="zeros", zero_is_unselected=zero, epsilon=0.0)
        loss = BrainPropLoss(2)(labels, layer(tf.ones((2, 5)), training=True))
        assert float(loss) == wanted  # 0.5 (1 - 0)^2 / 2 and 0


def test_a_smaller_batch_is_divided_by_the_nominal_size_and_backprop_by_its_own():
    """(brainprop, D10): the last batch of an epoch counts too much, or backprop's too little."""
    for algorithm, partial, divisor in (
        ("BrainProp", "nominal", 8),
        ("BrainProp", "mean", 4),
        ("EBP", "nominal", 4),
    ):
        net = narrow("dense", algorithm)
        learner = Learner(net, algorithm, batch_size=8, partial_batch=partial)
        images, labels = examples(net, 4)
        given = Draws(tf.ones(4), tf.zeros(4, tf.int64), [])
        whole = learner.compute(images, labels, given)
        one = Draws(tf.ones(1), tf.zeros(1, tf.int64), [])
        rows = [slice(i, i + 1) for i in range(4)]
        each = [learner.compute(images[row], labels[row], one) for row in rows]
        ones = {"BrainProp": 8 if partial == "nominal" else 1, "EBP": 1}[algorithm]
        total = sum(float(update.loss) * ones for update in each)
        assert float(whole.loss) == pytest.approx(total / divisor, rel=1e-12)


def test_evaluation_counts_half_a_wrong_answer_and_the_short_batch_less():
    """(brainprop, D10, D11): val_loss of the original, on one large batch instead of many."""
    net = narrow("dense", dtype="float32")
    images, labels = examples(net, 11)
    right = np.asarray(net(images, training=False)).argmax(1) == labels.numpy()
    wrong = ~right
    loss, correct = Learner(net, batch_size=4).eval_step(images, labels)
    keras_says = (0.5 * wrong[:8].sum() + 0.5 * wrong[8:].sum() / 4 * 3) / 11
    assert float(loss) == pytest.approx(keras_says, rel=1e-6) and int(correct) == right.sum()
    loss, _ = Learner(net, batch_size=4, partial_batch="mean").eval_step(images, labels)
    assert float(loss) == pytest.approx(0.5 * wrong.mean(), rel=1e-6)


def test_rewards_are_counted_where_values_are_negative():
    """Defect (brainprop, D8): training accuracy of an untrained net is that of class 0."""
    q, labels = tf.constant([[-3.0, -1.0, -2.0]]), tf.constant([1], tf.int64)
    s = tf.argmax(q, 1)
    assert int(rule.correct_as_the_original(q, s, labels)) == 0
    assert float(reward_rate(labels, tf.one_hot(s, 3) * q)[0]) == 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_with_separate_feedback_W_minus_B_shrinks_by_the_decay(architecture):
    """Both get one update, or the feedback never aligns: Kolen and Pollack's argument."""
    net = narrow(architecture, l2=1e-3)
    learner = Learner(net, batch_size=8, lr=0.1, feedback="separate", feedback_decay=0.01)
    images, labels = examples(net)
    before = {name: W - B for name, (W, B) in learner.feedback().items()}
    assert len(before) == sum(hasattr(x, "kernel") for x in net.layers) - 1
    weights = {name: W for name, (W, _) in learner.feedback().items()}
    for _ in range(3):
        learner.train_step(images, labels)
    for name, (W, B) in learner.feedback().items():
        shrunk = before[name] * (1 - 0.1 * (0.01 + 2e-3)) ** 3
        np.testing.assert_allclose(W - B, shrunk, 1e-9, 1e-13, err_msg=name)
        assert np.abs(W - weights[name]).max() > 0


def test_feedback_weights_equal_to_the_forward_ones_are_the_papers_rule():
    """The asymmetric path computes something else where it must not."""
    net = narrow("loccon")
    learner = Learner(net, batch_size=8, feedback="separate")
    for name, B in learner.B.items():
        B.assign(net.get_layer(name).kernel)
    images, labels = examples(net)
    ours = learner.compute(images, labels, draws(net)).gradients
    shared = Learner(net, batch_size=8).compute(images, labels, draws(net)).gradients
    for a, b in zip(ours, shared, strict=False):
        np.testing.assert_allclose(a, b, 1e-10, 1e-15)


def test_with_other_feedback_only_what_lies_below_changes():
    """B used on the way up, or in the layer's own update."""
    net = narrow("dense")
    images, labels = examples(net)
    ours = Learner(net, batch_size=8, feedback="separate")
    shared = Learner(net, batch_size=8)
    a, b = (x.compute(images, labels, draws(net)) for x in (ours, shared))
    assert float(a.loss) == float(b.loss)
    same = {
        n: np.allclose(x, y, 1e-12)
        for n, x, y in zip(ours.names, a.gradients, b.gradients, strict=False)
    }
    assert same == {
        "dense1.kernel": False,
        "dense2.kernel": False,
        "dense3.kernel": False,
        "out1.kernel": True,
    }


def test_moving_variance_is_unbiased_where_keras_is_biased():
    """Defect (brainprop, D4): evaluation drifts from training on small maps."""
    x = tf.constant(np.random.RandomState(0).rand(3, 2, 2, 5), tf.float32)
    batch = np.asarray(x).reshape(-1, 5)
    for kind, ddof in (("unbiased", 1), ("biased", 0)):
        for dtype in ("float32", "float64"):
            layer = BatchNormalization(momentum=0.5, variance=kind, dtype=dtype)
            y = layer(tf.cast(x, dtype), training=True)
            expected = 0.5 + 0.5 * batch.var(0, ddof=ddof)
            np.testing.assert_allclose(layer.moving_variance, expected, 1e-5)
            np.testing.assert_allclose(
                y,
                (batch - batch.mean(0)).reshape(x.shape) / np.sqrt(batch.var(0) + 1e-3),
                1e-4,
                1e-4,
            )
            frozen = np.asarray(layer.moving_variance)
            layer(tf.cast(x, dtype), training=False)
            layer(tf.cast(x, dtype))  # `training` is False where nobody says
            np.testing.assert_array_equal(layer.moving_variance, frozen)


def test_batch_norm_of_the_step_in_bfloat16_keeps_float32_statistics():
    """Means over thousands of bfloat16 numbers lose all their digits."""
    x = tf.cast(np.random.RandomState(0).rand(4, 8, 8, 2) + 10, tf.bfloat16)
    y, mean, variance = normalise(x, tf.ones(2), tf.zeros(2), 1e-3)
    assert (y.dtype, mean.dtype, variance.dtype) == (tf.bfloat16, tf.float32, tf.float32)
    np.testing.assert_allclose(mean, np.asarray(x, np.float32).mean((0, 1, 2)), 1e-5)


def test_layers_and_loss_survive_being_written_down(tmp_path):
    """A model that uses them can be saved and never loaded again."""
    net = narrow("loccon", dtype="float32", zero_is_unselected=True, epsilon=0.1)
    net.compile(keras.optimizers.SGD(0.1), BrainPropLoss(8), metrics=[reward_rate])
    images, labels = examples(net)
    net.fit(images, labels, verbose=0)
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert again.layers[-1].get_config() == net.layers[-1].get_config()
    assert again.loss.get_config() == net.loss.get_config()
    np.testing.assert_array_equal(again.predict(images, verbose=0), net.predict(images, verbose=0))


def test_anybodys_model_learns_with_the_layer_and_the_loss():
    """The Keras citizens run and do not learn: a selection whose gradient is cut off."""
    from common.data.datasets import load

    digits = load("digits")
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Flatten(), keras.layers.Dense(128, "relu")]
    net = keras.Sequential([keras.Input((8, 8, 1)), *hidden, BrainPropLayer(10, seed=1)])
    net.compile(keras.optimizers.SGD(0.3), BrainPropLoss(32), metrics=[reward_rate])
    history = net.fit(digits.train.images / 255, digits.train.labels, 32, epochs=12, verbose=0)
    assert history.history["reward_rate"][-1] > 0.8
    loss, rewards = net.evaluate(digits.test.images / 255, digits.test.labels, 32, verbose=0)
    assert rewards > 0.8 and loss < 0.15


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: BrainPropLayer(1), "units (=1) must be >= 2"),
        (lambda: BrainPropLayer(3, epsilon=1.5), "epsilon (=1.5) must be between 0 and 1"),
        (lambda: BrainPropLoss(0), "batch_size (=0) must be >= 1"),
        (lambda: BatchNormalization(variance="unbias"), "variance (=unbias)"),
        (lambda: make_network("convv", (8, 8, 1), 10), "did you mean conv?"),
        (lambda: make_network("deep", (4, 4, 1), 10), "too small for deep"),
        (lambda: make_network("loccon", (3, 3, 1), 10), "too small for loccon"),
        (lambda: make_network("conv", (8, 8, 1), 10, dropout=[0.5]), "must be 2 rates"),
        (lambda: Learner(make_network("dense", (4, 4, 1), 3), "BP", batch_size=1), "BP"),
    ],
)
def test_values_that_cannot_be_are_named(make, part):
    """A traceback from inside Keras where one word was wrong."""
    with pytest.raises(UsageError) as error:
        make()
    assert part in str(error.value)
