"""The audit as a library: planted wrong updates, and which number notices which."""

import csv

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from common.credit import compare, compare_arrays  # noqa: E402
from common.errors import ArgumentError  # noqa: E402

LOSS = functional.cross_entropy


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(12, 12),
        nn.BatchNorm1d(12),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Linear(12, 12),
        nn.Tanh(),
        nn.Linear(12, 5),
    ).double()


@pytest.fixture
def batch():
    return torch.randn(64, 12, dtype=torch.float64), torch.randint(5, (64,))


def gradients(model: nn.Module, batch) -> dict:
    """Of the weights, by a pass of our own that draws what `compare` draws."""
    weights = {
        n: p for n, p in model.named_parameters() if n.endswith("weight") and n != "1.weight"
    }
    with torch.random.fork_rng([]):
        value = LOSS(model(batch[0]), batch[1])
    return dict(zip(weights, torch.autograd.grad(value, list(weights.values())), strict=True))


def test_the_true_gradient_is_at_no_angle_from_itself(batch) -> None:
    """A reference of other dropout masks, of other statistics, or of a model in another mode."""
    model = network()
    true = gradients(model, batch)
    comparison = compare(true, model, LOSS, batch)
    assert list(comparison.layers) == ["0.weight", "4.weight", "6.weight"]
    for layer in comparison.layers.values():
        assert layer.cosine == pytest.approx(1, abs=1e-12) and layer.sign_agreement == 1
        assert layer.norm_ratio == pytest.approx(1, abs=1e-12) and not layer.too_small


# planted error -> (how the update is spoilt, which numbers of layer 4 notice)
def _stale(true, model, batch):
    """Of the weights before a step: the gradient of another point."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter)
    return true


PLANTED = {
    "transposed": (lambda t, m, b: t | {"4.weight": t["4.weight"].T}, {"cosine", "signs"}),
    "scaled": (lambda t, m, b: t | {"4.weight": 3 * t["4.weight"]}, {"norm"}),
    "flipped": (lambda t, m, b: t | {"4.weight": -t["4.weight"]}, {"cosine", "signs"}),
    "missing": (lambda t, m, b: t | {"4.weight": 0 * t["4.weight"]}, {"cosine", "signs", "norm"}),
    "random": (
        lambda t, m, b: t | {"4.weight": torch.randn_like(t["4.weight"])},
        {"cosine", "signs", "norm"},
    ),
    "signs alone": (lambda t, m, b: t | {"4.weight": t["4.weight"].sign()}, {"norm", "cosine"}),
    "stale": (_stale, {"cosine", "signs", "norm"}),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_error_is_noticed_by_the_numbers_that_should(planted: str, batch) -> None:
    """An audit that would pass a transposed, scaled, stale, missing, flipped or random update."""
    model = network()
    spoil, expected = PLANTED[planted]
    layer = compare(spoil(gradients(model, batch), model, batch), model, LOSS, batch).layers[
        "4.weight"
    ]
    cosine, signs, ratio = layer.cosine, layer.sign_agreement, layer.norm_ratio
    assert signs is not None and ratio is not None
    noticed = {
        "cosine": cosine is None or cosine < 0.95,
        "signs": signs < 0.9,
        "norm": not 0.8 < ratio < 1.25,
    }
    assert {name for name, seen in noticed.items() if seen} == expected


def test_nothing_of_the_model_changes(batch) -> None:
    """A comparison that moves running statistics, .grads, the mode or the generators."""
    model = network()
    LOSS(model(batch[0]), batch[1]).backward()
    grads = [torch.clone(p.grad) for p in model.parameters() if p.grad is not None]
    assert len(grads) == 8
    state = {n: t.clone() for n, t in model.state_dict().items()}
    generator = torch.get_rng_state()
    compare(None, model, LOSS, batch)
    assert all(torch.equal(t, state[n]) for n, t in model.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), grads, strict=True))
    assert torch.equal(torch.get_rng_state(), generator) and model.training


def test_grads_functions_and_dicts_are_the_same_update(batch) -> None:
    """One of the three ways measures something else."""
    model = network()
    true = gradients(model, batch)
    for name, gradient in true.items():
        model.get_parameter(name).grad = 2 * gradient
    ways = (
        None,
        {n: 2 * g for n, g in true.items()},
        lambda m, x, y: {n: 2 * g for n, g in true.items()},
    )
    tables = {str(compare(way, model, LOSS, batch)) for way in ways}
    assert len(tables) == 1 and "2.000" in tables.pop()


def test_the_reference_of_a_converted_model_is_backprops(batch) -> None:
    """Feedback alignment compared with itself: cosines of 1 in every layer."""
    import asap

    model = nn.Sequential(nn.Linear(12, 30), nn.Tanh(), nn.Linear(30, 5)).double()
    true = {n: g for n, g in _weights(model, batch).items()}
    asap.convert(model, "fixed")
    LOSS(model(batch[0]), batch[1]).backward()
    layers = compare(None, model, LOSS, batch).layers
    assert layers["2.weight"].cosine == pytest.approx(1, abs=1e-12)
    assert abs(layers["0.weight"].cosine or 0.0) < 0.9
    wanted = compare_arrays(
        {"0.weight": model[0].weight.grad}, {"0.weight": true["0.weight"]}
    ).layers["0.weight"]
    assert layers["0.weight"].cosine == pytest.approx(wanted.cosine, abs=1e-12)


def _weights(model, batch):
    weights = {n: p for n, p in model.named_parameters() if n.endswith("weight")}
    value = LOSS(model(batch[0]), batch[1])
    return dict(zip(weights, torch.autograd.grad(value, list(weights.values())), strict=True))


def test_arrays_of_numpy_jax_and_torch_compare_alike(tmp_path) -> None:
    """A library for one framework only; a table whose numbers are not those of the object."""
    reference = {"a": np.array([3.0, 4.0, 0.0]), "b": np.array([[1.0, -1.0]])}
    update = {"a": np.array([4.0, 3.0, 9.0]), "b": np.array([[2.0, 2.0]])}
    comparison = compare_arrays(update, reference)
    assert comparison.layers["a"].cosine == pytest.approx(24 / (5 * 106**0.5))
    assert comparison.layers["a"].norm_ratio == pytest.approx(106**0.5 / 5)
    assert (comparison.layers["a"].sign_agreement, comparison.layers["b"].sign_agreement) == (
        1,
        0.5,
    )
    kinds = [torch.tensor]
    if pytest.importorskip("jax", reason="jax is not installed"):
        import jax.numpy

        kinds.append(jax.numpy.asarray)
    for kind in kinds:
        same = compare_arrays(
            {n: kind(v) for n, v in update.items()}, {n: kind(v) for n, v in reference.items()}
        )
        for name, layer in same.layers.items():
            assert layer.cosine == pytest.approx(comparison.layers[name].cosine, abs=1e-6)
    comparison.to_csv(tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["layer"] for row in rows] == ["a", "b"]
    assert float(rows[0]["cosine"]) == comparison.layers["a"].cosine


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({}, "update names no parameter"),
        ({"9.weight": torch.zeros(1)}, "update names 9.weight, which is no parameter"),
        ({"0.weight": torch.zeros(2)}, r"update has 0.weight of shape \(2,\), the reference"),
        ({"0.bias": torch.zeros(12)}, "update names 0.bias, which is frozen"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(update, message, batch) -> None:
    """A broadcast, a KeyError, or a layer left out in silence."""
    model = network()
    model[0].bias.requires_grad_(False)
    with pytest.raises(ArgumentError, match=message):
        compare(update, model, LOSS, batch)
