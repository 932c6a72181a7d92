"""The equations that the pages print, computed as they stand there and held against the code.

Each test names the printed lines first, so that a page cannot change its equation without its test,
and computes them in float64: a wrong sign is an error of 200 %.
"""

import numpy as np
import pytest

from tests.docs.pages import ROOT

EXACT = 1e-11


def says(page: str, *lines: str) -> None:
    """The page prints these, but for runs of spaces."""
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    for line in lines:
        assert " ".join(line.split()) in text, f"{page} no longer says: {line}"


def agree(ours, printed, within: float = EXACT) -> None:
    ours, printed = (np.asarray(getattr(x, "detach", lambda x=x: x)()) for x in (ours, printed))
    assert ours.shape == printed.shape
    assert np.abs(ours - printed).max() <= within * max(1e-300, np.abs(printed).max())


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_lra_es_equations(framework: str) -> None:
    """The page had E move against W transposed: with that sign digits stay at 16 %, not 91."""
    says(
        "lra_e/README.md",
        "e^L = softmax(h^L) - onehot",
        "y^l = tanh(h^l - β e^{l+1} E^{l+1}), e^l = z^l - y^l",
        "ΔW^l ∝ -(z^{l-1})ᵀ e^l, ΔE^l = γ (ΔW^l)ᵀ",
    )
    pytest.importorskip(framework)
    from tests.oracles.lra_e_learners import make_learner
    from tests.oracles.lra_e_numpy import Net
    from tests.oracles.lra_e_settings import Recipe, Rule

    rng, beta, gamma, lr = np.random.RandomState(0), 0.3, 0.5, 0.05
    net = Net.draw([7, 6, 5, 4], rng)
    x, labels = rng.rand(9, 7), rng.randint(4, size=9)
    learner = make_learner(
        framework,
        net,
        Rule(beta=beta, gamma=gamma),
        Recipe("sgd", lr=lr),
    )
    learner.update(x, labels)
    learner.apply()
    after = learner.net()

    W, E = net.W, {2: net.E[0], 3: net.E[1]}
    h1 = x @ W[0]
    h2 = np.tanh(h1) @ W[1]
    h3 = np.tanh(h2) @ W[2]
    p = np.exp(h3) / np.exp(h3).sum(1, keepdims=True)
    e3 = p - np.eye(4)[labels]
    e2 = np.tanh(h2) - np.tanh(h2 - beta * e3 @ E[3])
    e1 = np.tanh(h1) - np.tanh(h1 - beta * e2 @ E[2])
    inputs = (x, np.tanh(h1), np.tanh(h2))
    changes = [-lr / 9 * z.T @ e for z, e in zip(inputs, (e1, e2, e3), strict=True)]
    for i, change in enumerate(changes):
        agree(after.W[i] - W[i], change)
        if i:
            agree(after.E[i - 1] - E[i + 1], gamma * change.T)


def test_burstprops_equations() -> None:
    """Z's rule was missing, and that the baseline's c acts in both phases."""
    says(
        "burstprop/README.md",
        "up e = σ(W e_below + bias)",
        "output p = p₀, p' = p₀ ((T - e)(1 - e) + 1)",
        "down f = b Y",
        "burst rates b = p e",
        "hidden p = σ(f (1 - e) - c), c = (σ(f) e) Zᵀ",
        "p' = σ(f' (1 - e) - c) the baseline's c acts in both phases",
        "learning ΔW = ΔY = -lr Σ (b - b')ᵀ e_below",
        "ΔZ = lr_Z Σ uᵀ (σ(f) e), u = f (1 - e) - c",
        "the output's delta is p₀ times backprop's",
    )
    torch = pytest.importorskip("torch")
    from burstprop import BurstLinear, BurstNetwork, BurstUpdate, SigmoidOutput

    torch.manual_seed(0)
    p0, lr, lr_z = 0.3, 0.7, 0.2
    net = BurstNetwork(
        [
            BurstLinear(5, 6),
            BurstLinear(6, 7, recurrent="learned"),
            BurstLinear(7, 4, units=SigmoidOutput(p0)),
        ]
    ).double()
    net.layers[1].weight_r.data.normal_()
    before = [{k: v.numpy().copy() for k, v in layer.state_dict().items()} for layer in net.layers]
    x, T = torch.rand(8, 5).double(), torch.eye(4).double()[torch.arange(8) % 4]
    update = BurstUpdate(net, lr=[lr] * 3, recurrent_lr=lr_z)
    result = net.two_phase_pass(x, T, reference=True)
    update.step(result.layers)

    e, below = [], x.numpy()
    for layer in before:
        e.append(sigmoid(below @ layer["weight"].T + layer["bias"]))
        below = e[-1]
    b = [None, None, p0 * e[2]]
    b_t = [None, None, p0 * ((T.numpy() - e[2]) * (1 - e[2]) + 1) * e[2]]
    for i in (1, 0):
        f, f_t = b[i + 1] @ before[i + 1]["weight_fa"], b_t[i + 1] @ before[i + 1]["weight_fa"]
        c = (sigmoid(f) * e[i]) @ before[i]["weight_r"].T if i == 1 else 0.0
        b[i] = sigmoid(f * (1 - e[i]) - c) * e[i]
        b_t[i] = sigmoid(f_t * (1 - e[i]) - c) * e[i]
        if i == 1:
            u = f * (1 - e[i]) - c
            agree(
                net.layers[1].weight_r.detach().numpy() - before[1]["weight_r"],
                lr_z * u.T @ (sigmoid(f) * e[i]),
            )
    for i, now in enumerate(layer.state_dict() for layer in net.layers):
        change = -lr * (b[i] - b_t[i]).T @ (e[i - 1] if i else x.numpy())
        for name in ("weight", "weight_fa"):
            assert np.abs(now[name].numpy() - before[i][name] - change).max() < EXACT
    delta_bp = result.layers[2].delta_bp
    assert delta_bp is not None
    agree(result.layers[2].delta, p0 * delta_bp)


