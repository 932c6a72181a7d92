"""Burstprop's equations, networks and updates against numpy and against autograd, in float64."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional, grad  # noqa: E402

from burstprop import networks, rule  # noqa: E402
from burstprop.inspection.angles import angles, delta_angles, weight_angles  # noqa: E402
from burstprop.layers import BurstConv2d, BurstLinear  # noqa: E402
from burstprop.learner import (  # noqa: E402
    BackpropLearner,
    BurstLearner,
    MatchedBackpropLearner,
    target,
)
from burstprop.networks import BurstNetwork  # noqa: E402
from burstprop.rule import SigmoidOutput, SigmoidUnits  # noqa: E402
from burstprop.update import BurstUpdate  # noqa: E402
from tests.oracles import burstprop_numpy as oracle  # noqa: E402


def randn(*shape: int) -> Any:
    return torch.randn(*shape, dtype=torch.float64)


def small(conv: bool = False, **how: Any) -> Any:
    """5-7-6-4, or two convolutions and 6-4 on images of 2 x 11 x 11 (strides leave a row over)."""
    net = (
        networks.stack([(2, 3, 4, 2), (3, 4, 3, 1)], [16, 6, 4], **how)
        if conv
        else (networks.stack([], [5, 7, 6, 4], **how))
    )
    for layer in net.layers:
        layer.draw(2.0, 0.8, 0.4)
        layer.bias.data.normal_(0, 0.3)
    return net.double()


def batch(conv: bool = False, n: int = 3) -> tuple[Any, Any]:
    images = randn(n, 2, 11, 11) if conv else randn(n, 5)
    return images, torch.randint(4, (n,))


@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize("recurrent", ["learned", "fixed", None])
@pytest.mark.parametrize("feedback", ["learned", "fixed"])
def test_three_steps_equal_numpys(conv: bool, recurrent: str | None, feedback: str) -> None:
    """Any slip in the equations, a batch mean for the sum, Z transposed, decay times a rate."""
    net = small(conv, recurrent=recurrent, feedback=feedback, p_baseline=0.3)
    lr = [0.7, 0.5, 0.3, 0.2][-len(net.names) :]
    momentum, decay, rate = 0.7, 0.02, 0.1 if recurrent == "learned" else 0.0
    learner = BurstLearner(
        net, BurstUpdate(net, lr, momentum=momentum, weight_decay=decay, recurrent_lr=rate)
    )
    names = ("weight", "bias", "weight_fa", "weight_r")
    theirs: list[Any] = []
    for layer in net.layers:
        held: list[Any] = [getattr(layer, name) for name in names]
        arrays: list[Any] = [None if t is None else t.detach().numpy().copy() for t in held]
        W, bias, Y, Z = arrays
        theirs.append(oracle.Layer(W, bias, Y, Z, getattr(layer, "stride", 1)))
    for _ in range(3):
        images, labels = batch(conv)
        learner.train_step(images, labels)
        oracle.step(
            theirs,
            images.numpy(),
            np.eye(4)[labels.numpy()],
            lr,
            momentum,
            decay,
            0.3,
            rate,
            feedback == "learned",
        )
    learner.state()
    for layer, them in zip(net.layers, theirs, strict=True):
        for name, value in zip(names, (them.W, them.bias, them.Y, them.Z), strict=True):
            mine = getattr(layer, name)
            if mine is not None:
                np.testing.assert_allclose(mine.detach().numpy(), value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("conv", [False, True])
def test_with_learned_feedback_W_minus_Y_shrinks_by_the_decay(conv: bool) -> None:
    """A gradient of its own for Y, decay forgotten on Y, or multiplied by the rate."""
    net, decay = small(conv, recurrent="learned"), 0.03
    rates = [0.5] * len(net.names)
    learner = BurstLearner(
        net, BurstUpdate(net, rates, momentum=0.9, weight_decay=decay, recurrent_lr=0.1)
    )
    before = [(layer.weight - layer.weight_fa).detach() for layer in net.layers]
    for t in range(1, 5):
        learner.train_step(*batch(conv))
        learner.state()
        for layer, first in zip(net.layers, before, strict=True):
            now = (layer.weight - layer.weight_fa).detach()
            torch.testing.assert_close(now, (1 - decay) ** t * first, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "kernel, stride, left_over",
    [(3, 2, 1), (3, 2, 0), (4, 2, 1), (5, 2, 1), (3, 1, 0), (1, 2, 1), (2, 3, 2), (1, 1, 0)],
)
def test_the_small_transport_is_the_transposed_convolution(
    kernel: int, stride: int, left_over: int, monkeypatch: Any
) -> None:
    """Places of the input that no kernel reaches, filled with whatever was in memory before."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    sent, Y, h = randn(6, 5, 4, 3), randn(5, 2, kernel, kernel), (4, 3)
    size = tuple((n - 1) * stride + kernel + left_over for n in h)
    torch.use_deterministic_algorithms(True)  # fresh memory holds NaN
    try:
        mine = rule.conv_transport(sent, Y, stride, (size[0], size[1]))
    finally:
        torch.use_deterministic_algorithms(False)
    theirs = functional.conv_transpose2d(sent, Y, stride=stride)
    theirs = functional.pad(theirs, (0, left_over, 0, left_over))
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_with_fixed_feedback_Y_is_no_parameter_and_stays() -> None:
    """Feedback alignment whose feedback drifts."""
    net = small(feedback="fixed")
    before = [layer.weight_fa.clone() for layer in net.layers]
    assert not any("weight_fa" in name for name, _ in net.named_parameters())
    BurstLearner(net, BurstUpdate(net, [0.5] * 3, weight_decay=0.1)).train_step(*batch())
    for layer, Y in zip(net.layers, before, strict=True):
        assert torch.equal(layer.weight_fa, Y)


