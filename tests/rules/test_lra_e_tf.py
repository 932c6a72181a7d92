"""LRA-E in TensorFlow: the rule against automatic gradients, the compiled step against the rule."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="the rule in TensorFlow")
keras = pytest.importorskip("keras", reason="the rule in TensorFlow")

from common.backends import tf_backend  # noqa: E402
from common.errors import UsageError  # noqa: E402
from common.runs import checkpoint  # noqa: E402
from lra_e.tf_learner import Learner, RebuiltAdamW, adamw, sgd  # noqa: E402
from lra_e.tf_rule import ACTIVATIONS, MLP  # noqa: E402

SIZES = [7, 6, 6, 5, 4]
ROOMY = 0.6  # standard deviation of weights that reach the bent part of the activations


def make_model(seed: int = 0, sizes=SIZES, **options: Any) -> MLP:
    model = MLP(sizes, **{"dtype": "float64", **options})
    random = np.random.RandomState(seed)
    for variable in (*model.W, *model.E, *(model.b or ())):
        variable.assign(random.randn(*variable.shape) * ROOMY)
    return model


def batch(seed: int = 1, count: int = 8, sizes=SIZES) -> tuple[Any, Any]:
    random = np.random.RandomState(seed)
    images = tf.constant(random.rand(count, sizes[0]))
    return images, tf.constant(random.randint(0, sizes[-1], count))


def assert_close(ours, theirs, tolerance=1e-12):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


def digest(learner: Learner) -> str:
    state = learner.state()
    tensors = {k: v for k, v in state.items() if tf_backend.is_tensor(v)}
    rest = {k: v for k, v in state.items() if k not in tensors}
    return tf_backend.digest(tensors) + repr(sorted(rest.items()))


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "linear"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_backprop_update_is_the_gradient_of_the_loss(activation, reduction):
    """Catches a baseline that is not backprop, against which every result would be measured."""
    model = make_model(activation=activation, reduction=reduction, bias=True)
    images, labels = batch()
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=model.forward(images)
        )
        loss = tf.reduce_mean(losses) if reduction == "mean" else tf.reduce_sum(losses)
    truth = tape.gradient(loss, [v.value for v in (*model.W, *(model.b or ()))])
    update = model.compute_backprop_update(images, labels)
    assert update.gE is None
    assert_close([*update.gW, *(update.gb or ())], truth)
    assert_close([update.loss], [tf.reduce_mean(losses)])


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_errors_are_activity_minus_target_in_both_forms(activation):
    """Catches a wrong identity in the form without cancellation: it would be a different rule."""
    for form in ("exact", "difference"):
        model = make_model(activation=activation, error_form=form, beta=0.4)
        update = model.compute_lra_update(*batch())
        h, z = model.activities(batch()[0])
        phi = ACTIVATIONS[activation].phi
        for i, (e, d, y) in enumerate(zip(update.e, update.d, update.y, strict=False)):
            assert_close([y, e], [phi(h[i] - 0.4 * d), z[i + 1] - phi(h[i] - 0.4 * d)])
            assert_close([d], [tf.matmul(update.e[i + 1], model.E[i])])
            assert float(tf.reduce_max(tf.abs(e))) > 1e-3


def test_updates_are_outer_products_and_error_weights_get_the_transpose():
    """Catches a lost transpose, a forgotten gamma or a forgotten division by the batch."""
    model = make_model(gamma=0.5)
    images, labels = batch()
    update = model.compute_lra_update(images, labels)
    _, z = model.activities(images)
    for below, e, g in zip(z, update.e, update.gW, strict=True):
        assert_close([g], [np.einsum("bi,bj->ij", below, e) / 8])
    for gW, gE, E in zip(update.gW[1:], update.gE or (), model.E, strict=True):
        assert gE.shape == E.shape
        assert_close([gE], [0.5 * np.transpose(gW)])


def test_one_hot_labels_mean_the_same_as_classes():
    """Catches a teaching signal that depends on how labels are written."""
    model = make_model()
    images, labels = batch()
    a = model.compute_lra_update(images, labels)
    b = model.compute_lra_update(images, tf.one_hot(labels, 4, dtype=tf.int64))
    assert_close([a.loss, *a.gW, *(a.gE or ())], [b.loss, *b.gW, *(b.gE or ())], 0)


def test_backward_takes_one_plain_step_down_the_gradient():
    """Catches a step up the slope, and one that moves the error weights."""
    model = make_model(bias=True)
    start, errors = [v.numpy() for v in (*model.W, *(model.b or ()))], [E.numpy() for E in model.E]
    images, labels = batch()
    update = model.backward(images, labels, lr=0.3)
    gradients = [*update.gW, *(update.gb or ())]
    expected = [v - 0.3 * g.numpy() for v, g in zip(start, gradients, strict=True)]
    assert_close([*model.W, *(model.b or ())], expected)
    assert_close(model.E, errors, 0)
    assert float(model.compute_backprop_update(*batch()).loss) < float(update.loss)


FORMS: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
    "adamw": ({}, lambda: adamw(0.01, 0.3)),
    "adamw with bias": ({"bias": True}, lambda: adamw(0.01, 0.3)),
    "rebuilt adamw": ({}, lambda: adamw(0.01, 0.3, rebuilt=True)),
    "sgd": ({"reduction": "sum"}, lambda: sgd(0.05)),
    "momentum": ({}, lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)),
    "decayed sgd": ({}, lambda: keras.optimizers.SGD(0.05, weight_decay=0.2)),
    "schedule": (
        {},
        lambda: keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(0.05, 6), weight_decay=0.3
        ),
    ),
    "half gamma": ({"gamma": 0.5}, lambda: adamw(0.01, 0.3)),
    "transposed E": (
        {"transposed_e": True, "sizes": [7, 6, 6, 6, 4]},
        lambda: adamw(0.01, 0.3, rebuilt=True),
    ),
    "normalised": ({"normalise": True}, lambda: sgd(0.05)),
    "cauchy": ({"local_loss": "cauchy", "error_form": "difference"}, lambda: sgd(0.05)),
    "clipped": ({}, lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.01)),
    "averaged": ({}, lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=2)),
    "rmsprop": ({}, lambda: keras.optimizers.RMSprop(0.01, momentum=0.5)),
    "lamb": ({}, lambda: keras.optimizers.Lamb(0.01)),
    "muon": ({}, lambda: keras.optimizers.Muon(0.01, rms_rate=None)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rule, jit", [("lra_e", False), ("lra_e", True), ("bp", False)])
def test_compiled_step_is_the_rule_and_the_optimiser(form, rule, jit):
    """Catches a shortcut of the compiled step (E derived from W, a closed form of AdamW) that gives
    other numbers, and variables changed before they are read, for any optimiser handed in."""
    options, make = FORMS[form]
    model, reference = make_model(**options), make_model(**options)
    learner = Learner(model, make(), rule, jit_compile=jit)
    optimiser = make()
    rebuilt = isinstance(optimiser, RebuiltAdamW)
    for seed in range(6):
        data = batch(seed, sizes=model.layer_sizes)
        if rebuilt:
            optimiser = adamw(0.01, 0.3)
        compute = reference.compute_backprop_update
        update = (compute if rule == "bp" else reference.compute_lra_update)(*data)
        loss, correct = learner.train_step(*data)
        assert_close([loss], [update.loss])
        assert int(correct) == int((np.argmax(update.logits, 1) == data[1].numpy()).sum())
        reference.apply_update(update, optimiser)
    assert_close([*learner.model.W, *learner.model.E], [*reference.W, *reference.E])
    assert_close(learner.model.b or (), reference.b or ())
    moved = make_model(**options)
    assert all(np.abs(W - V).max() > 1e-5 for W, V in zip(model.W, moved.W, strict=True))
    if rule == "bp":
        assert_close(model.E, moved.E, 0)


def test_fixed_error_weights_stay_while_w_learns():
    """Catches error weights that decay or learn in the control experiment."""
    model, start = make_model(), make_model()
    learner = Learner(model, adamw(0.01, 0.3), "fixed_e")
    expected = start.compute_lra_update(*batch())
    learner.train_step(*batch())
    start.apply_update(expected._replace(gE=None), adamw(0.01, 0.3))
    assert_close(learner.model.W, start.W)
    assert_close(learner.model.E, start.E, 0)
    assert learner.parameters() == sum(W.numpy().size for W in model.W)


def test_rebuilt_optimiser_takes_softened_sign_steps():
    """Catches (lra_e, D2) reproduced with moments that linger, or with constants unlike Keras'."""
    optimiser = adamw(0.001, rebuilt=True)
    variable = keras.Variable(np.array([1.0, -2.0, 3.0]), dtype="float64", name="theta")
    gradient = np.array([1e-3, -1e-7, 0.0])
    lr, decay = float(np.float32(0.001)), float(np.float32(0.004))
    for _ in range(3):
        before = variable.numpy()
        optimiser.apply([tf.constant(gradient)], [variable])
        step = lr * gradient / (np.abs(gradient) + 1e-7 / np.sqrt(0.001))
        np.testing.assert_allclose(variable.numpy(), before * (1 - lr * decay) - step, rtol=1e-7)
        assert variable.numpy()[2] == before[2] - before[2] * decay * lr
    assert len(optimiser.variables) == 2  # its count of steps and its rate: no moments


