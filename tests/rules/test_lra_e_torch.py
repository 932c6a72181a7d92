"""LRA-E in PyTorch: the rule against autograd and definitions, the learner against the rule."""

import copy
from types import SimpleNamespace

import pytest

from common.errors import UsageError, UserError
from common.runs import checkpoint

torch = pytest.importorskip("torch", reason="this is the PyTorch rule")

from lra_e.torch_learner import Learner, adamw, sgd  # noqa: E402
from lra_e.torch_rule import ACTIVATIONS, MLP  # noqa: E402

SIZES = [11, 9, 8, 7, 5]
DOUBLE = {"dtype": torch.float64}


def batch(seed=0, sizes=SIZES):
    draw = torch.Generator().manual_seed(seed)
    images = torch.randn(6, sizes[0], generator=draw, dtype=torch.float64)
    return images, torch.randint(sizes[-1], (6,), generator=draw)


def far(computed, wanted):
    """Largest difference over a list of tensors."""
    return max((a - b).abs().max().item() for a, b in zip(computed, wanted, strict=True))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_exact_form_is_the_difference(name):
    """An identity with a wrong sign or factor, for units that no trace of the original has."""
    phi, _, change = ACTIVATIONS[name]
    draw = torch.Generator().manual_seed(1)
    h, s = (4 * torch.randn(5000, generator=draw, dtype=torch.float64) for _ in range(2))
    assert (change(h, phi(h), s) - (phi(h) - phi(h - s))).abs().max() < 1e-14


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_the_exact_form_keeps_its_digits_in_float32(name):
    """Cancellation: z - y of a displacement of 1e-6 has one digit left when it is subtracted."""
    phi, _, change = ACTIVATIONS[name]
    draw = torch.Generator().manual_seed(1)
    h, s = torch.randn(5000, generator=draw), 1e-6 * torch.randn(5000, generator=draw)
    wanted = change(h.double(), phi(h.double()), s.double())
    assert (change(h, phi(h), s) - wanted).norm() < 1e-6 * wanted.norm()
    assert (phi(h) - phi(h - s) - wanted).norm() > 1e-2 * wanted.norm()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu", "linear"])
def test_the_backprop_update_is_autograds(name, bias, reduction):
    """The baseline that every comparison rests on."""
    model = MLP(SIZES, activation=name, bias=bias, reduction=reduction, **DOUBLE)
    images, labels = batch()
    update = model.compute_backprop_update(images, labels)
    loss = torch.nn.functional.cross_entropy(model(images), labels, reduction=reduction)
    loss.backward()
    assert far(update.gW, [W.grad for W in model.W]) < 1e-14
    if model.b is not None:
        assert far(update.gb, [b.grad for b in model.b]) < 1e-14
    mean = loss.item() / (6 if reduction == "sum" else 1)
    assert update.loss.item() == pytest.approx(mean, abs=1e-14)


def test_one_hot_rows_and_classes_are_the_same_labels():
    """The old scripts' labels; soft ones must not be cut to classes."""
    model = MLP(SIZES, **DOUBLE)
    images, labels = batch()
    rows = torch.nn.functional.one_hot(labels, 5).double()
    by_class, by_row = (model.compute_lra_update(images, t) for t in (labels, rows))
    assert far(by_class.gW, by_row.gW) < 1e-15
    assert by_class.loss.item() == pytest.approx(by_row.loss.item(), abs=1e-14)


def test_the_cauchy_error_is_the_slope_of_the_log_penalty():
    """e = d/dz log(1 + (z - y)^2)."""
    model = MLP(SIZES, local_loss="cauchy", beta=0.9, **DOUBLE)
    images, labels = batch()
    update = model.compute_lra_update(images, labels)
    _, z = model.activities(images)
    assert update.y is not None
    for layer, y in enumerate(update.y, 1):
        free = z[layer].detach().requires_grad_()
        torch.log1p((free - y) ** 2).sum().backward()
        assert far([update.e[layer - 1]], [free.grad]) < 1e-12


def test_normalised_updates_have_length_one_and_their_direction():
    """A normalisation over the batch, or of E by W's length."""
    plain, unit = (MLP(SIZES, normalise=n, **DOUBLE) for n in (False, True))
    unit.load_state_dict(plain.state_dict())
    images, labels = batch()
    a, b = (m.compute_lra_update(images, labels) for m in (plain, unit))
    assert a.gE is not None and b.gE is not None
    for g, u in zip([*a.gW, *a.gE], [*b.gW, *b.gE], strict=True):
        length = g.norm().item()
        assert u.norm().item() == pytest.approx(length / (length + 1e-8), rel=1e-12)
        assert torch.nn.functional.cosine_similarity(g.flatten(), u.flatten(), 0) > 1 - 1e-12


