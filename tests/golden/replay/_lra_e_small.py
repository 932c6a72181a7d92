"""Small LRA-E traces: float64, every number of every step."""

import re

import numpy as np

from tests.golden.replay._lra_e_tolerances import FLOAT64, Drift, cancelled, size_of
from tests.golden.trace import Trace
from tests.oracles.lra_e_learners import make_learner
from tests.oracles.lra_e_numpy import Array, Net, Update
from tests.oracles.lra_e_settings import Recipe, Rule

LAYOUT_W = {"torch": "(out,in)", "tfnew": "(in,out)", "tfold": "(in,out)"}
LAYOUT_E = {"torch": "(in,out)", "tfnew": "(out,in)", "tfold": ""}
OPTIMIZER = {"torch": "adamw", "tfnew": "keras AdamW newly built", "tfold": "gradient descent"}


def replay(trace: Trace, family: str, implementation: str, error_form: str) -> None:
    """Load the recorded start, take every step on the recorded batch, compare everything."""
    layouts = Layouts(trace, family)
    sizes = trace.integers("layer_sizes")
    layers = len(sizes) - 1
    recipe = read_recipe(trace, family)
    rule = read_rule(trace, family, error_form)
    start = layouts.read_net(trace, layers)
    learner = make_learner(implementation, start, rule, recipe)
    x, labels = trace["x"], trace["labels"]
    drift = Drift(recipe)
    for k in range(1, trace.integer("n_steps") + 1):
        update = learner.update(x[k - 1], labels[k - 1])
        compare_update(trace, f"step{k}_", update, layouts, drift)
        learner.apply()
        compare_parameters(trace, f"step{k}_", learner.net(), layouts, drift)
    if "bp_E_grad_is_None" in trace:
        trace.compare("bp_E_grad_is_None", np.full(layers - 1, not update.gE), 0)


class Layouts:
    """How the file's program stores W and E; canonical are W (in,out) and E (out,in)."""

    def __init__(self, trace: Trace, family: str):
        sizes = trace.integers("layer_sizes")
        self.layers = len(sizes) - 1
        self.transposed_w = trace.text("layout_W", LAYOUT_W[family]) == "(out,in)"
        text = trace.text("layout_E", LAYOUT_E[family])
        if not text:  # the old programs: only the top layer's E is (out,in)
            text = f"(in,out) ; E{self.layers} (out,in)"
        # "E2,E3 (in,out): d = e @ E.T ; E4 (out,in): d = e @ E"; without names it holds for all.
        self.transposed_e = dict.fromkeys(range(2, self.layers + 1), False)
        for part in text.split(";"):
            names = [int(number) for number in re.findall(r"E(\d+)", part.split("(")[0])]
            for layer in names or self.transposed_e:
                self.transposed_e[layer] = "(in,out)" in part

    def w(self, array: Array) -> Array:
        return array.T if self.transposed_w else array

    def e(self, layer: int, array: Array) -> Array:
        return array.T if self.transposed_e[layer] else array

    def read_net(self, trace: Trace, layers: int) -> Net:
        """The recorded start in canonical layouts."""
        W = [self.w(trace[f"W{i}_init"]) for i in range(1, layers + 1)]
        E = [self.e(i, trace[f"E{i}_init"]) for i in range(2, layers + 1)]
        biases = [i for i in range(1, layers + 1) if f"b{i}_init" in trace]
        return Net(W, E, [trace[f"b{i}_init"].reshape(-1) for i in biases])


def read_recipe(trace: Trace, family: str) -> Recipe:
    """The optimiser with the numbers that the file states."""
    text = trace.text("optimizer", OPTIMIZER[family]).lower()
    lr = trace.number("lr")
    if "lr_used_float32" in trace:
        trace.compare("lr_used_float32", np.float32(lr), 0)
    if "sgd" in text or "gradient descent" in text:
        return Recipe("sgd", lr, float32_lr=family != "torch")
    assert "adamw" in text, f"{trace!r}: no optimiser is called {text!r}"
    keras = "keras" in text
    return Recipe(
        "keras_adamw" if keras else "torch_adamw",
        lr,
        beta1=trace.number("adam_beta1", 0.9),
        beta2=trace.number("adam_beta2", 0.999),
        eps=trace.number("adam_eps", 1e-7 if keras else 1e-8),
        weight_decay=trace.number("weight_decay", 0.004 if keras else 0.01),
        rebuilt="newly built" in text,
    )


def read_rule(trace: Trace, family: str, error_form: str) -> Rule:
    """The rule with its constants, and the program's own defects (lra_e, D1, D4)."""
    batch = trace.shape("x")[1]
    divisor = trace.integer("batch_divisor", 1 if family == "tfold" else batch)
    assert divisor in (1, batch), f"{trace!r}: batch_divisor {divisor} is neither 1 nor {batch}"
    gamma = trace.number("gamma_arg", 1.0)
    return Rule(
        kind="lra_e" if "step1_e1" in trace else "bp",
        beta=trace.number("beta"),
        gamma=1.0 if family == "torch" else gamma,
        reduction="mean" if divisor == batch else "sum",
        error_form=error_form,
        transposed_e=family == "tfold",
    )


def compare_update(trace: Trace, step: str, update: Update, layouts: Layouts, drift: Drift) -> None:
    """What is known before the parameters change."""
    # A sum over a layer's inputs collects what every weight has moved.
    base = FLOAT64 + 10 * drift.worst
    trace.compare(f"{step}logits", update.logits, base)
    trace.compare(f"{step}loss", update.loss, base)
    lost = cancelled(update, "float64")

    def check(key: str, ours: Array, layer: int) -> None:
        trace.compare(f"{step}{key}", ours, base + lost[layer], scale=size_of(ours))

    for layer, error in enumerate(update.e, start=1):
        check(f"e{layer}", error, layer)
    for layer, (displacement, target) in enumerate(zip(update.d, update.y, strict=True), start=1):
        check(f"d{layer}", displacement, layer + 1)
        trace.compare(f"{step}y{layer}", target, base)
    gradients = {}
    for layer, gradient in enumerate(update.gW, start=1):
        check(f"gW{layer}", layouts.w(gradient), layer)
        gradients[f"W{layer}"] = gradient, 1e-14 + lost[layer]
    for layer, gradient in enumerate(update.gE, start=2):
        check(f"gE{layer}", layouts.e(layer, gradient), layer)
        gradients[f"E{layer}"] = gradient, 1e-14 + lost[layer]
    drift.step(gradients)


def compare_parameters(trace: Trace, step: str, net: Net, layouts: Layouts, drift: Drift) -> None:
    """What the optimiser made of it."""
    base = FLOAT64 + 10 * drift.worst  # the bound counts each step's own rounding only
    for layer, w in enumerate(net.W, start=1):
        trace.compare(f"{step}W{layer}", layouts.w(w), base)
    for layer, e in enumerate(net.E, start=2):
        trace.compare(f"{step}E{layer}", layouts.e(layer, e), base)
    for layer, b in enumerate(net.b, start=1):
        trace.compare(f"{step}b{layer}", b.reshape(trace.shape(f"{step}b{layer}")), 0)
