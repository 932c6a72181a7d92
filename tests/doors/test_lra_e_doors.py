"""LRA-E in both frameworks: images and numbers that enter, frozen tensors, copies and pickles."""

import copy
import io
import math
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from common.errors import ArgumentError

SIZES = [6, 5, 4, 3]
IMAGES = np.random.RandomState(0).rand(7, 6)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0])


@pytest.fixture(params=["torch", "tensorflow"])
def framework(request) -> Any:
    """MLP, and what the tests need of either framework."""
    module = pytest.importorskip(request.param)
    if request.param == "torch":
        from lra_e import torch_learner
        from lra_e.torch_rule import MLP

        return SimpleNamespace(
            MLP=MLP,
            learners=torch_learner,
            tensor=module.tensor,
            array=lambda t: t.detach().cpu().double().numpy(),
            freeze=lambda t: t.requires_grad_(False),
            sgd=lambda m: module.optim.AdamW(m.parameters(), lr=0.1, weight_decay=0.5),
            integers=module.int64,
        )
    import keras

    from lra_e import tf_learner
    from lra_e.tf_rule import MLP  # type: ignore[assignment]

    return SimpleNamespace(
        MLP=MLP,
        learners=tf_learner,
        tensor=module.constant,
        array=lambda t: np.asarray(module.convert_to_tensor(t)).astype(np.float64),
        freeze=lambda t: setattr(t, "trainable", False),
        sgd=lambda m: keras.optimizers.AdamW(0.1, weight_decay=0.5),
        integers=module.int64,
    )


def parts(model: Any) -> dict[str, Any]:
    named = {"W": model.W, "E": model.E, "b": model.b or ()}
    return {f"{letter}{i}": t for letter, tensors in named.items() for i, t in enumerate(tensors)}


@pytest.mark.parametrize(
    "settings",
    [
        *({"beta": v} for v in (0, -1.0, math.nan, math.inf, "0.1", None, True)),
        *({"gamma": v} for v in (-1.0, math.nan, math.inf, "1")),
        *(
            {"layer_sizes": v}
            for v in (
                [6],
                [6, 0, 3],
                [6, 4.5, 3],
                [6, -4, 3],
                6,
                "654",
                [6, "4"],
                [6, True, 3],
                [],
                None,
            )
        ),
        *({n: "best"} for n in ("activation", "local_loss", "error_form", "reduction")),
    ],
    ids=str,
)
def test_a_number_out_of_its_range_is_refused_by_name(framework, settings):
    """beta = nan trains to nan; 4.5 units became 4 without a word."""
    ((name, _),) = settings.items()
    with pytest.raises(Exception, match=f"^{name} ") as error:
        framework.MLP(**({"layer_sizes": SIZES} | settings))
    assert type(error.value).__module__ == "common.errors" and "\n" not in str(error.value)


def test_a_type_that_is_not_floating_is_refused(framework):
    """Weights of integers: rounded to 0, all of them."""
    with pytest.raises(ArgumentError, match="^dtype .* must be a floating type"):
        framework.MLP(SIZES, dtype=framework.integers)


@pytest.mark.parametrize("lr", [math.nan, -0.1, math.inf, "1"])
def test_a_rate_that_is_none_changes_nothing(framework, lr):
    """`backward(lr=nan)` is the end of every weight."""
    model = framework.MLP(SIZES)
    before = [framework.array(W) for W in model.W]
    with pytest.raises(ArgumentError, match="^lr "):
        model.backward(framework.tensor(IMAGES), framework.tensor(LABELS), lr=lr)
    assert all((framework.array(W) == b).all() for W, b in zip(model.W, before, strict=True))


def test_numpys_integers_are_sizes(framework):
    """Sizes that come out of an array's shape."""
    model = framework.MLP(np.array(SIZES), beta=np.float32(0.5))
    assert model.layer_sizes == SIZES and type(model.layer_sizes[0]) is int


