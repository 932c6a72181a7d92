"""Replays burstprop's ImageNet traces (burstprop, 11) by its ImageNet learner.

imagenet_burst_*        small nets, a few steps, everything recorded
ImageNetConvNet_<tag>.  of fullsize_checksums: the published net, weights by formula, statistics

What was recorded in float64 is replayed in both forms of the rule: on paper they are one. What was
recorded in float32 is noise in the low layers (burstprop, D11); it is computed as the original
does, held to rounding where it is more than noise, and elsewhere to its size.
"""

import ast
from typing import Any

import numpy as np

from tests.golden.trace import Trace

ORIGINAL = 1e-8  # of the largest entry, in the form that the original computes
EXACT = 1e-7  # in the other one, which shows what the recorded differences have lost
SINGLE = 5e-2
LOST = (3e-5, 3e-6, 1e-7)  # what float64 leaves of the published net's lowest layers' differences
TAG = "ImageNetConvNet_"


def replay_steps(trace: Trace) -> None:
    """A file imagenet_burst_*."""
    kind = trace.text("meta.dtype")
    if kind.endswith("float32"):
        _replay(trace, exact=False, tolerance=SINGLE)
    else:
        _replay(trace, exact=False, tolerance=ORIGINAL)
        _replay(trace, exact=True, tolerance=EXACT)


def _replay(trace: Trace, exact: bool, tolerance: float) -> None:
    import torch

    from burstprop.imagenet.learner import Learner, adam, sgd
    from burstprop.inspection.angles import weight_angles
    from burstprop.layers import BurstConv2d

    dtype = getattr(torch, trace.text("meta.dtype").removeprefix("torch."))
    net = _small(trace, exact).to(dtype)
    _load(trace, net)
    rates = [float(rate) for rate in trace["hp.lr"]]
    make = sgd(trace.number("hp.momentum"), trace.number("hp.weight_decay"))
    learner = Learner(net, rates, adam() if "adam" in trace.text("meta.variant") else make)
    seen: dict[str, list[Any]] = {"output": [], "loss": [], "angles": []}
    counted = [not isinstance(layer, BurstConv2d) for layer in net.layers[:-1]]
    for step, (x, y) in enumerate(zip(trace["data.x"], trace["data.y"], strict=True)):
        images, labels = torch.from_numpy(x).to(dtype), torch.from_numpy(y)
        # The original lists its convolutions and its output.
        angles = weight_angles(net, first=0).tolist()
        seen["angles"].append(
            [a for a, fc in zip(angles, [*counted, False], strict=True) if not fc]
        )
        logits = net(images).detach()
        if step == 0:
            _compare_update(trace, learner, images, labels, tolerance)
        loss, *_ = learner.train_step(images, labels)
        seen["output"].append(logits.numpy())
        seen["loss"].append(float(loss))
        if step == 0:
            _compare_parameters(trace, "after1", net, tolerance)
    _compare_parameters(trace, "final", net, tolerance)
    trace.compare("steps.output", np.stack(seen["output"]), tolerance)
    trace.compare("steps.loss", seen["loss"], tolerance)
    trace.compare("steps.weight_angles_deg", seen["angles"], tolerance)


def _small(trace: Trace, exact: bool) -> Any:
    import torch

    from burstprop.imagenet.networks import draw, rectified

    spec = ast.literal_eval(trace.text("meta.spec"))
    linear = [i for i in range(len(trace["hp.lr"])) if trace[f"init.L{i}.weight"].ndim == 2]
    sizes = [trace.shape(f"init.L{linear[0]}.weight")[1]]
    sizes += [trace.shape(f"init.L{i}.weight")[0] for i in linear]
    assert sizes[-1] == spec["classes"]
    learned = bool(trace["hp.weight_fa_learning"])
    torch.manual_seed(0)
    net = rectified(
        spec["conv"],
        sizes,
        feedback="learned" if learned else "fixed",
        p_baseline=trace.number("hp.p_baseline"),
        kappa=trace.number("hp.kappa"),
        exact=exact,
    )
    draw(net, trace.number("hp.weight_fa_std"))
    return net


def _load(trace: Trace, net: Any) -> None:
    import torch

    for key in [k for k in trace if k.startswith("init.")]:
        _, index, name = key.split(".")
        tensor = getattr(net.layers[int(index[1:])], name)
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(trace[key]))


def _compare_update(trace: Trace, learner: Any, images: Any, labels: Any, tolerance: float) -> None:
    _, gradients = learner.gradients(images, labels)
    net = learner.net
    for i, (name, layer_result) in enumerate(
        zip(net.names, net.two_phase_pass(images, labels).layers, strict=True)
    ):
        prefix = f"step1.L{i}."
        recorded = {key.removeprefix(prefix) for key in trace if key.startswith(prefix)}
        learns = bool(trace["hp.weight_fa_learning"])
        assert ("grad_weight_fa" in recorded) == learns
        tensors = {
            "grad_weight": gradients[f"{name}.weight"],
            "grad_bias": gradients[f"{name}.bias"],
        }
        tensors |= {
            "grad_weight_fa": tensors["grad_weight"],
            "e": layer_result.e,
            "delta": layer_result.delta,
        }
        for what in recorded:
            trace.compare(prefix + what, tensors[what].numpy(), tolerance)


