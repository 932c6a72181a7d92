"""Replays the ASAP traces (asap, 11) by `asap.learner`.

<net>_<mode>       small nets in float64: four steps of training, everything recorded
full_<net>_<mode>  full size, one forward and backward, weights by formula, statistics only
inputs             the images of all of them
"""

import re
from typing import Any
from zlib import crc32

import numpy as np

from tests.golden.trace import Trace

NEEDS = ("torch",)
NETS = r"(convnet|resnet18_not|resnet18|resnet34)"
EXACT, STORED_AS_FLOAT32 = 1e-8, 1e-6
NOISE = 1e-11  # of the largest tensor: gradients that batch norm cancels


def implementations(stem: str) -> dict[str, tuple[str, ...]]:
    """One, for every file that a network's name begins."""
    if stem == "inputs" or re.match(rf"(full_)?{NETS}_", stem):
        return {"": NEEDS}
    return {}


def replay(trace: Trace, implementation: str) -> None:
    """AssertionError where a number differs."""
    if trace.stem == "inputs":
        _check_inputs(trace)
        return
    config = dict(line.split("=", 1) for line in trace["meta/config"].tolist())
    (_replay_full if trace.stem.startswith("full_") else _replay_steps)(trace, config)


def _check_inputs(trace: Trace) -> None:
    """Batches (steps, n, C, H, H) and their classes (steps, n), of whatever sizes."""
    for kind, channels in (("cifar", 3), ("mnist", 1)):
        images, labels = trace[f"{kind}_x"], trace[f"{kind}_y"]
        assert images.ndim == 5 and images.shape[2] == channels, images.shape
        assert images.shape[3] == images.shape[4] and np.isfinite(images).all()
        assert labels.shape == images.shape[:2] and labels.dtype.kind in "iu"
        assert 0 <= labels.min() and labels.max() < 10


def _make(config: dict[str, str], sizes: dict[str, Any]) -> Any:
    import torch

    from asap.networks import make_network

    mnist = config["dataset"] == "mnist"
    fa = config.get("fa_mode", "copy")
    net = make_network(
        config["arch"],
        config["feedback"],
        wt=config["wt"] == "True",
        fa_feedback=fa if fa in ("copy", "tied", "independent") else "copy",
        shortcut_slip=True,
        channels=1 if mnist else 3,
        size=28 if mnist else 32,
        classes=100 if config["dataset"] == "cifar100" else 10,
        **sizes,
    )
    return net.to(torch.float64)


def _batch(trace: Trace, config: dict[str, str], index: int) -> tuple[Any, Any]:
    import torch

    inputs, kind = trace.companion("inputs"), "mnist" if config["dataset"] == "mnist" else "cifar"
    images = torch.from_numpy(inputs[f"{kind}_x"][index].astype(np.float64))
    return images.contiguous(memory_format=torch.channels_last), torch.from_numpy(
        inputs[f"{kind}_y"][index].astype(np.int64)
    )