@pytest.mark.parametrize("form", ["array", "float64", "float32", "float16", "list"])
def test_images_of_any_floating_type_become_the_networks(framework, form):
    """ "expected m1 and m2 to have the same dtype", for the array that every loader gives."""
    model = framework.MLP(SIZES)
    given: Any = IMAGES.astype(np.float16).astype(np.float64)
    wanted = model.compute_lra_update(given.astype(np.float32), LABELS)
    if form == "list":
        given = given.tolist()
    elif form != "array":
        given = framework.tensor(given.astype(form))
    update = model.compute_lra_update(given, LABELS)
    for a, b in zip(update.gW, wanted.gW, strict=True):
        assert (framework.array(a) == framework.array(b)).all()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.astype(np.uint8), r"\(uint8\) must be of a floating type; scale bytes"),
        (IMAGES[:, :5], r"\(shape 7x5\) must be \(B, 6\)"),
        (IMAGES[0], r"\(shape 6\) must be \(B, 6\)"),
        (IMAGES.reshape(7, 1, 2, 3), r"\(shape 7x1x2x3\) must be \(B, 6\)"),
        ("images", r"\(|must be numbers"),
    ],
)
def test_images_that_do_not_fit_are_refused_in_our_words(framework, images, message):
    """A message about mat1 and mat2."""
    for method in ("compute_lra_update", "compute_backprop_update", "backward"):
        with pytest.raises(ArgumentError, match=f"^images {message}"):
            getattr(framework.MLP(SIZES), method)(images, LABELS)
    with pytest.raises(ArgumentError, match=f"^images {message}"):
        framework.MLP(SIZES).forward(images)


def test_an_empty_batch_is_refused(framework):
    """The mean of no loss is nan; so would be every weight."""
    model = framework.MLP(SIZES)
    for method in ("compute_lra_update", "compute_backprop_update", "backward"):
        with pytest.raises(ArgumentError, match="^labels are of an empty batch"):
            getattr(model, method)(IMAGES[:0].astype(np.float32), LABELS[:0])


def test_error_weights_that_do_not_learn_do_not_decay_either(framework):
    """E under gamma = 0 shrank by AdamW's decay, for a zero gradient was handed over."""
    model = framework.MLP(SIZES, gamma=0.0)
    before = {name: framework.array(t).copy() for name, t in parts(model).items()}
    update = model.compute_lra_update(np.full((4, SIZES[0]), 0.5, np.float32), [0, 1, 2, 1])
    model.apply_update(update, framework.sgd(model))
    same = {n: bool((framework.array(t) == before[n]).all()) for n, t in parts(model).items()}
    assert not same["W0"] and all(same[name] for name in same if name[0] == "E")


@pytest.mark.parametrize("transposed", [False, True])
def test_a_learner_leaves_error_weights_that_do_not_learn(framework, transposed):
    """Learner with gamma = 0 handed E's zero gradient to AdamW, whose decay shrank it."""
    sizes = [6, 4, 4, 3] if transposed else SIZES
    model = framework.MLP(sizes, gamma=0.0, transposed_e=transposed)
    make = framework.learners
    learner = make.Learner(model, make.adamw(0.1, weight_decay=0.5))
    before = {name: framework.array(t).copy() for name, t in parts(learner.model).items()}
    images = framework.tensor(np.full((4, 6), 0.5, np.float32))
    for _ in range(3):
        learner.train_step(images, framework.tensor([0, 1, 2, 1]))
    same = {
        n: bool((framework.array(t) == before[n]).all()) for n, t in parts(learner.model).items()
    }
    assert not same["W0"] and all(same[name] for name in same if name[0] == "E")
    held = sum(before[name].size for name in before if name[0] != "E")
    assert learner.parameters() == held
    again = make.Learner(framework.MLP(sizes, gamma=0.0, transposed_e=transposed), make.adamw(0.1))
    again.load_state(learner.state())
    for name, t in parts(again.model).items():
        np.testing.assert_array_equal(
            framework.array(t), framework.array(parts(learner.model)[name])
        )


@pytest.mark.parametrize("frozen", ["W0", "W2", "E1", "b0", "all W"])
def test_frozen_tensors_keep_their_bits(framework, frozen):
    """A layer that a user froze goes on learning, or decays."""
    model = framework.MLP(SIZES, bias=True)
    names = [n for n in parts(model) if n == frozen or frozen == f"all {n[0]}"]
    for name in names:
        framework.freeze(parts(model)[name])
    before = {n: framework.array(t) for n, t in parts(model).items()}
    optimiser = framework.sgd(model)
    for _ in range(3):
        update = model.compute_lra_update(IMAGES, LABELS)
        model.apply_update(update, optimiser)
    model.backward(IMAGES, LABELS, lr=0.1)
    moved = {n for n, t in parts(model).items() if (framework.array(t) != before[n]).any()}
    assert moved == set(before) - set(names)


