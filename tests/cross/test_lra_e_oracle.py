"""LRA-E by every implementation against the float64 oracle: same weights, same batches."""

import numpy as np
import pytest

from tests.golden.trace import relative_error
from tests.oracles.lra_e_learners import make_learner, require
from tests.oracles.lra_e_numpy import Net
from tests.oracles.lra_e_settings import Learner, Recipe, Rule

SIZES = {
    3: [20, 16, 12, 9, 7],
    4: [20, 16, 13, 11, 9, 7],
    5: [20, 17, 13, 16, 11, 9, 7],
    8: [20, 17, 13, 16, 11, 14, 9, 12, 10, 7],
}
STEPS, BATCH = 20, 10
SGD = Recipe("sgd", lr=2**-4)
ADAMW = Recipe("torch_adamw", lr=0.001)
IMPLEMENTATIONS = ("torch", "torch-learner", "tensorflow", "tensorflow-learner")

each_implementation = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)


each_depth = pytest.mark.parametrize("hidden", [3, 5, 8])


def disagreement(
    ours: Learner, oracle: Learner, sizes: list[int], dtype: str = "float64"
) -> tuple[float, float, float]:
    """Largest norm-wise errors over STEPS steps: of e, d and y; of updates; of the parameters."""
    random = np.random.RandomState(7)
    errors = updates = 0.0
    for _ in range(STEPS):
        x = random.rand(BATCH, sizes[0]).astype(dtype)
        labels = random.randint(0, sizes[-1], BATCH)
        a, b = ours.update(x, labels), oracle.update(x, labels)
        errors = max([errors, *map(relative_error, a.e + a.d + a.y, b.e + b.d + b.y)])
        assert (len(a.gW), len(a.gE)) == (len(b.gW), len(b.gE))
        updates = max([updates, *map(relative_error, a.gW + a.gE, b.gW + b.gE)])
        # Rounding adds up over steps and layers, differently on each processor.
        assert relative_error(a.logits, b.logits) < (1e-11 if dtype == "float64" else 1e-5)
        assert abs(a.loss - b.loss) < (1e-11 if dtype == "float64" else 1e-5)
        ours.apply()
        oracle.apply()
    mine, theirs = ours.net(), oracle.net()
    pairs = zip(mine.W + mine.E + mine.b, theirs.W + theirs.E + theirs.b, strict=True)
    return errors, updates, max(relative_error(p, q) for p, q in pairs)


def compared(
    implementation: str,
    hidden: int,
    rule: Rule,
    recipe: Recipe = SGD,
    *,
    dtype: str = "float64",
    std_e: float = 1.0,
    std_b: float | None = None,
) -> tuple[float, float, float]:
    """`disagreement` from the same random start."""
    require(implementation)
    random = np.random.RandomState(hidden)
    net = Net.draw(SIZES[hidden], random, std_e=std_e, std_b=std_b, dtype=dtype)
    ours = make_learner(implementation, net, rule, recipe, dtype)
    return disagreement(ours, make_learner("numpy", net, rule, recipe), SIZES[hidden], dtype)


@pytest.mark.parametrize(
    "implementation, recipe",
    [
        pytest.param(implementation, recipe, id=f"{recipe.optimiser}-{implementation}")
        for implementation in IMPLEMENTATIONS
        for recipe in (SGD, ADAMW)
        # The TensorFlow loop takes Keras' optimisers only; torch's AdamW is none of them.
        if (implementation, recipe) != ("tensorflow-learner", ADAMW)
    ],
)
@each_depth
@pytest.mark.parametrize("std_e", [1.0, 0.1])
def test_exact_form_agrees_to_the_last_digits(implementation, hidden, std_e, recipe):
    """Catches a wrong factor, layer or transpose anywhere, at any depth, with unequal widths."""
    rule = Rule(error_form="exact", gamma=0.7)
    errors, updates, parameters = compared(implementation, hidden, rule, recipe, std_e=std_e)
    assert max(errors, updates, parameters) < 1e-11


