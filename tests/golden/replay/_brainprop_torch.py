"""The traces replayed by `brainprop.pytorch.rule` and `brainprop.pytorch.networks`.

Networks in four steps and evaluation, the output layer alone, and one step at full size.
"""

import json
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from brainprop.pytorch.networks import arrays, load_arrays, make_network
from brainprop.pytorch.rule import (
    brainprop_loss,
    correct_as_the_original,
    evaluation_loss,
    select,
)
from brainprop.recipes import L2
from tests.golden.trace import Trace

SHAPES = {
    "MNIST": (28, 28, 1),
    "CIFAR10": (32, 32, 3),
    "CIFAR100": (32, 32, 3),
    "TinyImageNet": (64, 64, 3),
}
CLASSES = {"MNIST": 10, "CIFAR10": 10, "CIFAR100": 100, "TinyImageNet": 200}
SAMPLES, LR = 4, 0.01  # at full size
FULL_SIZE = {"loss": 5e-4, "statistics": 0.02, "outputs": 5e-3}


def replay(trace: Trace) -> None:
    """Every number of one file. AssertionError where one differs."""
    if trace.stem.startswith("unit_layer_loss"):
        replay_output_layer(trace)
    elif trace.stem.startswith("fullsize_checksums"):
        for pair in sorted({key.split("/")[0] for key in trace if "/" in key}):
            replay_full_size(trace, pair)
    else:
        replay_network(trace)