def test_burstprops_equations_for_imagenet() -> None:
    """d is what the teacher adds; delta is minus that, over kappa at the output alone."""
    says(
        "burstprop/README.md",
        "output a = softmax(o), b = p₀ a, d = min(p₀ κ (T - a)/a, 1 - p₀) a delta = -d/κ",
        "down f = b Y, g = d Y",
        "hidden u = f/e, v = g/(κ' e), b = σ(u) e, d = (σ(u + v) - σ(u)) e delta = -d",
        "σ(u + v) - σ(u) is computed as σ(u + v) σ(-u) (1 - e⁻ᵛ)",
    )
    torch = pytest.importorskip("torch")
    from burstprop.imagenet.rule import ReLUUnits, SoftmaxOutput, sigmoid_difference

    rng, p0, kappa = np.random.RandomState(0), 0.2, 1e-3
    o, labels = rng.randn(6, 5), rng.randint(5, size=6)
    a = np.exp(o) / np.exp(o).sum(1, keepdims=True)
    d = np.minimum(p0 * kappa * (np.eye(5)[labels] - a) / a, 1 - p0) * a
    sent, delta, *_ = SoftmaxOutput(p0, kappa).bursts(torch.tensor(o), torch.tensor(labels))

    def close(ours, printed) -> bool:
        return np.allclose(ours, printed, rtol=1e-5, atol=0)  # the code adds 1e-8 where it divides

    assert close(sent[0], p0 * a) and close(sent[1], d)
    assert close(delta, -d / kappa)

    e, f, g = rng.rand(6, 4) + 0.5, rng.randn(6, 4), 1e-3 * rng.randn(6, 4)
    u, v = f / e, g / (kappa * e)
    received = torch.tensor(np.stack((f, g)))
    sent, delta, *_ = ReLUUnits(kappa).bursts(torch.tensor(e), received)
    d = (sigmoid(u + v) - sigmoid(u)) * e
    assert close(sent[0], sigmoid(u) * e) and close(sent[1], d)
    agree(delta, -sent[1])
    agree(
        sigmoid_difference(torch.tensor(u), torch.tensor(v)),
        sigmoid(u + v) * sigmoid(-u) * (1 - np.exp(-v)),
    )