def _replay_steps(trace: Trace, config: dict[str, str]) -> None:
    import torch

    from asap.learner import Learner, adam, sgd
    from asap.networks import ConvNet
    from asap.stored import original_modules

    widths = tuple(int(w) for w in config["widths"].strip("()").split(","))
    sizes: dict[str, Any] = {"widths": widths}
    if config["arch"] == "convnet":
        sizes["hidden"] = int(config["hidden"])
    net = _make(config, sizes)
    names = original_modules(net)
    if net.mode == "dfa":
        _give_unused_feedback(net)
    _load(trace, net, names)
    lr = float(config["lr0"])
    make = (
        adam(lr)
        if config["optimizer"] == "adam"
        else sgd(lr, float(config["momentum"]), float(config["weight_decay"]))
    )
    learner = Learner(net, make)
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    norms = _watch_deltas(net, names)
    losses, all_logits, rates = [], [], []
    for step in range(int(config["steps"])):
        images, labels = _batch(trace, config, step % 2)
        rates.append(lr / 2 * (1 + np.cos(np.pi * step / int(config["T_max"]))))
        learner.set_lr(rates[-1])
        seen: list[Any] = []
        last = net.linear_norms[2] if isinstance(net, ConvNet) else net.head_norm
        hook = last.register_forward_hook(lambda m, i, o, seen=seen: seen.append(o.detach()))
        loss, _ = learner.train_step(images, labels)
        hook.remove()
        losses.append(float(loss))
        all_logits.append(seen[0].numpy().copy())
        if step == 0:
            _compare_gradients(trace, net, names, config)
            for key in [k for k in trace if k.startswith("step1/delta_norm/")]:
                trace.compare(key, norms[key.removeprefix("step1/delta_norm/")], EXACT)
            _compare_state(trace, "after1/", net, names)
            for hook in norms.pop("hooks"):
                hook.remove()
    trace.compare("train/loss", losses, EXACT)
    trace.compare("train/logits", np.stack(all_logits), EXACT)
    trace.compare("train/lr", rates, EXACT)
    _compare_state(trace, "after4/", net, names)
    with torch.no_grad():
        images, _ = _batch(trace, config, 0)
        trace.compare("eval/logits", net.eval()(images).numpy(), STORED_AS_FLOAT32)
    unchanged = set(trace["meta/unchanged"].tolist())
    # Under Adam the originals' noise moves the biases that batch norm cancels; ours stay.
    noise = {id(b) for b in net.cancelled_biases()} if config["optimizer"] == "adam" else set()
    for name, parameter in net.named_parameters():
        if id(parameter) in noise:
            continue
        module, _, leaf = name.rpartition(".")
        assert torch.equal(parameter, before[name]) == (f"{names[module]}.{leaf}" in unchanged), (
            name
        )


def _load(trace: Trace, net: Any, names: dict[str, str]) -> None:
    """Initial values; every key must have a place, but for feedback weights that have no effect."""
    import torch

    ours = {f"{names[m]}.{leaf}": t for m, _, leaf, t in _state(net)}
    for key in [k for k in trace if k.startswith("init/")]:
        name = key.removeprefix("init/")
        value = torch.from_numpy(trace[key].astype(np.float64))
        if name in ours:
            ours[name].copy_(value.reshape(ours[name].shape))
        else:
            assert name.endswith(".weight_fa"), name
            if tied(net):  # B is W from the start
                assert np.array_equal(trace[key], trace[key.removesuffix("_fa")]), name
    for _, layer in net.named_modules():
        if (
            net.mode == "fa"
            and net.fa_feedback == "copy"
            and layer.__class__.__name__ == ("FeedbackConv2d")
        ):
            layer.weight_fa.data.copy_(layer.weight.data)


def _give_unused_feedback(net: Any) -> None:
    """The original's dfa sends what its receivers discard through B; the traces have its norm."""
    from asap.layers import FeedbackLinear

    for name, layer in list(net.named_modules()):
        if layer.__class__.__name__ == "Linear":
            unused = FeedbackLinear(layer.in_features, layer.out_features, dtype=layer.weight.dtype)
            unused.bias.requires_grad_(False)
            parent, _, leaf = name.rpartition(".")
            setattr(net.get_submodule(parent), leaf, unused)


def _state(net: Any) -> list[tuple[str, str, str, Any]]:
    return [(*name.rpartition("."), t.detach()) for name, t in net.state_dict().items()]


def _watch_deltas(net: Any, names: dict[str, str]) -> dict[str, Any]:
    """Norms of the gradients that reach each module's output, filled in by the next backward."""
    norms: dict[str, Any] = {"hooks": []}

    def watch(name: str) -> Any:
        def note(module: Any, inputs: Any, output: Any) -> Any:
            if isinstance(output, tuple):  # a receiver: let those above send what it would discard
                above, carry = output[0].detach().requires_grad_(), output[1]
                above.register_hook(lambda g: norms.__setitem__(name, float(g.norm())))
                return above * 1, carry
            if output.requires_grad:
                output.register_hook(lambda g: norms.__setitem__(name, float(g.norm())))
            return None

        return note

    for ours, theirs in names.items():
        module = dict(net.named_modules()).get(ours)
        if module is not None:
            norms["hooks"].append(module.register_forward_hook(watch(theirs)))
    return norms


