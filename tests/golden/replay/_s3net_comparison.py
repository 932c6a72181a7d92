"""The comparison models of Tiny ImageNet by their statistics, and RandWire's graphs."""

import re
from typing import Any

import numpy as np

from tests.golden.replay._s3net_networks import (
    EXACT,
    NamedStatistics,
    fill,
    replay_parameters,
    statistics,
)
from tests.golden.trace import Trace

EDGES = re.compile(r"randwire_edges_(\d+)$")
NAMES = {
    "mobilenetv2": "mobilenet_v2",
    "efficientnetb0": "efficientnet_b0",
    "octresnet50": "oct_resnet50",
    "lambdaresnet50": "lambda_resnet50",
    "seresnet50": "se_resnet50",
}


def replay_comparison_models(trace: Trace) -> None:
    """Every network that the file has, in the modes that it has it in."""
    for key in [key for key in trace if "/" not in key]:
        replay_edges(trace, key)
    for name in dict.fromkeys(key.split("/")[0] for key in trace if "/" in key):
        _replay(trace, f"{name}/", build(name, _classes(trace, name)).double())


def replay_edges(trace: Trace, key: str) -> None:
    """A graph as networkx draws it today, and as it is stored here."""
    from s3net.tinyimagenet.comparison.graphs import STORED, Settings, draw, read

    match, known = EDGES.match(key), Settings()
    assert match, f"{trace!r}: {key} is nothing that this replayer knows"
    nodes = int(match[1])
    recorded = sorted((int(min(e)), int(max(e))) for e in trace[key])
    assert draw(nodes, known.K, known.P, known.seed) == recorded
    kept = read(STORED).edges
    assert kept.get(nodes, recorded) == recorded


def build(name: str, classes: int) -> Any:
    """The network that the original's short name means."""
    from s3net.tinyimagenet.comparison.graphs import Settings, wiring
    from s3net.tinyimagenet.networks import make_network

    if match := re.match(r"randwire_ws_c(\d+)_n(\d+)$", name):
        settings = Settings(channels=int(match[1]), nodes=int(match[2]))
        return make_network("randwire_ws", classes, drawn=wiring(settings))
    return make_network(NAMES.get(name, name), classes)


def _classes(trace: Trace, name: str) -> int:
    shapes = [re.findall(r"\d+", str(shape)) for shape in trace[f"{name}/param_shapes"]]
    return int(next(shape[0] for shape in reversed(shapes)))


def _replay(trace: Trace, at: str, net: Any) -> None:
    import torch
    from torch.nn import functional

    seed = trace.integer(f"{at}seed")
    fill(net, seed)
    parameters = replay_parameters(trace, at, net)
    shape = trace[f"{at}input_shape"]
    images = torch.from_numpy(np.random.RandomState(seed + 1).standard_normal(shape))
    classes = _classes(trace, at[:-1])
    labels = np.random.RandomState(seed + 2).randint(0, classes, len(images))
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for mode in ("eval", "train"):
        if f"{at}{mode}_logits" not in trace:
            continue
        net.train(mode == "train")
        seen = NamedStatistics(net, trace, f"{at}{mode}", last_of=(".sigmoid",))
        _see_unused_averages(net, seen)
        gradients = f"{at}grad_l2" in trace and mode == "train"
        with torch.set_grad_enabled(gradients):
            logits = net(images)
        trace.compare(f"{at}{mode}_logits", logits.detach().numpy(), EXACT)
        seen.compare()
        if mode == "train" and f"{at}train_loss" in trace:
            loss = functional.cross_entropy(logits, torch.from_numpy(labels))
            trace.compare(f"{at}train_loss", float(loss.detach()), EXACT)
            if gradients:
                grads = torch.autograd.grad(loss, list(parameters.values()))
                trace.compare(f"{at}grad_l2", [float(g.norm()) for g in grads], EXACT)


def _see_unused_averages(net: Any, seen: NamedStatistics) -> None:
    """The original halves the low channels of a strided octave convolution even where it has no
    low output to put them into, so that this is what it recorded last; ours does not."""
    from torch.nn import functional

    from s3net.tinyimagenet.comparison.octave import OctaveConv

    for name, module in net.named_modules():
        if isinstance(module, OctaveConv) and module.stride == 2 and module.conv_l2l is None:

            def keep(m: Any, inputs: Any, output: Any, name: str = name) -> None:
                low = inputs[0][1]
                seen.seen[f"{name}.downsample"] = statistics(functional.avg_pool2d(low, 2).numpy())

            if module.conv_l2h is not None:
                seen.hooks.append(module.register_forward_hook(keep))