def test_a_network_is_copied_and_pickled(framework):
    """Lambdas among the attributes: `torch.save` and every process pool fail."""
    model = framework.MLP(SIZES, bias=True, activation="sign", beta=0.3)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for name, tensor in parts(again).items():
            assert (framework.array(tensor) == framework.array(parts(model)[name])).all()
        update, wanted = (m.compute_lra_update(IMAGES, LABELS) for m in (again, model))
        assert (framework.array(update.gW[0]) == framework.array(wanted.gW[0])).all()
        again.backward(IMAGES, LABELS, lr=0.1)
    assert (framework.array(model.W[-1]) != framework.array(again.W[-1])).any()


# -- PyTorch alone --------------------------------------------------------------------------------


def test_a_state_is_loaded_with_weights_only():
    """A state dict that needs code to be read."""
    torch = pytest.importorskip("torch")
    from lra_e.torch_rule import MLP

    model, other = MLP(SIZES, bias=True), MLP(SIZES, bias=True)
    kept = io.BytesIO()
    torch.save(model.state_dict(), kept)
    other.load_state_dict(torch.load(io.BytesIO(kept.getvalue()), weights_only=True))
    assert all(a.equal(b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("method", ["compute_lra_update", "compute_backprop_update"])
def test_autocast_changes_no_update(method):
    """bfloat16 products into float32 buffers: torch's words, or eight bits of an update."""
    torch = pytest.importorskip("torch")
    from lra_e.torch_rule import MLP

    model, images, labels = MLP(SIZES, bias=True), torch.tensor(IMAGES), torch.tensor(LABELS)
    wanted = getattr(model, method)(images, labels)
    with torch.autocast("cpu", torch.bfloat16):
        result = getattr(model, method)(images, labels)
        assert model(images).dtype == torch.bfloat16  # a plain forward pass is autocast's
        half = getattr(model, method)(images.bfloat16(), labels)
    assert all(a.equal(b) for a, b in zip(result.gW, wanted.gW, strict=True))
    assert all(a.dtype == torch.float32 for a in half.gW)


@pytest.mark.parametrize("kind", ["double", "half", "bfloat16"])
def test_a_converted_network_computes_in_its_new_type(kind):
    """Buffers or images that stay behind in float32."""
    torch = pytest.importorskip("torch")
    from lra_e.torch_rule import MLP

    torch.manual_seed(0)
    model = MLP(SIZES, bias=True)
    wanted = model.compute_lra_update(IMAGES, LABELS)
    model = getattr(model, kind)()
    update = model.compute_lra_update(IMAGES, LABELS)
    for gradient, true in zip(update.gW, wanted.gW, strict=True):
        assert gradient.dtype == model.W[0].dtype
        assert (gradient.double() - true.double()).norm() < 0.1 * true.double().norm()
    model.apply_update(update, torch.optim.SGD(model.parameters(), lr=0.1))
    assert all(p.isfinite().all() for p in model.parameters())


def learner(**how):
    torch = pytest.importorskip("torch")
    from lra_e.torch_learner import Learner, adamw
    from lra_e.torch_rule import MLP

    torch.manual_seed(1)
    return torch, Learner(MLP(SIZES, **how), adamw(0.05, 0.3))


def test_a_learner_notices_a_network_that_is_converted_under_it():
    """It would train a buffer that nobody reads."""
    torch, ours = learner()
    ours.train_step(torch.tensor(IMAGES), torch.tensor(LABELS))
    ours.model.double()
    with pytest.raises(ArgumentError, match="^model was converted or moved"):
        ours.train_step(torch.tensor(IMAGES), torch.tensor(LABELS))


def test_a_learner_goes_on_from_what_is_loaded_into_its_network():
    """E that follows W from where it was before `load_state_dict`."""
    torch, ours = learner()
    _, theirs = learner()
    images, labels = torch.tensor(IMAGES), torch.tensor(LABELS)
    start = copy.deepcopy(theirs.model.state_dict())
    for _ in range(3):
        ours.train_step(images, labels)
    ours.model.load_state_dict(start)
    ours.optimiser.state.clear()
    ours.train_step(images, labels)
    theirs.optimiser.state.clear()
    theirs.train_step(images, labels)
    for a, b in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert (a - b).abs().max() < 1e-6


def test_learners_refuse_frozen_tensors(framework):
    """One flat buffer moves as a whole."""
    model = framework.MLP(SIZES)
    framework.freeze(model.W[1])
    if framework.tensor.__module__.startswith("tensorflow"):
        from lra_e.tf_learner import Learner, sgd
    else:
        from lra_e.torch_learner import Learner, sgd  # type: ignore[assignment]
    with pytest.raises(ArgumentError, match=r"^model must not have frozen .*W.*apply_update"):
        Learner(model, sgd(0.1))