def test_the_output_learns_from_the_gradient_times_a_known_factor() -> None:
    """5 p_baseline B times the gradient of the mean squared error, of ten outputs (5.1.11)."""
    p, n = 0.3, 6
    net: Any = networks.stack([], [5, 7, 10], p_baseline=p).double()
    images, labels = randn(n, 5), torch.randint(10, (n,))
    target = functional.one_hot(labels, 10).double()
    ((net(images) - target) ** 2).mean().backward()
    layer_result = net.two_phase_pass(images, target).layers[-1]
    G, G_bias = net.layers[-1].gradients(layer_result.delta, layer_result.x)
    torch.testing.assert_close(G, 5 * p * n * net.layers[-1].weight.grad)
    torch.testing.assert_close(G_bias, 5 * p * n * net.layers[-1].bias.grad)


@pytest.mark.parametrize("conv", [False, True])
def test_reference_is_autograds_gradient(conv: bool) -> None:
    """Angles against something that is not backprop."""
    net = small(conv)
    images, labels = batch(conv)
    target = functional.one_hot(labels, 4).double()
    (0.5 * (net(images) - target) ** 2).sum().backward()
    for result in (
        net.backprop(images, target),
        net.two_phase_pass(images, target, reference=True),
    ):
        for layer, layer_result in zip(net.layers, result.layers, strict=True):
            delta = layer_result.delta if layer_result.delta_bp is None else layer_result.delta_bp
            G, G_bias = layer.gradients(delta, layer_result.x)
            torch.testing.assert_close(G, layer.weight.grad)
            torch.testing.assert_close(G_bias, layer.bias.grad)


def test_tiny_errors_with_Y_equal_to_W_give_backprops_direction() -> None:
    """The claim of the paper: with aligned feedback in the linear range delta is backprop's."""
    net = small(p_baseline=0.01)
    for layer in net.layers:
        layer.weight_fa.data.copy_(layer.weight)
    result = net.two_phase_pass(*_with_target(batch()), reference=True)
    assert delta_angles(net, result).max() < 8


def _with_target(pair: Any) -> Any:
    return pair[0], functional.one_hot(pair[1], 4).double()


def test_learning_Z_brings_bursts_to_the_linear_point() -> None:
    """A wrong sign of G_Z drives u away from 0 (5.1.8)."""
    net = small(recurrent="learned", feedback="fixed")
    update = BurstUpdate(net, [0.0] * 3, recurrent_lr=0.05)
    images, target = _with_target(batch(n=8))
    first = net.two_phase_pass(images, target).layers
    before = [float(t.u.pow(2).mean()) for t in first[:-1]]
    for _ in range(300):
        update.step(net.two_phase_pass(images, target).layers)
    after = [float(t.u.pow(2).mean()) for t in net.two_phase_pass(images, target).layers[:-1]]
    assert all(b < 0.05 * a for a, b in zip(before, after, strict=True)), (before, after)