def _compare_parameters(trace: Trace, when: str, net: Any, tolerance: float) -> None:
    for i, layer in enumerate(net.layers):
        for name in ("weight", "bias", "weight_fa"):
            ours = getattr(layer, name).detach().numpy()
            trace.compare(f"{when}.L{i}.{name}", ours, tolerance)


def replay_full_size(trace: Trace) -> None:
    """The tags ImageNetConvNet_* of fullsize_checksums; reads their keys and meta.seed alone."""
    for tag in sorted({key.split(".")[0] for key in trace if key.startswith(TAG)}):
        _replay_tag(trace, tag, single=tag.endswith("f32"))


def _replay_tag(trace: Trace, tag: str, single: bool) -> None:
    import torch

    from burstprop.imagenet.learner import Learner, sgd
    from burstprop.inspection.angles import weight_angles

    dtype = torch.float32 if single else torch.float64
    net, images, labels = full_size(trace.integer("meta.seed"), "falearn1" in tag, exact=False)
    trace.compare(f"{tag}.labels", labels.numpy(), 0)
    learner = Learner(net.to(dtype), [0.01] * len(net.names), sgd())
    images = images.to(dtype)
    outputs, gradients = learner.gradients(images, labels)
    angles = weight_angles(net, first=0).numpy()
    trace.compare(f"{tag}.weight_angles_deg", angles, 1e-5 if single else 1e-12)
    loss, *_ = learner.train_step(images, labels)
    trace.compare(f"{tag}.loss_step1", float(loss), 1e-5 if single else 1e-12)
    _compare_statistics(trace, f"{tag}.stats_output_step1", outputs, 1e-4 if single else 1e-9)
    for i, (name, layer) in enumerate(zip(net.names, net.layers, strict=True)):
        for what in ("weight", "bias", "weight_fa"):
            after = getattr(layer, what).detach()
            key = f"{tag}.L{i}.stats_{what}_after1"
            _compare_statistics(trace, key, after, 1e-5 if single else 1e-12)
            key = f"{tag}.L{i}.stats_grad_{what}"
            if key not in trace:
                continue
            gradient = gradients[f"{name}.{'bias' if what == 'bias' else 'weight'}"]
            if single and i < len(net.names) - 3:
                size, recorded = float(gradient.norm()), float(trace[key][2])
                assert recorded / 3 < size < 3 * recorded, f"{key}: norm {recorded}, ours {size}"
            else:
                double = LOST[i] if i < len(LOST) else ORIGINAL
                _compare_statistics(trace, key, gradient, SINGLE if single else double)


def full_size(seed: int, learned: bool, exact: bool) -> tuple[Any, Any, Any]:
    """Network in float64, images (2, 3, 224, 224), labels (2,), drawn as told (burstprop, 11)."""
    import torch

    from burstprop.imagenet.networks import make_network
    from burstprop.layers import BurstConv2d

    r = np.random.RandomState(seed)
    net = make_network(feedback="learned" if learned else "fixed", exact=exact).double()
    with torch.no_grad():
        for layer in net.layers:
            shape = tuple(layer.weight.shape)
            std = 0.01
            if isinstance(layer, BurstConv2d):
                std = np.sqrt(2 / (shape[0] * shape[2] * shape[3]))
            layer.weight.copy_(torch.from_numpy(r.randn(*shape) * std))
            layer.bias.copy_(torch.from_numpy(r.randn(shape[0]) * 0.01))
            assert layer.weight_fa is not None
            layer.weight_fa.copy_(torch.from_numpy(r.randn(*shape) * 0.01))
    images = torch.from_numpy(r.randn(2, 3, 224, 224))
    return net, images, torch.from_numpy(r.randint(0, 1000, 2))


def statistics(tensor: Any) -> np.ndarray:
    """Mean, standard deviation, norm, largest, the first 8 entries (zeros if fewer), the last 4."""
    flat = tensor.double().contiguous().flatten().numpy()
    head = np.zeros(8)
    head[: min(8, flat.size)] = flat[:8]
    return np.array(
        [flat.mean(), flat.std(), np.linalg.norm(flat), np.abs(flat).max(), *head, *flat[-4:]]
    )


def _compare_statistics(trace: Trace, key: str, tensor: Any, tolerance: float) -> None:
    ours, recorded = statistics(tensor), trace[key]
    scale = np.full(len(ours), recorded[3])  # entries against the largest
    scale[2] = recorded[2]
    trace.compare_each(key, ours, tolerance * scale)