@pytest.mark.parametrize("jit", [False, True])
def test_smaller_last_batch_never_traces_again(jit, monkeypatch):
    """Catches retracing, which costs a second a time and comes with every epoch's last batch."""
    traced = []
    original = MLP.compute_lra_update

    def counted(self, *args, **options):
        traced.append(1)
        return original(self, *args, **options)

    monkeypatch.setattr(MLP, "compute_lra_update", counted)
    learner = Learner(make_model(), adamw(0.01), jit_compile=jit)
    for count in (8, 8, 3, 8, 3, 1):
        learner.train_step(*batch(count=count))
        learner.eval_step(*batch(count=count))
    assert len(traced) == 1


KEPT = {"opt.iteration", "opt.learning_rate"}
ADAM = {f"opt.W{i}_{slot}" for i in (1, 2, 3, 4) for slot in ("momentum", "velocity")}
E = {"E2", "E3", "E4"}


@pytest.mark.parametrize(
    "rule, options, make, expected",
    [
        ("lra_e", {}, lambda: adamw(0.01), E | ADAM),
        (
            "lra_e",
            {"gamma": 0.5},
            lambda: sgd(0.01, momentum=0.9),
            {"E2", "E3", "E4"} | {f"opt.{v}_momentum" for v in "W1 W2 W3 W4 E2 E3 E4".split()},
        ),
        ("lra_e", {"bias": True}, lambda: sgd(0.01), E | {"b1", "b2", "b3", "b4"}),
        ("bp", {}, lambda: adamw(0.01, rebuilt=True), {"E2", "E3", "E4"}),
        ("fixed_e", {}, lambda: adamw(0.01), {"E2", "E3", "E4"} | ADAM),
    ],
)
def test_resumed_learner_goes_on_with_the_same_bits(rule, options, make, expected, tmp_path):
    """Catches state that a checkpoint forgets: moments, the step count, how far E has decayed."""
    learner = Learner(make_model(**options), make(), rule)
    for seed in range(3):
        learner.train_step(*batch(seed))
    assert learner.state().keys() == {"W1", "W2", "W3", "W4"} | KEPT | expected
    folder = checkpoint.save(tmp_path, 3, learner, {}, ("last",))
    saved = digest(learner)
    other = Learner(make_model(seed=9, **options), make(), rule)
    other.train_step(*batch(5))
    assert digest(other) != saved
    checkpoint.load(folder, other)
    assert digest(other) == saved
    for seed in range(3, 6):
        a, b = learner.train_step(*batch(seed)), other.train_step(*batch(seed))
        assert float(a[0]) == float(b[0])
    assert digest(other) == digest(learner) != saved
    assert_close(other.model.E, learner.model.E, 0)


