"""Small S3 nets step by step, and the published sizes by their statistics."""

import re
from collections import Counter
from typing import Any

import numpy as np

from tests.golden.trace import Trace

EXACT = 1e-10


def replay_steps(trace: Trace) -> None:
    """Everything of a small net: activations, gradients, four steps on one batch."""
    import torch

    from s3net.learner import Learner

    net = _small(trace)
    state = {k[5:]: torch.from_numpy(np.array(trace[k])) for k in trace if k.startswith("init/")}
    net.load_state_dict(state)
    images = torch.from_numpy(trace["input"])
    labels = torch.from_numpy(trace["labels"])
    learner = Learner(
        net,
        trace.number("hp_lr"),
        momentum=trace.number("hp_momentum"),
        weight_decay=trace.number("hp_weight_decay"),
    )
    with torch.no_grad():
        acts = _watch(net.eval(), trace, "eval_act/")
        trace.compare("eval_logits_init", net(images).numpy(), EXACT)
        _compare_acts(trace, "eval_act/", acts)
    losses = []
    for step in range(1, len(trace["losses"]) + 1):
        acts = _watch(net, trace, "train_act/") if step == 1 else {"hooks": []}
        seen: list[Any] = []
        hook = net.register_forward_hook(lambda m, i, o, seen=seen: seen.append(o.detach()))
        loss, _ = learner.train_step(images, labels)
        hook.remove()
        losses.append(float(loss))
        if step == 1:
            trace.compare("train_logits_step1", seen[0].numpy(), EXACT)
            _compare_acts(trace, "train_act/", acts)
            largest = max(float(p.grad.abs().max()) for p in net.parameters())
            for name, parameter in net.named_parameters():
                # The batch norm behind it cancels most of norm0's gradient: what is left is small.
                size = max(float(np.abs(trace[f"grad_step1/{name}"]).max()), 1e-3 * largest)
                trace.compare(f"grad_step1/{name}", parameter.grad.numpy(), EXACT, scale=size)
        if any(key.startswith(f"after_step{step}/") for key in trace):
            for name, value in net.state_dict().items():
                trace.compare(f"after_step{step}/{name}", value.numpy(), EXACT)
    trace.compare("losses", losses, EXACT)
    with torch.no_grad():
        logits = net.eval()(images).numpy()
        trace.compare(f"eval_logits_after_step{len(losses)}", logits, EXACT)


def _small(trace: Trace) -> Any:
    if trace.stem.startswith("cifar"):
        from s3net.cifar100.s3model import CifarS3

        return CifarS3(
            trace.integer("hp_growth_rate"),
            trace.integers("hp_layer_nums"),
            trace.integer("hp_channels"),
            classes=trace.integer("hp_num_class"),
        ).double()
    from s3net.networks import S3Net

    return S3Net(
        trace.integer("hp_growth_rate"),
        trace.integers("hp_block_config"),
        trace.integer("hp_num_init_features"),
        bn_size=trace.integer("hp_bn_size"),
        classes=trace.integer("hp_num_classes"),
    ).double()


def _watch(net: Any, trace: Trace, prefix: str) -> dict[str, Any]:
    """Outputs of the modules that the trace names, filled in by the next forward pass."""
    values: dict[str, Any] = {"hooks": []}
    modules = dict(net.named_modules())
    for name in {
        key.removeprefix(prefix).rpartition("/")[0] for key in trace if key.startswith(prefix)
    }:

        def keep(module: Any, inputs: Any, output: Any, name: str = name) -> None:
            values[name] = output.detach().clone().numpy()

        values["hooks"].append(modules[name].register_forward_hook(keep))
    return values