def test_asaps_equations() -> None:
    """W's and B's update come from the shared activation, the error through B alone."""
    says(
        "asap/README.md",
        "error down delta_below = Bᵀ * delta",
        "update ΔW = ΔB = -lr · wgrad(a, delta)",
        "a: shared activation s, tiled along its channels, max-pooled",
    )
    torch = pytest.importorskip("torch")
    from torch.nn import functional as F

    from asap.layers import SharedConv2d

    torch.manual_seed(0)
    layer = SharedConv2d(4, 3, 3, padding=1).double()
    assert layer.weight_fa is not None
    W, B = layer.weight.detach().clone(), layer.weight_fa.detach().clone()
    x = torch.randn(2, 4, 6, 6).double().requires_grad_()
    s = torch.randn(2, 2, 12, 12).double()
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    out = layer(x, s)
    agree(out, F.conv2d(x, W, layer.bias, padding=1))  # s takes no part in what goes up
    delta = torch.randn_like(out)
    out.backward(delta)
    optimiser.step()
    assert x.grad is not None
    agree(x.grad, F.conv_transpose2d(delta, B, padding=1))
    a = F.max_pool2d(torch.cat([s, s], 1), 2)
    kernel = torch.zeros_like(W).requires_grad_()
    F.conv2d(a, kernel, padding=1).backward(delta)
    assert kernel.grad is not None
    agree(layer.weight - W, -0.1 * kernel.grad)
    agree(layer.weight_fa - B, -0.1 * kernel.grad)


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_brainprops_equations(framework: str) -> None:
    """Attention goes down from the unit selected, the reward-prediction error with a plus sign."""
    says(
        "brainprop/README.md",
        "action s = argmax q",
        "q = h W_out, linear",
        "error delta = r - q_s, r = 1 if s is the label else 0",
        "attention fb_s = 1, fb_j = f'(a_j) Σ_k w_jk fb_k",
        "update Δw_ij = lr Σ_samples delta x_i fb_j / B",
    )
    pytest.importorskip(framework)
    rng, lr, B = np.random.RandomState(0), 0.25, 16  # Keras rounds a rate to float32
    W, V = rng.randn(5, 7), rng.randn(7, 4)  # to the hidden layer, to the output
    x, labels = rng.randn(8, 5), rng.randint(4, size=8)
    a = x @ W
    q = np.maximum(a, 0) @ V
    s = q.argmax(1)
    delta = (s == labels) - q[np.arange(8), s]
    start = np.eye(4)[s]
    fb = (a > 0) * (start @ V.T)
    change_V = lr * (np.maximum(a, 0) * delta[:, None]).T @ start / B
    change_W = lr * (x * delta[:, None]).T @ fb / B
    moved = {"torch": _torch_step, "tensorflow": _keras_step}[framework](W, V, x, labels, lr, B)
    within = EXACT if framework == "torch" else 1e-6  # Keras feeds float32, whatever the network
    agree(moved[0] - W, change_W, within)
    agree(moved[1] - V, change_V, within)


def _torch_step(W, V, x, labels, lr, B):
    import torch

    from brainprop.pytorch.rule import brainprop_loss, select

    weights = [torch.tensor(w).requires_grad_() for w in (W, V)]
    q = torch.relu(torch.tensor(x) @ weights[0]) @ weights[1]
    chosen = select(q, epsilon=0.0)
    brainprop_loss(q, chosen, torch.tensor(labels), batch_size=B).backward()
    return [(w - lr * w.grad).detach().numpy() for w in weights]


def _keras_step(W, V, x, labels, lr, B):
    import keras

    from brainprop.layers.loss import BrainPropLoss
    from brainprop.layers.output import BrainPropLayer

    hidden = keras.layers.Dense(7, "relu", use_bias=False, dtype="float64")
    output = BrainPropLayer(4, epsilon=0.0, dtype="float64")
    model = keras.Sequential([keras.Input((5,), dtype="float64"), hidden, output])
    hidden.kernel.assign(W)
    output.kernel.assign(V)
    model.compile(keras.optimizers.SGD(lr), BrainPropLoss(batch_size=B))
    model.train_on_batch(x, labels)
    return [np.asarray(layer.kernel) for layer in (hidden, output)]


def test_s3nets_wirings() -> None:
    """Who sees whom, in three lines; ramps numbered from t_0."""
    says(
        "s3net/README.md",
        "sparse (S3) h_i = f_i(h_{i-1}) y = h_0 ⊕ h_1 ⊕ ... ⊕ h_L",
        "dense h_i = f_i(h_0 ⊕ ... ⊕ h_{i-1})",
        "residual h_i = h_{i-1} + f_i(h_{i-1}) y = h_L",
        "h_i = relu(h_{i-1} - d_i) is the ramp relu(x - t_{i-1})",
    )
    from s3net.expressibility.universality import OneNeuronNet
    from s3net.topology import wire

    layers = [lambda h: 2 * h, lambda h: h + 3]  # of lists that are joined end to end, and numbers
    join = np.concatenate
    h0 = np.array([1.0])
    agree(wire("sparse", layers, h0, join), np.array([1.0, 2.0, 5.0]))
    agree(wire("dense", layers, h0, join), np.array([1.0, 2.0, 4.0, 5.0]))
    agree(wire("residual", layers, h0, join), np.array([9.0]))

    net, x = OneNeuronNet.of(np.sin, 0.0, 3.0, 4), np.linspace(0, 3, 50)
    h = x
    for d, t in zip(net.steps, np.linspace(0.0, 3.0, 5), strict=False):
        h = np.maximum(h - d, 0)
        assert np.allclose(h, np.maximum(x - t, 0), atol=1e-12)