def test_slots_of_one_name_are_told_apart():
    """Catches a slot that another of the same name hides from the checkpoint."""
    learner = Learner(make_model(gamma=0.5), keras.optimizers.Adafactor(0.01))
    names = [name for name in learner.state() if name.startswith("opt.")]
    assert len(names) == len(learner.optimiser.variables)


@pytest.mark.parametrize("rule", ["lra_e", "bp", "fixed_e"])
def test_looking_at_credit_and_feedback_changes_nothing(rule):
    """Catches an audit that moves the training: audited runs would have other bits."""
    learner = Learner(make_model(), adamw(0.01), rule)
    learner.train_step(*batch())
    before = digest(learner)
    credit, feedback = learner.credit(*batch(2)), learner.feedback()
    model = learner.model
    assert digest(learner) == before
    assert list(credit) == ["W1", "W2", "W3", "W4"]
    assert list(feedback) == ([] if rule == "bp" else ["E2", "E3", "E4"])
    truth = model.compute_backprop_update(*batch(2)).gW
    own = truth if rule == "bp" else model.compute_lra_update(*batch(2)).gW
    assert_close([pair[0] for pair in credit.values()], own)
    assert_close([pair[1] for pair in credit.values()], truth)
    if feedback:  # backprop has none
        assert_close([pair[0] for pair in feedback.values()], [W.numpy().T for W in model.W[1:]], 0)
        assert_close([pair[1] for pair in feedback.values()], model.E, 0)


