"""Nets of MNIST and CIFAR-10 at their published sizes: weights by formula, one step, statistics."""

import re
from typing import Any

import numpy as np
import torch

from burstprop import networks
from burstprop.inspection.angles import weight_angles
from burstprop.learner import BurstLearner, target
from burstprop.networks import BurstNetwork
from burstprop.update import BurstUpdate
from tests.golden.trace import Trace

TAG = r"(MNISTNet|MNISTConvNet|CIFAR10ConvNet)(?:_h(\d+))?_rec([01])_falearn([01])$"
RELATIVE, DEGREES = 1e-9, 1e-6


def replay_full_size(trace: Trace) -> None:
    """Every tag but those of ImageNet."""
    for tag in dict.fromkeys(key.partition(".")[0] for key in trace):
        if (match := re.match(TAG, tag)) is not None:
            family, hidden, recurrent, learned = match.groups()
            how: dict[str, Any] = {
                "feedback": "learned" if learned == "1" else "fixed",
                "recurrent": "learned" if recurrent == "1" else None,
            }
            if family == "MNISTNet":
                net = networks.make_network("mnist", hidden=int(hidden), **how)
            elif family == "MNISTConvNet":
                net = networks.make_network("mnist_conv", **how)
            else:
                net = networks.make_network("cifar10_wide" if learned == "0" else "cifar10", **how)
            replay_tag(trace, tag, net.double(), mnist=family.startswith("MNIST"))


def replay_tag(trace: Trace, tag: str, net: BurstNetwork, mnist: bool) -> None:
    """One step of one net, everything drawn as recorded (burstprop, 11)."""
    draw = np.random.RandomState(trace.integer("meta.seed"))
    fill(net, draw, gain=1.0 if mnist else 3.6)
    shape, batch = ((1, 28, 28), 4) if mnist else ((3, 32, 32), 2)
    images = torch.from_numpy(draw.randn(batch, *shape))
    labels = draw.randint(0, 10, batch)
    trace.compare(f"{tag}.labels", labels, 0)
    update = BurstUpdate(
        net,
        trace[f"{tag}.hp.lr"].tolist(),
        momentum=trace.number(f"{tag}.hp.momentum"),
        weight_decay=trace.number(f"{tag}.hp.weight_decay"),
        recurrent_lr=trace.number(f"{tag}.hp.recurrent_lr"),
    )
    learner = BurstLearner(net, update)
    y = torch.from_numpy(labels).long()
    trace.compare_each(f"{tag}.weight_angles_deg", weight_angles(net).numpy(), DEGREES)
    result = net.two_phase_pass(images, target(net, images, y))
    trace.compare(f"{tag}.output_step1", result.output.numpy(), RELATIVE)
    for i, (layer, layer_result) in enumerate(zip(net.layers, result.layers, strict=True)):
        G, G_bias = layer.gradients(layer_result.delta, layer_result.x)
        ours = {"grad_weight": G, "grad_bias": G_bias}
        if layer.learns_feedback:
            ours["grad_weight_fa"] = G
        if layer_result.u is not None and layer_result.b_pre is not None:
            ours["grad_weight_r"] = -layer_result.u.t() @ layer_result.b_pre
        for name, value in ours.items():
            compare_statistics(trace, f"{tag}.L{i}.stats_{name}", value)
    learner.watch = True
    loss, _ = learner.train_step(images, y)
    trace.compare(f"{tag}.loss_step1", loss.numpy(), RELATIVE)
    trace.compare_each(f"{tag}.delta_angles_deg", learner.delta_angles.numpy(), DEGREES)
    for i, layer in enumerate(net.layers):
        for name, tensor in layer.state_dict().items():
            compare_statistics(trace, f"{tag}.L{i}.stats_{name}_after1", tensor)
    with torch.no_grad():
        trace.compare(f"{tag}.output_step2", net(images).numpy(), RELATIVE)


def fill(net: BurstNetwork, draw: np.random.RandomState, gain: float) -> None:
    """Per layer W, bias, Y, Z."""
    for layer in net.layers:
        shape = tuple(layer.weight.shape)
        fans = (shape[0] + shape[1]) * int(np.prod(shape[2:]))
        drawn = {
            "weight": draw.randn(*shape) * gain * np.sqrt(2 / fans),
            "bias": draw.randn(shape[0]) * 0.1,
            "weight_fa": draw.randn(*shape),
        }
        if layer.weight_r is not None:
            drawn["weight_r"] = draw.uniform(-0.01, 0.01, (shape[0], shape[0]))
        layer.load_state_dict({name: torch.from_numpy(value) for name, value in drawn.items()})


def compare_statistics(trace: Trace, key: str, tensor: torch.Tensor) -> None:
    """Each number within rounding of the largest entry."""
    trace.compare_each(key, statistics(tensor.numpy()), RELATIVE * np.abs(trace[key][2]))


def statistics(array: np.ndarray) -> list[float]:
    """[mean, standard deviation, norm, largest size, first 8, last 4]."""
    flat = array.ravel()
    first = np.zeros(8)
    first[: min(8, flat.size)] = flat[:8]
    about = [flat.mean(), flat.std(), np.linalg.norm(flat), np.abs(flat).max()]
    return [*about, *first, *flat[-4:]]
