"""Small nets of sigmoid units: some steps of training, everything recorded, by our own learners."""

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from burstprop import networks
from burstprop.inspection.angles import weight_angles
from burstprop.learner import BackpropLearner, BurstLearner, PerturbationLearner, target
from burstprop.networks import BurstNetwork, LayerResult
from burstprop.perturbation.original import OriginalPerturbation
from burstprop.perturbation.rule import clean_pass
from burstprop.update import BurstUpdate
from tests.golden.trace import Trace

TOLERANCES = {"torch.float64": (1e-8, 1e-6), "torch.float32": (2e-3, 0.5)}  # relative, degrees
SMALL = 1e-5  # deltas are differences of numbers near 0.1, exact to 1e-16: smaller ones count so
MODES = {"all": "all", "seqlayers": "layers", "sequnits": "units"}
HELD = {True: "learned", False: "fixed"}


def build(trace: Trace, **how: Any) -> BurstNetwork:
    """The net of `meta.spec`, with the initial parameters of the trace."""
    trace.text("meta.variant")
    spec = ast.literal_eval(trace.text("meta.spec"))
    convolutions = [] if isinstance(spec, list) else spec["conv"]
    sizes = spec
    if not isinstance(spec, list):
        assert trace.shape("data.x")[-1] == spec["size"]
        first = trace.shape(f"init.L{len(convolutions)}.weight")[1]
        sizes = [first, *spec["fc"]]
    net = networks.stack(convolutions, sizes, **how)
    net = net.to(getattr(torch, trace.text("meta.dtype").removeprefix("torch.")))
    with torch.no_grad():
        for i, layer in enumerate(net.layers):
            for name, tensor in layer.state_dict(keep_vars=True).items():
                tensor.copy_(torch.from_numpy(trace[f"init.L{i}.{name}"]))
    return net


def compare(trace: Trace, key: str, ours: Any, tolerance: float) -> None:
    """`Trace.compare`; arrays that are smaller than SMALL all over count as that large."""
    recorded = trace[key]
    size = float(np.abs(recorded).max(initial=0.0))
    ours = ours.detach().numpy() if isinstance(ours, Tensor) else ours
    trace.compare(key, ours, tolerance, scale=SMALL if size < SMALL else None)


def tolerances(trace: Trace) -> tuple[float, float]:
    return TOLERANCES[trace.text("meta.dtype")]


def batches(trace: Trace) -> Iterator[tuple[Tensor, Tensor]]:
    """Images, flat where the net begins with a fully connected layer, and labels."""
    flat = len(trace.shape("init.L0.weight")) == 2
    for x, y in zip(trace["data.x"], trace["data.y"], strict=True):
        images = torch.from_numpy(x)
        yield (images.flatten(1) if flat else images), torch.from_numpy(y).long()


def compare_parameters(trace: Trace, when: str, learner: Any, tolerance: float) -> None:
    learner.state()  # brings the first layer's Y up to date
    for i, layer in enumerate(learner.net.layers):
        for name, tensor in layer.state_dict().items():
            compare(trace, f"{when}.L{i}.{name}", tensor, tolerance)


def compare_momenta(trace: Trace, update: BurstUpdate, net: BurstNetwork, tolerance: float) -> None:
    held = update.state()
    for i, (name, layer) in enumerate(zip(net.names, net.layers, strict=True)):
        V = held[f"opt.{name}.weight"]
        compare(trace, f"final.L{i}.momentum_weight", V, tolerance)
        compare(trace, f"final.L{i}.momentum_bias", held[f"opt.{name}.bias"], tolerance)
        if layer.learns_feedback:
            compare(trace, f"final.L{i}.momentum_weight_fa", V, tolerance)
        elif (key := f"final.L{i}.momentum_weight_fa") in trace:
            assert not trace[key].any()