def _compare_gradients(trace: Trace, net: Any, names: dict[str, str], config: Any) -> None:
    keys = [k for k in trace if k.startswith("step1/grad/")]
    largest = max(float(np.linalg.norm(trace[k])) for k in keys)
    exact = config["grads_stored_as"] == "float64"
    ours = {
        f"{names[n.rpartition('.')[0]]}.{n.rpartition('.')[2]}": p.grad
        for n, p in net.named_parameters()
    }
    for key in keys:
        mine = ours[key.removeprefix("step1/grad/")]
        noise = NOISE * largest
        if float(np.linalg.norm(trace[key])) > noise:
            trace.compare(key, mine.numpy(), EXACT if exact else STORED_AS_FLOAT32)
        else:
            assert float(mine.norm()) <= noise, key


def tied(net: Any) -> bool:
    """Whether feedback weights of convolutions are the forward weights at all times (asap, D1)."""
    return net.mode == "fa" and net.fa_feedback == "tied"


def _compare_state(trace: Trace, prefix: str, net: Any, names: dict[str, str]) -> None:
    ours = {f"{names[m]}.{leaf}": t for m, _, leaf, t in _state(net)}
    for key in [k for k in trace if k.startswith(prefix)]:
        name = key.removeprefix(prefix)
        if name in ours:
            mine = ours[name].numpy()
        else:
            # Ours has no B that has no effect, nor one that is W.
            assert name.endswith(".weight_fa"), name
            weight = name.removesuffix("_fa")
            mine = ours[weight].numpy() if tied(net) else trace[f"init/{name}"]
        trace.compare(key, mine.reshape(trace.shape(key)), STORED_AS_FLOAT32)


def _replay_full(trace: Trace, config: dict[str, str]) -> None:
    import torch

    from asap.learner import Learner, sgd
    from asap.stored import original_modules

    net = _make(config, {})
    names = original_modules(net)
    with torch.no_grad():
        for module, _, leaf, tensor in _state(net):
            _fill(f"{names[module]}.{leaf}", leaf, tensor, net)
        for layer in net.modules():
            if net.mode == "fa" and layer.__class__.__name__ == "FeedbackConv2d":
                layer.weight_fa.copy_(layer.weight)
    learner = Learner(net, sgd(0.0))
    images, labels = _batch(trace, config, 0)
    logits = learner.differentiate(images[:4], labels[:4])
    loss = learner.loss(logits, labels[:4])
    trace.compare("step1/loss", float(loss.detach()), 1e-11)
    trace.compare("step1/logits", logits.detach().numpy(), 1e-9)
    pairs = learner._pairs
    grads = {
        f"{names[n.rpartition('.')[0]]}.{n.rpartition('.')[2]}": p.grad
        for n, p in net.named_parameters()
    }
    grads |= {f"{names[n]}.weight_fa": W.grad for n, (W, _) in pairs.items()}
    stats = trace["step1/grad_stats"]
    largest = stats[:, 3].max()
    listed = set(trace["step1/grad_names"].tolist())
    learns = {n for n, g in grads.items() if g is not None and not n.endswith("weight_fa")}
    assert learns == {n for n in listed if not n.endswith("weight_fa")}
    for name, recorded in zip(trace["step1/grad_names"].tolist(), stats, strict=True):
        gradient = grads[name].numpy()
        assert gradient.size == recorded[0]
        if recorded[3] < NOISE * largest:
            assert np.linalg.norm(gradient) <= NOISE * largest, name
            continue
        first = np.resize(gradient.ravel()[: min(8, gradient.size)], 8)
        mine = [gradient.mean(), gradient.std(), np.linalg.norm(gradient), *first]
        scale = np.abs(gradient).max()
        assert np.allclose(mine, recorded[1:], rtol=1e-9, atol=1e-9 * scale), name


def _fill(name: str, leaf: str, tensor: Any, net: Any) -> None:
    """The full-size files' formula (asap, 11)."""
    import torch

    draw = np.random.RandomState(crc32(name.encode()) % 2**32)
    if leaf == "weight_fb":
        value = draw.normal(0, (1 / net.classes) ** 0.5, (net.classes, tensor[0].numel()))
    elif leaf in ("weight", "weight_fa") and tensor.dim() > 1:
        bound = np.prod(tensor.shape[1:]) ** -0.5
        bound = 1.0 if leaf == "weight_fa" and tensor.dim() == 2 else bound
        value = draw.uniform(-bound, bound, tensor.shape)
    elif leaf == "weight":
        value = np.ones(tensor.shape)
    elif leaf == "bias":
        value = np.zeros(tensor.shape)
    else:
        return
    tensor.copy_(torch.from_numpy(value.reshape(tensor.shape)))