def onehot(selected: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return F.one_hot(selected, q.shape[1]).to(q.dtype)


def update(net: Any, loss: torch.Tensor, lr: float) -> None:
    """Plain gradient descent."""
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            parameter -= lr * gradient


def replay_network(trace: Trace) -> None:
    cfg = json.loads(trace.text("cfg_json"))
    wide = cfg["floatx"] == "float64"
    outputs, parameters = (1e-11, 4e-9) if wide else (3e-5, 3e-5)
    if cfg["arch"] == "deep" and not wide:
        outputs, parameters = 2e-3, 2e-4
    net = make_network(
        cfg["arch"],
        tuple(cfg["input_shape"]),
        cfg["n_classes"],
        padding=cfg["padding"],
        widths={int(old): new for old, new in cfg["widths"].items()},
        dropout=cfg["dropout_rates"],
        variance="unbiased" if any(cfg["bn_fused"]) else "biased",
    ).to(getattr(torch, cfg["floatx"]))
    first = {name: trace[f"init/{name}"] for name in cfg["params"]}
    load_arrays(net, first)
    l2, size, brainprop = cfg["l2"] or 0.0, cfg["batch_size"], cfg["algorithm"] == "BrainProp"
    for t in range(1, cfg["steps"] + 1):
        masks = [
            torch.as_tensor(trace[f"mask{t}/drop{k + 1}"]) for k in range(len(cfg["dropout_rates"]))
        ]
        x, y = torch.as_tensor(trace[f"x{t}"]), torch.as_tensor(trace[f"y{t}"])
        q = net.train()(x, masks)
        if brainprop:
            u, drawn = torch.as_tensor(trace[f"u{t}"]), torch.as_tensor(trace[f"boltz{t}"])
            s = select(q, u, drawn, epsilon=cfg["epsilon"])
            loss = brainprop_loss(q, s, y, batch_size=size, zero_is_unselected=True)
            shown, correct = onehot(s, q) * q, correct_as_the_original(q, s, y)
            trace.compare(f"selected{t}", s.numpy(), 0)
            trace.compare(f"act{t}", q.detach().numpy(), outputs, scale=1.0)
        else:
            loss, shown = F.cross_entropy(q, y), q.softmax(1)
            correct = (q.argmax(1) == y).sum()
        loss = loss + net.penalty(l2)
        trace.compare(f"out{t}", shown.detach().numpy(), outputs, scale=1.0)
        trace.compare(f"loss{t}", loss.item(), outputs)
        trace.compare(f"acc{t}", correct.item() / len(y), 1e-6)
        update(net, loss, cfg["lr"])
        if t == 1:
            for name, after in arrays(net).items():
                trace.compare(f"delta1/{name}", after - first[name], parameters, scale=1.0)
    for name, after in arrays(net).items():
        trace.compare(f"after{cfg['steps']}/{name}", after, parameters, scale=1.0)
    x, y = torch.as_tensor(trace["eval_x"]), torch.as_tensor(trace["eval_y"])
    with torch.no_grad():
        q = net.eval()(x)
        loss = evaluation_loss(q, y, batch_size=size) if brainprop else F.cross_entropy(q, y)
        shown = onehot(q.argmax(1), q) if brainprop else q.softmax(1)
        # The original's 0.01 of moving averages is a float32 also in its float64 runs.
        evaluated = max(outputs, 1e-9)
        trace.compare("eval_out", shown.numpy(), evaluated, scale=1.0)
        trace.compare("eval_loss", (loss + net.penalty(l2)).item(), evaluated)
        trace.compare("eval_acc", (q.argmax(1) == y).double().mean().item(), 1e-6)


def replay_output_layer(trace: Trace) -> None:
    q = torch.as_tensor(trace["activations"]).requires_grad_()
    u, y = torch.as_tensor(trace["u"]), torch.as_tensor(trace["labels"])
    # Where it explored, the action is an input; elsewhere it must come out the same.
    s = select(q, u, torch.as_tensor(trace["selected"]))
    trace.compare("selected", s.numpy(), 0)
    size = trace.integer("batch_size")
    settings: dict[str, Any] = {"batch_size": size, "zero_is_unselected": True}
    loss = brainprop_loss(q, s, y, **settings)
    trace.compare("train_output", (onehot(s, q) * q).detach().numpy(), 1e-14)
    each = torch.stack(
        [
            brainprop_loss(q[i : i + 1], s[i : i + 1], y[i : i + 1], **settings)
            for i in range(len(q))
        ]
    )
    trace.compare("loss_elementwise", (onehot(s, q) * each[:, None]).detach().numpy(), 1e-14)
    trace.compare("loss_total", loss.item(), 1e-14)
    trace.compare("dloss_dactivations", torch.autograd.grad(loss, q)[0].numpy(), 1e-14)
    trace.compare("train_accuracy", correct_as_the_original(q, s, y).item() / len(y), 1e-14)
    best = select(q, torch.ones(len(q)), s)
    trace.compare("eval_output", onehot(best, q).numpy(), 1e-14)
    trace.compare("eval_loss", brainprop_loss(onehot(best, q), best, y, **settings).item(), 1e-14)
    trace.compare("eval_accuracy", (best == y).double().mean().item(), 1e-14)
    logits, n = torch.as_tensor(trace["boltz_logits"]), trace.integer("boltz_n")
    generator = torch.Generator().manual_seed(1)
    always = torch.zeros(n)
    drawn = select(logits.expand(n, -1), always, generator=generator)
    shares = np.bincount(drawn.numpy(), minlength=len(logits)) / n
    # Five standard errors: of our shares, and of the difference of two samples' shares.
    spread = 5 * np.sqrt(0.25 / n)
    assert np.abs(shares - logits.softmax(0).numpy()).max() < spread
    trace.compare("boltz_empirical", shares, np.sqrt(2) * spread, scale=1.0)


def replay_full_size(trace: Trace, pair: str) -> None:
    dataset, architecture, algorithm = pair.split("-")
    shape, classes, n = SHAPES[dataset], CLASSES[dataset], SAMPLES
    net = make_network(architecture, shape, classes)
    ours = arrays(net)
    trace.compare(f"{pair}/n_params", sum(array.size for array in ours.values()), 0)
    names = [str(name) for name in trace[f"{pair}/param_names"]]
    assert sorted(names) == sorted(ours)
    random = np.random.RandomState(trace.integer("seed"))
    for name in names:
        if name.endswith("kernel"):
            size = ours[name].shape
            fan_in = size[1] if name.startswith("lc") else np.prod(size[:-1])
            ours[name] = (random.standard_normal(size) / np.sqrt(fan_in)).astype(np.float32)
    load_arrays(net, ours)
    x = torch.as_tensor(random.random_sample((n, *shape)).astype(np.float32))
    y = torch.as_tensor(random.randint(0, classes, n))
    trace.compare(f"{pair}/labels", y.numpy(), 0)
    masks = [
        torch.as_tensor(random.random_sample(size) >= rate)
        for size, rate in dropped(net, (n, *shape))
    ]
    q = net.train()(x, masks)
    if algorithm == "EBP":
        loss = F.cross_entropy(q, y)
    else:
        best = q.argmax(1)
        loss = brainprop_loss(q, best, y, batch_size=n, zero_is_unselected=True)
    loss = loss + net.penalty(L2[architecture])
    trace.compare(f"{pair}/loss", loss.item(), FULL_SIZE["loss"])
    update(net, loss, LR)
    after = arrays(net)
    changes = [after[name].astype(float) - ours[name] for name in names]
    statistics = np.array(
        [[c.mean(), c.std(), np.sqrt((c**2).sum()), np.abs(c).max()] for c in changes]
    )
    # A mean near zero is a sum of cancelling terms: its size is that of the standard deviation.
    allowed = FULL_SIZE["statistics"] * np.abs(statistics) + 1e-9
    allowed[:, 0] = FULL_SIZE["statistics"] * np.abs(statistics[:, :2]).max(1) + 1e-9
    trace.compare_each(f"{pair}/delta_stats", statistics, allowed)
    with torch.no_grad():
        shown = net.eval()(x).softmax(1) if algorithm == "EBP" else q
    trace.compare(f"{pair}/out_first8", shown.detach().numpy()[:, :8], FULL_SIZE["outputs"])


def dropped(net: Any, shape: tuple[int, ...]) -> list[tuple[tuple[int, ...], float]]:
    """Shape, in Keras' layout, of what each dropout layer sees, and its rate."""
    layers: list[tuple[tuple[int, ...], float]] = []

    def note(layer: Any, inputs: Any) -> None:
        size = inputs[0].shape
        layers.append(((size[0], *size[2:], size[1]) if len(size) == 4 else tuple(size), layer.p))

    hooks = [m.register_forward_pre_hook(note) for m in net if isinstance(m, torch.nn.Dropout)]
    with torch.no_grad():
        net.eval()(torch.zeros(shape))
    for hook in hooks:
        hook.remove()
    return layers