def run(trace: Trace, learner: Any, before: Any = lambda step: None) -> None:
    """Train on every batch, comparing outputs, losses and parameters; `before` each step."""
    relative, _ = tolerances(trace)
    outputs, losses = [], []
    for step, (images, labels) in enumerate(batches(trace)):
        with torch.no_grad():
            outputs.append(learner.net(images))
        before(step)
        loss, correct = learner.train_step(images, labels)
        losses.append(loss)
        assert int(correct) == int((outputs[-1].argmax(1) == labels).sum())
        if step == 0:
            compare_parameters(trace, "after1", learner, relative)
    compare(trace, "steps.output", torch.stack(outputs), relative)
    compare(trace, "steps.loss", torch.stack(losses), relative)
    compare_parameters(trace, "final", learner, relative)


def replay_burstprop(trace: Trace) -> None:
    """Burstprop."""
    relative, degrees = tolerances(trace)
    recurrent = trace["hp.recurrent_input"]
    for hyper in ("hp.weight_fa_std", "hp.weight_r_range"):  # how `init` was drawn
        trace.number(hyper)
    r_learning = bool(trace["hp.weight_r_learning"])
    net = build(
        trace,
        p_baseline=trace.number("hp.p_baseline"),
        feedback=HELD[bool(trace["hp.weight_fa_learning"])],
        recurrent=HELD[r_learning] if recurrent else None,
    )
    update = BurstUpdate(
        net,
        trace["hp.lr"].tolist(),
        momentum=trace.number("hp.momentum"),
        weight_decay=trace.number("hp.weight_decay"),
        recurrent_lr=trace.number("hp.recurrent_lr"),
    )
    learner = BurstLearner(net, update)
    first = next(batches(trace))
    result = net.two_phase_pass(first[0], target(net, *first), reference=True)
    for i, layer_result in enumerate(result.layers):
        compare_step(trace, i, net, layer_result, relative)
    of_weights, of_deltas = [], []

    def before(step: int) -> None:
        if step:
            of_deltas.append(learner.delta_angles.clone())
        of_weights.append(weight_angles(net))
        learner.watch = True

    run(trace, learner, before)
    of_deltas.append(learner.delta_angles)
    for key, ours in (("weight", of_weights), ("delta", of_deltas)):
        key = f"steps.{key}_angles_deg"
        trace.compare_each(key, torch.stack(ours).numpy().reshape(trace.shape(key)), degrees)
    compare_momenta(trace, update, net, relative)


def compare_step(
    trace: Trace, i: int, net: BurstNetwork, layer_result: LayerResult, relative: float
) -> None:
    """Every quantity of layer i in the first step."""
    layer, key = net.layers[i], f"step1.L{i}"
    sent, delta_bp, u, b_pre = (
        layer_result.sent,
        layer_result.delta_bp,
        layer_result.u,
        layer_result.b_pre,
    )
    assert sent is not None and delta_bp is not None
    G, G_bias = layer.gradients(layer_result.delta, layer_result.x)
    ours = {
        "e": layer_result.e,
        "b": sent[0],
        "b_t": sent[1],
        "p": sent[0] / layer_result.e,
        "p_t": sent[1] / layer_result.e,
        "delta": layer_result.delta,
        "delta_bp": delta_bp,
        "grad_weight": G,
        "grad_bias": G_bias,
    }
    if layer.learns_feedback:
        ours["grad_weight_fa"] = G
    if u is not None and b_pre is not None:
        ours |= {"u": u, "b_pre": b_pre, "grad_weight_r": -u.t() @ b_pre}
    if i:
        Y, shape = layer.weight_fa, layer_result.x.shape[1:]
        assert Y is not None
        ours["sent_feedback"], ours["sent_feedback_t"] = (
            layer.transport(phase, Y, shape) for phase in sent
        )
        ours["sent_feedback_bp"] = layer.transport(delta_bp, layer.weight, shape)
    for name, value in ours.items():
        if f"{key}.{name}" in trace:
            recorded = trace.shape(f"{key}.{name}")
            compare(trace, f"{key}.{name}", value.reshape(recorded), relative)
    for name in ("delta", "e", "grad_weight", "grad_bias"):
        assert f"{key}.{name}" in trace, f"the trace says nothing of {key}.{name}"