@pytest.mark.parametrize("phase", [0, 1])
def test_both_phases_travel_together_as_each_alone(phase: int) -> None:
    """A stacked transport that mixes samples of the two phases."""
    net = small(conv=True)
    layers = net.two_phase_pass(*_with_target(batch(conv=True))).layers
    for layer, above in zip(net.layers[1:], layers[1:], strict=True):
        shape = above.x.shape[1:]
        both = layer.transport(above.sent.flatten(0, 1), layer.weight_fa, shape).unflatten(
            0, (2, -1)
        )
        single = layer.transport(above.sent[phase].contiguous(), layer.weight_fa, shape)
        torch.testing.assert_close(both[phase], single, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("channels_out", [4, 300])
@pytest.mark.parametrize(("k", "stride", "size"), [(4, 2, 11), (3, 2, 8), (5, 3, 12), (3, 1, 7),
                                                   (2, 3, 10)])  # fmt: skip
def test_transport_is_the_gradient_with_respect_to_the_input(
    k: int, stride: int, size: int, channels_out: int
) -> None:
    """A row that the stride leaves over; the product for small kernels, the library's for large."""
    Y, x = randn(channels_out, 3, k, k), randn(2, 3, size, size + 1)
    y = functional.conv2d(x, Y, stride=stride)
    sent = randn(*y.shape)
    expected = grad.conv2d_input(x.shape, Y, sent, stride=stride)
    assert (Y.numel() > rule.SMALL_KERNEL) == (channels_out == 300 and k > 2)
    transported = rule.conv_transport(sent, Y, stride, tuple(x.shape[2:]))
    torch.testing.assert_close(transported, expected)
    G, G_bias = rule.conv_gradients(sent, x, Y, stride)
    torch.testing.assert_close(G, grad.conv2d_weight(x, Y.shape, sent, stride=stride))
    torch.testing.assert_close(G_bias, sent.sum((0, 2, 3)))


@pytest.mark.parametrize("recurrent", ["learned", None])
def test_updates_layer_by_layer_are_those_of_a_whole_step(recurrent: str | None) -> None:
    """A layer that moves before the one below has heard from it; the path of GPUs."""
    nets = [small(recurrent=recurrent) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    how: dict[str, Any] = {"momentum": 0.9, "weight_decay": 0.01, "recurrent_lr": 0.1}
    whole, single = (BurstUpdate(net, [0.5] * 3, **how) for net in nets)
    for _ in range(3):
        images, target = _with_target(batch())
        result = nets[0].two_phase_pass(images, target)
        with torch.no_grad():
            whole._apply(whole._gradients(result.layers), 1.0)
        nets[1].two_phase_pass(images, target, then=single.learn)
    one, two = whole.state() | nets[0].state_dict(), single.state() | nets[1].state_dict()
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, two[name])


def test_angles_are_those_of_trigonometry() -> None:
    """NaN for parallel vectors, whose cosine rounds beyond 1; no answer for zero vectors."""
    a = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [-2.0, 0.0]])
    b = torch.tensor([[1.0, 1.0], [2.0, 2.0], [1.0, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(
        angles(a, b), torch.tensor([45.0, 0.0, 90.0, 180.0]), atol=0.05, rtol=0
    )
    rows = torch.randn(500, 40)
    assert torch.isfinite(angles(rows, rows * 3)).all()
    net = small()
    W, Y = (t.detach().numpy().ravel() for t in (net.layers[1].weight, net.layers[1].weight_fa))
    expected = np.degrees(np.arccos(W @ Y / np.linalg.norm(W) / np.linalg.norm(Y)))
    assert float(weight_angles(net)[0]) == pytest.approx(expected)
    with pytest.raises(ValueError, match="reference"):
        delta_angles(net, net.two_phase_pass(*_with_target(batch())))


def test_delta_angles_cost_no_bits_and_are_measured_before_the_update() -> None:
    """A reference that changes what is learnt; an average that counts an epoch twice."""
    nets = [small(recurrent="learned") for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    plain, watched = (
        BurstLearner(net, BurstUpdate(net, [0.5] * 3, recurrent_lr=0.1), average=i == 1)
        for i, net in enumerate(nets)
    )
    seen = []
    for _ in range(3):
        images, labels = batch()
        result = nets[0].two_phase_pass(images, target(nets[0], images, labels), reference=True)
        seen.append(delta_angles(nets[0], result))
        plain.train_step(images, labels)
        watched.train_step(images, labels)
    for name, tensor in nets[0].state_dict().items():
        assert torch.equal(tensor, nets[1].state_dict()[name])
    torch.testing.assert_close(watched.delta_angles, torch.stack(seen).mean(0))
    watched.forget_angles()
    assert not watched.delta_angles.any()


def test_matched_backprop_differs_from_burstprop_in_hidden_layers_alone() -> None:
    """A controlled comparison that is none (burstprop, D12)."""
    nets = [small(p_baseline=0.3) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    burst = BurstLearner(nets[0], BurstUpdate(nets[0], [0.5] * 3, weight_decay=0.1))
    matched = MatchedBackpropLearner(
        nets[1], BurstUpdate(nets[1], [0.5] * 3, weight_decay=0.1), 0.3
    )
    images, labels = batch()
    assert torch.equal(burst.train_step(images, labels)[0], matched.train_step(images, labels)[0])
    same = [
        torch.allclose(a.weight, b.weight, rtol=0, atol=1e-12)
        for a, b in zip(nets[0].layers, nets[1].layers, strict=True)
    ]
    assert same == [False, False, True]


def test_backprop_baseline_decays_biases_and_averages() -> None:
    """v <- mu v + g + decay theta, theta <- theta - lr v, g of the mean (5.2)."""
    net = small(feedback=None)
    images, labels = batch()
    learner = BackpropLearner(net, 0.1, 0.8, 0.01)
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    loss = ((net(images) - target(net, images, labels)) ** 2).mean()
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    learner.train_step(images, labels)
    for (name, p), g in zip(net.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(p.detach(), before[name] - 0.1 * (g + 0.01 * before[name]))


def test_credit_is_the_rules_direction_and_the_losss_gradient() -> None:
    """An audit that compares a rule with itself, or that trains."""
    net = small(recurrent="learned")
    learner = BurstLearner(net, BurstUpdate(net, [0.5] * 3))
    images, labels = batch()
    state = {n: t.clone() for n, t in net.state_dict().items()}
    credit = learner.credit(images, labels)
    ((net(images) - target(net, images, labels)) ** 2).mean().backward()
    for layer, (mine, theirs) in zip(net.layers, credit.values(), strict=True):
        torch.testing.assert_close(theirs, layer.weight.grad)
        assert not torch.allclose(mine, theirs)
    assert all(torch.equal(t, state[n]) for n, t in net.state_dict().items())


def test_published_sizes() -> None:
    """The parameter counts (burstprop, 4)."""
    for hidden, trainable in enumerate((7_840, 397_000, 647_000, 897_000)):
        net = networks.make_network("mnist", hidden=hidden, feedback=None)
        biases = sum(len(layer.bias) for layer in net.layers)
        assert sum(p.numel() for p in net.parameters()) == trainable + biases
    counts = {
        "narrow": networks.make_network("cifar10", recurrent="learned"),
        "wide": networks.make_network("cifar10_wide", feedback="fixed", recurrent="learned"),
        "bp": networks.make_network("cifar10", feedback=None),
        "conv": networks.make_network("mnist_conv", feedback="learned", recurrent="learned"),
    }
    sizes = {name: sum(p.numel() for p in net.parameters()) for name, net in counts.items()}
    assert sizes == {
        "narrow": 6_798_154,
        "wide": 6_621_410,
        "bp": 2_875_530,
        "conv": 2 * 544_280 + 1_034 + 500_000,
    }
    x = torch.zeros(1, 3, 32, 32)
    assert [tuple(e.shape[1:]) for e in counts["narrow"].trace(x)[1]] == [
        (64, 14, 14),
        (128, 5, 5),
        (256, 3, 3),
        (1024,),
        (10,),
    ]


def test_initial_weights_are_spread_as_section_4_5_says() -> None:
    """A gain on Y, fan_in alone, recurrent weights that are normal."""
    layer: Any = BurstLinear(400, 300, recurrent="learned")
    layer.draw(3.6, 0.5, 0.01)
    assert float(layer.weight.detach().std()) == pytest.approx(3.6 * (2 / 700) ** 0.5, rel=0.02)
    assert float(layer.weight_fa.detach().std()) == pytest.approx(0.5, rel=0.02)
    assert 0.0099 < float(layer.weight_r.detach().abs().max()) <= 0.01
    conv = BurstConv2d(30, 40, 5)
    assert float(conv.weight.detach().std()) == pytest.approx((2 / (70 * 25)) ** 0.5, rel=0.02)
    layer.draw(1.0, 1.0, 0.01, recurrent_normal=True)
    assert float(layer.weight_r.detach().std()) == pytest.approx(0.01, rel=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BurstLinear(0, 3), r"n_in \(=0\)"),
        (lambda: BurstLinear(2, 3, feedback="tied"), r"feedback \(='tied'\)"),
        (lambda: BurstConv2d(2, 3, 3, stride=0), r"stride \(=0\)"),
        (lambda: BurstNetwork([BurstLinear(2, 3)]), "output units"),
        (lambda: BurstNetwork([BurstLinear(2, 3, units=SigmoidOutput())] * 2), "output units"),
        (
            lambda: BurstUpdate(networks.make_network("mnist", hidden=1), [0.1]),
            r"must have 2 entries",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(make: Any, words: str) -> None:
    """A network that trains something else than was meant."""
    with pytest.raises(ValueError, match=words):
        make()


def test_any_sizes_and_names_make_a_network() -> None:
    """A library that knows the paper's nets only."""
    net = BurstNetwork(
        {
            "eye": BurstConv2d(1, 2, 3),
            "deep": BurstLinear(72, 5, recurrent="fixed", units=SigmoidUnits()),
            "out": BurstLinear(5, 3, units=SigmoidOutput(0.5)),
        }
    )
    assert {"eye.weight", "eye.weight_fa", "deep.weight_r", "out.bias"} <= set(net.state_dict())
    learner = BurstLearner(net, BurstUpdate(net, [0.1] * 3))
    loss, correct = learner.train_step(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0]))
    assert torch.isfinite(loss) and 0 <= int(correct) <= 4