def _compare_acts(trace: Trace, prefix: str, acts: dict[str, Any]) -> None:
    for hook in acts.pop("hooks"):
        hook.remove()
    for name, value in acts.items():
        trace.compare(f"{prefix}{name}/shape", np.array(value.shape), 0)
        trace.compare(f"{prefix}{name}/mean_std_l2", statistics(value), EXACT)
        image = value[0]
        if image.ndim == 3:
            height, width = image.shape[1:]
            image = image[:, :: max(height // 4, 1), :: max(width // 4, 1)]
        trace.compare(f"{prefix}{name}/sample", image, EXACT)


def statistics(value: Any) -> list[float]:
    return [float(value.mean()), float(value.std()), float(np.linalg.norm(value.ravel()))]


def _full(trace: Trace, at: str) -> Any:
    """The network whose parameters the trace lists, built from their names and shapes alone."""
    names = [str(name) for name in trace[f"{at}param_names"]]
    sizes = [[int(n) for n in re.findall(r"\d+", str(s))] for s in trace[f"{at}param_shapes"]]
    shapes = dict(zip(names, sizes, strict=True))
    if "init_cnn_layer.conv0.weight" in shapes:
        from s3net.cifar100.s3model import CifarS3

        return CifarS3(
            shapes["denseblocks.db_0.bottleneck.dbl_0.layer.2.weight"][0],
            _depths(names, r"denseblocks\.db_(\d+)\.bottleneck\.dbl_\d+\.layer\.2\.weight"),
            shapes["init_cnn_layer.conv0.weight"][0],
            classes=shapes["lr.weight"][0],
        )
    from s3net.networks import S3Net

    first = "features.denseblock1.denselayer1"
    growth = shapes[f"{first}.conv2.weight"][0]
    return S3Net(
        growth,
        _depths(names, r"features\.denseblock(\d+)\.denselayer\d+\.conv2\.weight"),
        shapes["features.conv0.weight"][0],
        bn_size=shapes[f"{first}.conv1.weight"][0] // growth,
        classes=shapes["classifier.weight"][0],
    )


def _depths(names: list[str], layer: str) -> list[int]:
    """Layers of each block."""
    depths = Counter(int(match[1]) for name in names if (match := re.fullmatch(layer, name)))
    return [depths[block] for block in sorted(depths)]


def named(trace_name: str) -> Any:
    """The network that this repository has under a name of the trace; None where it has none."""
    from s3net.cifar100.s3model import CifarS3
    from s3net.networks import PLANS, make_network

    if match := re.fullmatch(r"cifar_k(\d+)_L(\d+)", trace_name):
        return CifarS3(int(match[1]), (int(match[2]),) * 3)
    constructor = re.sub(r"_\d+_[\dx]+$", "", trace_name.partition("_")[2])
    return make_network(constructor, 1000) if constructor in PLANS else None


def replay_full_sizes(trace: Trace) -> None:
    """Parameter counts, names and shapes; leaf outputs in eval mode; loss and gradients."""
    for name in dict.fromkeys(key.split("/")[0] for key in trace):
        net = _full(trace, f"{name}/")
        if (ours := named(name)) is not None:
            assert str(ours) == str(net), f"{name} is another network here"
        _replay_full(trace, f"{name}/", net.double())


def _replay_full(trace: Trace, at: str, net: Any) -> None:
    import torch
    from torch.nn import functional

    seed = trace.integer(f"{at}seed")
    fill(net, seed)
    parameters = replay_parameters(trace, at, net)
    images = np.random.RandomState(seed + 1).standard_normal(trace[f"{at}input_shape"])
    classes = len(list(parameters.values())[-1])
    labels = np.random.RandomState(seed + 2).randint(0, classes, len(images))
    x = torch.from_numpy(images)
    seen = NamedStatistics(net.eval(), trace, f"{at}eval")
    with torch.no_grad():
        trace.compare(f"{at}eval_logits", net(x).numpy(), EXACT)
    seen.compare()
    logits = net.train()(x)
    loss = functional.cross_entropy(logits, torch.from_numpy(labels))
    trace.compare(f"{at}train_logits", logits.detach().numpy(), EXACT)
    trace.compare(f"{at}train_loss", float(loss.detach()), EXACT)
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    trace.compare(f"{at}grad_l2", [float(g.norm()) for g in gradients], EXACT)


def replay_parameters(trace: Trace, at: str, net: Any) -> dict[str, Any]:
    """How many, their names, shapes and lengths; the parameters by name."""
    parameters = dict(net.named_parameters())
    trace.compare(f"{at}param_count", sum(p.numel() for p in parameters.values()), 0)
    trace.compare(f"{at}param_names", list(parameters), 0)
    shapes = [str(tuple(p.shape)).replace(" ", "") for p in parameters.values()]
    theirs = [str(s).replace(" ", "") for s in trace[f"{at}param_shapes"]]
    assert [s.strip("(),") for s in shapes] == [t.strip("(),[]").replace("x", ",") for t in theirs]
    norms = [float(p.detach().norm()) for p in parameters.values()]
    trace.compare(f"{at}param_l2", norms, EXACT)
    return parameters


class NamedStatistics:
    """Mean, deviation and length of what the modules named in a trace put out in the next pass.

    prefix   keys are <prefix>_leaf_names and <prefix>_leaf_mean_std_l2
    last_of  modules that the original calls for one number after another, and we for all at once:
             what it recorded is the last
    """

    def __init__(self, net: Any, trace: Trace, prefix: str, last_of: tuple[str, ...] = ()) -> None:
        self.trace, self.prefix = trace, prefix
        self.names = [str(name) for name in trace[f"{prefix}_leaf_names"]]
        self.seen: dict[str, list[float]] = {}
        modules = dict(net.named_modules())
        self.hooks = []
        for name in self.names:

            def keep(module: Any, inputs: Any, output: Any, name: str = name) -> None:
                value = output.detach().numpy()
                self.seen[name] = statistics(value[-1:] if name.endswith(last_of) else value)

            self.hooks.append(modules[name].register_forward_hook(keep))

    def compare(self) -> None:
        for hook in self.hooks:
            hook.remove()
        key = f"{self.prefix}_leaf_mean_std_l2"
        recorded = self.trace[key]
        scale = np.abs(recorded[:, 1:2]) + np.abs(recorded[:, :1])
        allowed = EXACT * np.concatenate([scale, scale, recorded[:, 2:]], 1)
        self.trace.compare_each(key, np.array([self.seen[name] for name in self.names]), allowed)


def fill(net: Any, seed: int) -> None:
    """The procedural fill (s3net, 11), in the order in which things were registered."""
    import torch

    for j, (name, parameter) in enumerate(net.named_parameters()):
        r = np.random.RandomState(seed + j).standard_normal(tuple(parameter.shape))
        if parameter.ndim >= 2:
            r *= np.sqrt(2 / np.prod(parameter.shape[1:]))
        else:
            r = 0.1 * r + (1 if name.endswith("weight") else 0)
        parameter.data = torch.from_numpy(r)
    for j, (name, buffer) in enumerate(net.named_buffers()):
        random = np.random.RandomState(seed + 50000 + j)
        if name.endswith("running_mean"):
            buffer.copy_(torch.from_numpy(0.1 * random.standard_normal(tuple(buffer.shape))))
        elif name.endswith("running_var"):
            buffer.copy_(torch.from_numpy(1 + 0.5 * random.uniform(size=tuple(buffer.shape))))