@each_implementation
@pytest.mark.parametrize("hidden, allowed", [(3, 1e-11), (5, 1e-9), (8, 1e-6)])
def test_originals_form_agrees_as_far_as_its_cancellation_allows(implementation, hidden, allowed):
    """Catches an `original` mode that computes something else than the original programs."""
    errors, updates, parameters = compared(implementation, hidden, Rule(error_form="difference"))
    assert max(errors, updates, parameters) < allowed


@each_implementation
@each_depth
def test_exact_form_in_float32_keeps_its_digits(implementation, hidden):
    """Catches digits lost in single precision, where training really happens."""
    errors, updates, parameters = compared(implementation, hidden, Rule(), dtype="float32")
    assert errors < 1e-5 and updates < 1e-5 and parameters < 1e-4


@each_implementation
def test_originals_form_in_float32_holds_to_four_hidden_layers(implementation):
    """Catches an `original` mode that is worse than the original in single precision."""
    rule = Rule(error_form="difference")
    errors, updates, parameters = compared(implementation, 4, rule, dtype="float32")
    assert errors < 1e-3 and updates < 1e-3 and parameters < 1e-4


@each_implementation
@pytest.mark.parametrize(
    "rule",
    [
        Rule(gamma=0.0),
        Rule(reduction="sum"),
        Rule(local_loss="cauchy", beta=0.5),
        Rule(local_loss="cauchy", error_form="difference", beta=0.5),
        Rule(normalise=True),
        Rule(train_bias=True),
        Rule(train_bias=False),
    ],
    ids=["fixed_e", "sum", "cauchy", "cauchy-difference", "normalise", "bias", "constant_bias"],
)
def test_every_option_of_the_rule_means_what_the_oracle_means(implementation, rule):
    """Catches an option that is read but not obeyed, or obeyed in one place only."""
    recipe = Recipe("sgd", lr=2**-8)
    errors, updates, parameters = compared(implementation, 3, rule, recipe, std_b=0.3)
    assert max(errors, updates, parameters) < 1e-11


@each_implementation
def test_transposed_error_weights_are_the_old_programs_defect(implementation):
    """Catches (lra_e, D1) reproduced in the wrong layers: the top one is right in the originals."""
    require(implementation)
    sizes = [11, 8, 8, 8, 5]
    rule, net = Rule(transposed_e=True), Net.draw(sizes, np.random.RandomState(1))
    ours = make_learner(implementation, net, rule, SGD)
    assert max(disagreement(ours, make_learner("numpy", net, rule, SGD), sizes)) < 1e-11


@each_implementation
@each_depth
def test_backprop_agrees_with_the_oracle(implementation, hidden):
    """Catches a baseline that is not backprop, against which every result would be measured."""
    rule = Rule(kind="bp", train_bias=True)
    _, updates, parameters = compared(implementation, hidden, rule, std_b=0.3)
    assert updates < 1e-11 and parameters < 1e-11


def test_backprop_of_the_oracle_is_the_slope_of_its_loss():
    """Catches an oracle that is wrong itself: its gradient against differences of the loss."""
    from tests.oracles.lra_e_numpy import backprop_update

    random = np.random.RandomState(3)
    net = Net.draw([6, 5, 4, 3], random, std_b=0.3)
    x, labels = random.rand(7, 6), random.randint(0, 3, 7)
    update = backprop_update(net, x, labels)
    step = 1e-6
    for array, gradient in zip(net.W + net.b, update.gW + update.gb, strict=True):
        for index in np.ndindex(array.shape):
            before = array[index]
            array[index] = before + step
            up = backprop_update(net, x, labels).loss
            array[index] = before - step
            down = backprop_update(net, x, labels).loss
            array[index] = before
            assert abs((up - down) / (2 * step) - gradient[index]) < 1e-8
