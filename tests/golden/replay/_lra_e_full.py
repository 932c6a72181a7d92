"""Full-size LRA-E traces: float32, weights drawn from a seed, five statistics of every array."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tests.golden.replay._lra_e_tolerances import (
    FLOAT32,
    FLOAT32_PARAMETERS,
    Drift,
    cancelled,
    rms,
)
from tests.golden.trace import Trace
from tests.oracles.lra_e_learners import make_learner
from tests.oracles.lra_e_numpy import Array, Net
from tests.oracles.lra_e_settings import Recipe, Rule

# The programs' constants (lra_e, 3); a file that states a number is believed instead.
RECIPES = {
    "torch": Recipe("torch_adamw", 0.001, eps=1e-8, weight_decay=0.01),
    "tfnew": Recipe("keras_adamw", 0.001, eps=1e-7, weight_decay=0.004, rebuilt=True),
    "tfold": Recipe("sgd", 0.001, float32_lr=True),
}


def replay(trace: Trace, family: str, implementation: str, error_form: str) -> None:
    """Five steps (or as many as there are) on the one recorded batch, statistics compared."""
    net = draw_net(trace)
    recipe = read_recipe(trace, family)
    gamma = trace.number("gamma_arg", 1.0)
    rule = Rule(
        beta=trace.number("beta", 0.1),
        gamma=1.0 if family == "torch" else gamma,
        reduction="sum" if family == "tfold" else "mean",
        error_form=error_form,
        transposed_e=family == "tfold",
    )
    learner = make_learner(implementation, net, rule, recipe, "float32")
    assert "mean,std(population),L2,first,last" in trace.text("stats_meaning")
    x = trace["images_uint8"].astype("float32") / np.float32(255)
    labels = trace["labels"]
    drift = Drift(recipe)
    for k in range(1, trace.integer("n_steps") + 1):
        # Bounds of single entries; what a layer computes from hundreds of them averages out.
        moved = 0.2 * drift.relative(learner.net())
        base = FLOAT32 + moved
        update = learner.update(x, labels)
        trace.compare(f"step{k}_logits", update.logits, base)
        trace.compare(f"step{k}_loss", update.loss, base)
        lost = cancelled(update, "float32")
        groups = (
            ("e", 1, update.e, 0),
            ("d", 1, update.d, 1),  # as precise as the e of the layer above
            ("gW", 1, update.gW, 0),
            ("gE", 2, update.gE, 0),
        )
        gradients = {}
        for name, first, arrays, above in groups:
            for layer, array in enumerate(arrays, start=first):
                error = base + lost[layer + above]
                allowed = np.full(array.shape, error * rms(array))
                compare_statistics(trace, f"step{k}_{name}{layer}_stats", array, allowed)
                if name[0] == "g":
                    gradients[f"{name[1]}{layer}"] = array, 2e-6 + lost[layer] + moved
        drift.step(gradients)
        learner.apply()
        after = learner.net()
        for name, first, arrays in (("W", 1, after.W), ("E", 2, after.E)):
            for layer, array in enumerate(arrays, start=first):
                allowed = FLOAT32_PARAMETERS * rms(array) + drift.of(f"{name}{layer}", array)
                compare_statistics(trace, f"step{k}_{name}{layer}_stats", array, allowed)
    for key, arrays in (("n_params_W", net.W), ("n_params_E", net.E)):
        if key in trace:
            trace.compare(key, np.array(sum(array.size for array in arrays)), 0)


def draw_net(trace: Trace) -> Net:
    """First weights, float32 in canonical layouts: those stored in the file, else its seed's."""
    sizes = trace.integers("layer_sizes")
    random = np.random.RandomState(trace.integer("weight_seed"))
    std_w, std_e = trace.number("std_W"), trace.number("std_E")
    net = Net.draw(sizes, random, std_w=std_w, std_e=std_e, dtype="float32")
    for name, first, arrays in (("W", 1, net.W), ("E", 2, net.E)):
        for layer, array in enumerate(arrays, start=first):
            if f"{name}{layer}_init" in trace:
                array[...] = trace[f"{name}{layer}_init"]
    return net


def read_recipe(trace: Trace, family: str) -> Recipe:
    """The family's recipe with whatever numbers the file states."""
    stated = {"lr": "lr", "weight_decay": "weight_decay", "eps": "adam_eps"}
    stated |= {"beta1": "adam_beta1", "beta2": "adam_beta2"}
    numbers: dict[str, Any]
    numbers = {ours: trace.number(key) for ours, key in stated.items() if key in trace}
    return replace(RECIPES[family], **numbers)


class Statistics(NamedTuple):
    """In the recorded order."""

    mean: float
    std: float
    norm: float
    first: float
    last: float


def statistics(array: Array) -> Statistics:
    values = array.astype("float64").ravel()
    norm = float(np.linalg.norm(values))
    return Statistics(
        float(values.mean()), float(values.std()), norm, float(values[0]), float(values[-1])
    )


def compare_statistics(trace: Trace, key: str, ours: Array, allowed: Array) -> None:
    """`allowed`: how far each entry may be off, absolutely; what that means for each statistic."""
    spread = rms(allowed)
    limits = (float(allowed.mean()), spread, float(np.linalg.norm(allowed)))
    # Errors of single entries are spread around the mean square: leave them room.
    ends = (5 * float(allowed.flat[0]), 5 * float(allowed.flat[-1]))
    trace.compare_each(key, np.array(statistics(ours)), np.array(limits + ends))
