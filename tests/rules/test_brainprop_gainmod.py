"""Gain modulation against its equations, written out with numpy one sample at a time."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from brainprop.gain import rule as gain_rule  # noqa: E402
from brainprop.gain.learner import Learner  # noqa: E402

LR_A, LR_W, MAX_GAIN = 0.3, 0.7, 0.5


def network(kind: str) -> tuple[list, list, list]:
    """Layers and first weights, float64."""
    if kind == "dense":
        layers, shapes = [gain_rule.dense()] * 3, [(25, 6), (6, 5), (5, 4)]
    else:
        layers = [
            gain_rule.conv((5, 5), 3, 1, "valid"),
            gain_rule.conv((3, 3), 3, 2, "same"),
            gain_rule.dense(),
        ]
        shapes = [(9, 3), (27, 2), (8, 4)]
    rng = np.random.default_rng(1)
    W = [tf.Variable(0.5 * rng.standard_normal(shape)) for shape in shapes]
    b = [
        tf.Variable(0.1 * rng.standard_normal((layer.positions, shape[1])))
        for layer, shape in zip(layers, shapes, strict=True)
    ]
    return layers, W, b


def learner(kind: str, **more) -> Learner:
    settings = {"lr_a": LR_A, "lr_w": LR_W, "max_gain": MAX_GAIN, **more}
    return Learner(*network(kind), **settings)


def batch(n: int) -> tuple:
    rng = np.random.default_rng(2)
    images, labels = rng.random((n, 5, 5, 1)), rng.integers(0, 4, n)
    u = np.where(np.arange(n) % 2, 0.01, 0.9).astype(np.float32)
    return tuple(map(tf.constant, (images, labels, u, rng.integers(0, 4, n))))


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_with_one_round_and_no_clipping_the_update_is_delta_times_the_gradient_of_log_p(kind):
    """The closed form (brainprop, 5.5): a sign, a rate or a transpose wrong shows here.

    In conv layers feedback is averaged over patches, so only the last conv's gradient is exact.
    """
    rule = learner(kind, max_gain=1e9)
    images, labels, u, drawn = batch(1)
    step = rule.compute(images, labels, u, drawn)
    with tf.GradientTape() as tape:
        log_p = tf.nn.log_softmax(rule.logits(images))
        chosen = tf.reduce_sum(tf.gather(log_p, step.selected, batch_dims=1))
    variables = [*rule.W, *rule.b]
    gradients = tape.gradient(chosen, variables)
    reward = float(step.selected[0] == labels[0])
    delta = LR_W * (reward - float(step.p[0, step.selected[0]]))
    first = 1 if kind == "conv" else 0
    for i in range(first, 3):
        for mine, gradient in ((step.dW[i], gradients[i]), (step.db[i], gradients[3 + i])):
            np.testing.assert_allclose(mine, delta * LR_A * gradient, rtol=1e-9, atol=1e-15)


def by_hand(rule: Learner, image: np.ndarray, label: int, s: int, span: int) -> list[np.ndarray]:
    """dW of one sample of a dense network, equation by equation."""
    W, b = [w.numpy() for w in rule.W], [v.numpy()[0] for v in rule.b]
    beta = [np.zeros(len(v)) for v in b]

    def up():
        x, xs, zs, ys = image.ravel(), [], [], []
        for i in range(3):
            z = x @ W[i] + b[i]
            a = z + z * beta[i]
            xs.append(x)
            zs.append(z)
            x = a if i == 2 else np.maximum(a, 0)
            ys.append(x)
        p = np.exp(x) / np.exp(x).sum()
        return xs, zs, ys, p

    delta = LR_W * (float(s == label) - up()[3][s])
    for _ in range(span):
        xs, zs, ys, p = up()
        fb = LR_A * (np.eye(4)[s] - p)
        for i in (2, 1, 0):
            g = fb if i == 2 else fb * (ys[i] > 0)
            fb = g @ (W[i] + np.outer(xs[i], beta[i] / zs[i])).T
            beta[i] = np.clip(beta[i] + g * zs[i], -MAX_GAIN, MAX_GAIN)
    return [np.outer(x, delta * gain / z) for x, gain, z in zip(xs, beta, zs, strict=True)]


@pytest.mark.parametrize("span", [1, 2, 4])
def test_rounds_of_attention_follow_the_equations(span):
    """The gain that feedback sees is the one before the round's update: easily one round off."""
    rule = learner("dense", span=span)
    images, labels, u, drawn = batch(3)
    for k in range(3):
        one = slice(k, k + 1)
        step = rule.compute(images[one], labels[one], u[one], drawn[one])
        chosen = int(step.selected[0])
        expected = by_hand(rule, images[k].numpy(), int(labels[k]), chosen, span)
        for mine, theirs in zip(step.dW, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_a_batch_moves_the_weights_by_the_mean_of_its_samples(kind):
    """The prototype's gain had no axis for samples: in a batch each felt the others' attention."""
    rule = learner(kind, span=3)
    images, labels, u, drawn = batch(4)
    whole = rule.compute(images, labels, u, drawn)
    ones = [rule.compute(*(t[k : k + 1] for t in (images, labels, u, drawn))) for k in range(4)]
    for i in range(3):
        for name in ("dW", "db"):
            mean = np.mean([getattr(one, name)[i] for one in ones], axis=0)
            np.testing.assert_allclose(getattr(whole, name)[i], mean, rtol=1e-9, atol=1e-15)


def test_gains_are_clipped():
    """Without the clip a unit of large z explodes within a few rounds."""
    layers, W, b = network("dense")
    images, _, _, _ = batch(2)
    rest = gain_rule.forward(layers, W, b, images)
    s = tf.constant([0, 1], tf.int64)
    beta, _ = gain_rule.attend(layers, W, b, images, rest, s, span=5, lr_a=10.0, max_gain=MAX_GAIN)
    assert max(float(tf.reduce_max(tf.abs(gain))) for gain in beta) == MAX_GAIN


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_feedback_to_a_pixel_is_the_mean_over_the_patches_that_hold_it(padding):
    """The sum instead, or padding that shifts it, sends other feedback to the border."""
    layer = gain_rule.conv((5, 6), 3, 2, padding)
    image = np.random.default_rng(3).random((2, 5, 6, 3))
    held = layer.cover > 0
    back = layer.put_back(layer.patches(tf.constant(image))).numpy()
    np.testing.assert_allclose(back, np.where(held[None, :, :, None], image, 0), atol=1e-15)
    assert layer.cover.max() == 4 and layer.cover.min() == (1 if padding == "same" else 0)


@pytest.mark.parametrize("double", [False, True], ids=["corrected", "original"])
def test_exploration_draws_from_p_or_as_the_original_from_its_softmax(double):
    """Defect (brainprop, D20): a second softmax makes exploration nearly uniform."""
    q, noise = tf.constant([[0.0, 2.0, 4.0]]), tf.random.stateless_uniform((100_000, 3), (0, 0))
    drawn = gain_rule.explore(tf.broadcast_to(q, noise.shape), noise, double).numpy()
    shares, p = np.bincount(drawn, minlength=3) / 100_000, tf.nn.softmax(q)
    np.testing.assert_allclose(shares, (tf.nn.softmax(p) if double else p)[0], atol=0.006)


def test_an_audit_compares_descents_and_changes_nothing():
    """An update of the wrong sign in the audit would read as 180 degrees."""
    rule = learner("dense")
    images, labels, _, _ = batch(8)
    before = {name: np.asarray(value) for name, value in rule.state().items()}
    credit = rule.credit(images, labels)
    assert sorted(credit) == ["layer1", "layer2", "layer3"]
    dW = rule.compute(images, labels).dW
    assert all(np.array_equal(credit[f"layer{i + 1}"][0], -dW[i]) for i in range(3))
    assert all(np.array_equal(before[name], value) for name, value in rule.state().items())


def test_steps_draw_other_numbers_and_repeat_from_a_state():
    """The same u in every step would explore always or never."""
    rule, restored = learner("dense", epsilon=0.5), learner("dense", epsilon=0.5)
    images, labels, _, _ = batch(8)
    first = rule.compute(images, labels).selected.numpy()
    rule.train_step(images, labels)
    kept = rule.state()
    chosen = [rule.compute(images, labels).selected.numpy()]
    assert not np.array_equal(chosen[0], first)
    rule.train_step(images, labels)
    restored.load_state(kept)
    assert np.array_equal(restored.compute(images, labels).selected, chosen[0])
    restored.train_step(images, labels)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(rule.state().values(), restored.state().values(), strict=True)
    )