def replay_backprop(trace: Trace) -> None:
    """Backprop, by autograd."""
    relative, _ = tolerances(trace)
    net = build(trace, feedback=None)
    lr, momentum = trace.number("hp.output_lr"), trace.number("hp.momentum")
    learner = BackpropLearner(net, lr, momentum, trace.number("hp.weight_decay"))
    run(trace, learner)
    net = build(trace, feedback=None)
    learner = BackpropLearner(net, lr)
    learner.train_step(*next(batches(trace)))
    for i, layer in enumerate(net.layers):
        for name, tensor in layer.named_parameters():
            assert tensor.grad is not None
            compare(trace, f"step1.L{i}.grad_{name}", tensor.grad, relative)


class Recorded:
    """The noise of a trace, call by call, and which layer asked for it."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.calls = sorted(k for k in trace if k.startswith("noise.call") and k[10:].isdigit())
        self.used = 0
        self.layers: list[int] = []
        self.place: Any = None

    def __call__(self, shape: Any, like: Tensor) -> Tensor:
        noise = torch.from_numpy(self.trace[self.calls[self.used]])
        assert noise.shape == tuple(shape), f"call {self.used}: {noise.shape}, ours {shape}"
        self.layers.append(self.place())
        self.used += 1
        return noise


def replay_perturbation(trace: Trace) -> None:
    """Node perturbation in the original's form."""
    relative, _ = tolerances(trace)
    net = build(trace, feedback=None)
    update = BurstUpdate(
        net,
        trace["hp.lr"].tolist(),
        momentum=trace.number("hp.momentum"),
        weight_decay=trace.number("hp.weight_decay"),
    )
    trace.number("hp.xi_mean")
    draw = Recorded(trace)
    mode = MODES[trace.stem.split("_np_")[1].split("_")[0]]
    original = OriginalPerturbation(net, mode, draw, trace.number("hp.xi_std"))
    if mode == "units":
        draw.place = lambda: original.walk.place[0]
    else:
        draw.place = lambda: draw.used % len(net.names)
    if mode == "all":
        compare_all_at_once(trace, net, original, relative)
        draw.used, draw.layers = 0, []
    learner = PerturbationLearner(net, update, original)
    errors, calls = [], []
    passes = original._passes

    def watched(*given: Any) -> Iterator:
        for layers in passes(*given):
            assert original.errors is not None
            errors.append(torch.stack(original.errors))
            yield layers

    original._passes = watched  # type: ignore[assignment, method-assign]

    def before(step: int) -> None:
        calls.append(draw.used)

    run(trace, learner, before)
    assert draw.used == len(draw.calls)
    calls.append(draw.used)
    per_step = [b - a for a, b in zip(calls[:-1], calls[1:], strict=True)]
    compare(trace, "noise.calls_per_step", per_step, 0)
    compare(trace, "noise.layer_of_call", draw.layers, 0)
    compare(trace, "E.clean_and_perturbed", torch.stack(errors), relative)
    compare_momenta(trace, update, net, relative)


def compare_all_at_once(
    trace: Trace, net: BurstNetwork, original: OriginalPerturbation, relative: float
) -> None:
    """The quantities of the first step, mode A."""
    images, labels = next(batches(trace))
    clean = clean_pass(net, images)
    noise = [torch.from_numpy(trace[f"step1.L{i}.xi"]) for i in range(len(net.names))]
    target = torch.eye(clean.rates[-1].shape[1], dtype=images.dtype)[labels]
    _, updates = original.updates(images, target)
    (layers,) = updates
    for i, (layer, each) in enumerate(zip(net.layers, layers, strict=True)):
        assert each is not None
        G, G_bias = layer.gradients(each.delta, each.x)
        y = clean.potentials[i]
        ours = {
            "y": y,
            "e": each.e,
            "e_perturb": torch.sigmoid(y + noise[i]),
            "delta": each.delta,
            "grad_weight": G,
            "grad_bias": G_bias,
        }
        for name, value in ours.items():
            compare(trace, f"step1.L{i}.{name}", value, relative)