def test_computing_an_update_changes_nothing_and_keeps_no_graph():
    """An audit that trains; a graph that grows with every step."""
    model = MLP(SIZES, bias=True, **DOUBLE)
    before = copy.deepcopy(model.state_dict())
    update = model.compute_lra_update(*batch())
    assert update.gE is not None and update.gb is not None
    assert not any(t.requires_grad for t in [*update.gW, *update.gE, *update.gb, *update.e])
    assert all(before[k].equal(v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("rule", ["lra_e", "bp", "fixed_e"])
@pytest.mark.parametrize(
    "make",
    [adamw(0.01), adamw(0.01, 0.3), sgd(0.05), sgd(0.05, 0.9)],
    ids=["adamw", "decay", "sgd", "momentum"],
)
@pytest.mark.parametrize(("gamma", "bias"), [(1.0, False), (0.4, True)])
def test_the_learner_is_the_rule_and_the_optimiser(make, rule, gamma, bias):
    """The shortcut for E, or flat buffers, that are not the same numbers."""
    model = MLP(SIZES, gamma=gamma, bias=bias, **DOUBLE)
    plain = copy.deepcopy(model)
    learner = Learner(model, make, rule)
    learning = [*plain.W, *(plain.b or ()), *(plain.E if rule == "lra_e" else ())]
    optimiser = make(learning)
    for step in range(12):
        images, labels = batch(step)
        if rule == "bp":
            update = plain.compute_backprop_update(images, labels)
        else:
            update = plain.compute_lra_update(images, labels)
        if rule != "lra_e":
            update = update._replace(gE=None)
        loss, correct = learner.train_step(images, labels)
        assert loss.item() == pytest.approx(update.loss.item(), abs=1e-12)
        assert correct.item() == (update.logits.argmax(1) == labels).sum().item()
        plain.apply_update(update, optimiser)
    assert far(learner.model.parameters(), plain.parameters()) < 1e-13


@pytest.mark.parametrize("make", [torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.NAdam])
def test_any_optimiser_trains_the_rule(make):
    """A library's user brings an optimiser that we have never seen."""
    torch.manual_seed(0)
    model = MLP(SIZES, bias=True, **DOUBLE)
    optimiser = make(model.parameters(), lr=0.02)
    images, labels = batch()
    first = model.compute_lra_update(images, labels).loss.item()
    for _ in range(60):
        model.apply_update(model.compute_lra_update(images, labels), optimiser)
    assert model.compute_lra_update(images, labels).loss.item() < 0.5 * first


@pytest.mark.parametrize("rule", ["lra_e", "bp", "fixed_e"])
@pytest.mark.parametrize("gamma", [1.0, 0.4])
def test_a_state_carried_to_another_learner_trains_on_with_the_same_bits(rule, gamma):
    """A checkpoint that forgets a moment, the step count, or how far E has followed W."""
    one, other = (Learner(MLP(SIZES, gamma=gamma), adamw(0.01, 0.1), rule) for _ in range(2))
    for step in range(5):
        images, labels = batch(step)
        one.train_step(images.float(), labels)
    saved = {k: v.clone() if hasattr(v, "clone") else v for k, v in one.state().items()}
    other.load_state(saved)
    for step in range(5, 10):
        images, labels = batch(step)
        losses = [learner.train_step(images.float(), labels)[0] for learner in (one, other)]
        assert losses[0].equal(losses[1])
    assert all(
        a.equal(b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True)
    )


def test_error_weights_are_plain_tensors_in_its_state(tmp_path):
    """A checkpoint from which E must be worked out; one of before 2026-12 that is taken for it."""
    learner = Learner(MLP(SIZES), adamw(0.01, 0.1))
    learner.train_step(*(t.float() if t.is_floating_point() else t for t in batch()))
    state = learner.state()
    for i, E in enumerate(learner.model.E, 2):
        assert state[f"E{i}"].data_ptr() == E.data_ptr()
    before = {n: t for n, t in state.items() if n != "E2"} | {"E2.difference": state["E2"]}
    old = SimpleNamespace(backend=learner.backend, state=lambda: before)
    folder = checkpoint.save(tmp_path, 1, old, {}, ("last",))
    with pytest.raises(UserError, match=r"E2 is in the learner only") as error:
        checkpoint.load(folder, learner)
    assert str(folder) in str(error.value)


def test_backward_is_one_step_of_gradient_descent():
    """The README's method: its rate, its sign, and E left alone."""
    model = MLP(SIZES, **DOUBLE)
    before = copy.deepcopy(model)
    images, labels = batch()
    update = model.backward(images, labels, lr=0.5)
    assert far(model.W, [W - 0.5 * g for W, g in zip(before.W, update.gW, strict=True)]) < 1e-15
    assert far(model.E, before.E) == 0


def test_the_report_after_the_update_is_what_evaluation_says():
    """Defect (lra_e, D6) the wrong way round."""
    model = MLP(SIZES, **DOUBLE)
    learner = Learner(copy.deepcopy(model), adamw(0.05), report_after_update=True)
    plain = Learner(model, adamw(0.05))
    images, labels = batch()
    after, before = (lrn.train_step(images, labels)[0].item() for lrn in (learner, plain))
    assert after == pytest.approx(plain.eval_step(images, labels)[0].item(), abs=1e-14)
    assert after != before


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"layer_sizes": [7]}, r"layer_sizes \(=\[7\]\)"),
        ({"layer_sizes": [7, 0, 2]}, "positive widths"),
        ({"beta": 0.0}, r"beta \(=0.0\) must be > 0"),
        ({"gamma": -1.0}, "gamma"),
        ({"activation": "tnah"}, "did you mean tanh"),
        ({"local_loss": "l1"}, "gaussian, cauchy"),
    ],
)
def test_a_wrong_setting_is_named(settings, part):
    """A network that trains with a value that means nothing."""
    with pytest.raises(UsageError, match=part):
        MLP(**({"layer_sizes": SIZES} | settings))


def test_a_transposed_update_of_e_needs_equal_widths():
    """Defect (lra_e, D1) was hidden because all hidden layers were square."""
    model = MLP([5, 4, 3, 2], transposed_e=True, **DOUBLE)
    with pytest.raises(UsageError, match="equal hidden widths"):
        model.compute_lra_update(*batch(sizes=[5, 2]))