def test_report_after_the_update_is_what_evaluation_says():
    """Catches (lra_e, D6) the wrong way round: a report after the update that is from before it."""
    learner = Learner(make_model(), adamw(0.05), report_after_update=True)
    plain = Learner(make_model(), adamw(0.05))
    after, before = learner.train_step(*batch()), plain.train_step(*batch())
    assert_close(after, learner.eval_step(*batch()))
    assert_close(after, plain.eval_step(*batch()))
    assert float(after[0]) < float(before[0])


def test_parameters_counts_what_learns():
    """Catches counts that differ from the papers' tables."""
    sizes = [784, 256, 256, 256, 256, 10]
    counts = {rule: Learner(MLP(sizes), adamw(0.1), rule).parameters() for rule in ("lra_e", "bp")}
    assert counts == {"lra_e": 599_040, "bp": 399_872}


@pytest.mark.parametrize(
    "sizes, options, named",
    [
        ([7], {}, r"layer_sizes \(=\[7\]\)"),
        ([7, 0, 4], {}, "layer_sizes"),
        (SIZES, {"beta": 0}, r"beta \(=0\)"),
        (SIZES, {"gamma": -1}, r"gamma \(=-1\)"),
        (SIZES, {"activation": "tahn"}, "did you mean tanh"),
        (SIZES, {"local_loss": "l2"}, "local_loss"),
        (SIZES, {"error_form": "exakt"}, "did you mean exact"),
        (SIZES, {"reduction": "max"}, "reduction"),
    ],
)
def test_values_that_cannot_be_are_refused_by_name(sizes, options, named):
    """Catches a wrong option that trains something else in silence."""
    with pytest.raises(UsageError, match=named):
        MLP(sizes, **options)


def test_learner_refuses_what_it_cannot_do():
    """Catches a misspelt rule that would train as another one."""
    with pytest.raises(UsageError, match="rule"):
        Learner(make_model(), adamw(0.1), "lrae")
    uneven = make_model(sizes=[7, 6, 5, 4], transposed_e=True)
    with pytest.raises(UsageError, match="equal hidden widths"):
        uneven.compute_lra_update(*batch(sizes=[7, 6, 5, 4]))
