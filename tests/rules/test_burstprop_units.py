"""Units that go together learn backprop's direction at Y = W; those that do not are refused.

Where errors and burst rates are small, the equations (burstprop, 5.1.5, 5.4.4) give every
hidden layer backprop's delta, scaled by one number: sigmoid'(0) = 1/4 a layer.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="burstprop is a PyTorch paper")
from torch.nn import functional  # noqa: E402

from burstprop.imagenet.rule import ReLUUnits, SoftmaxOutput  # noqa: E402
from burstprop.layers import BurstConv2d, BurstLinear  # noqa: E402
from burstprop.learner import BurstLearner  # noqa: E402
from burstprop.networks import BurstNetwork  # noqa: E402
from burstprop.rule import SigmoidOutput, SigmoidUnits  # noqa: E402
from burstprop.update import BurstUpdate  # noqa: E402
from common.errors import ArgumentError  # noqa: E402

KAPPA, P = 1e-3, 1e-3


@dataclass(frozen=True)
class SoftplusUnits(SigmoidUnits):
    """Somebody's own units, with a rate and a slope and nothing else."""

    def rate(self, y: Any) -> Any:
        return functional.softplus(y)

    def slope(self, e: Any) -> Any:
        return -torch.expm1(-e)


@dataclass(frozen=True)
class SteepUnits(SigmoidUnits):
    """A steeper sigmoid."""

    def rate(self, y: Any) -> Any:
        return torch.sigmoid(3 * y)

    def slope(self, e: Any) -> Any:
        return 3 * e * (1 - e)


@dataclass(frozen=True)
class SoftplusOutput(SigmoidOutput):
    """The same of output units."""

    def rate(self, y: Any) -> Any:
        return functional.softplus(y)

    def slope(self, e: Any) -> Any:
        return -torch.expm1(-e)


OUTPUTS: dict[str, Any] = {
    "sigmoid output": SigmoidOutput(P),
    "softplus output": SoftplusOutput(P),
    "exact softmax": SoftmaxOutput(P, KAPPA),
    "original softmax": SoftmaxOutput(P, KAPPA, exact=False),
    "exact softmax, unscaled": SoftmaxOutput(P, 1.0),
    "original softmax, unscaled": SoftmaxOutput(P, 1.0, exact=False),
}
HIDDEN: dict[str, Any] = {
    "sigmoid": lambda kappa: SigmoidUnits(),
    "steep": lambda kappa: SteepUnits(),
    "softplus": lambda kappa: SoftplusUnits(),
    "exact ReLU": lambda kappa: ReLUUnits(kappa),
    "original ReLU": lambda kappa: ReLUUnits(kappa, exact=False),
}


def cosine(a: Any, b: Any) -> float:
    return float(functional.cosine_similarity(a.flatten(), b.flatten(), 0))


def aligned(*units: Any) -> Any:
    """8-7-6-...-4 with Y = W, small where a rate of 0 is one half, and large at the bottom, where
    rectified units would divide a small feedback by a small rate."""
    sizes = [8, *(7, 6)[: len(units) - 1], 4]
    pairs = zip(sizes[:-1], sizes[1:], units, strict=True)
    net: Any = BurstNetwork([BurstLinear(a, b, units=u) for a, b, u in pairs]).double()
    with torch.no_grad():
        for layer in net.layers:
            layer.weight.mul_(0.05)
            layer.bias.normal_(0, 0.02)
        net.layers[0].weight.mul_(20)
        for layer in net.layers:
            layer.weight_fa.copy_(layer.weight)
    return net


def loss_of(net: Any, x: Any, labels: Any) -> Any:
    output = net(x)
    if isinstance(net.layers[-1].units, SoftmaxOutput):
        return functional.cross_entropy(output, labels, reduction="sum")
    return 0.5 * (output - torch.eye(4, dtype=output.dtype)[labels]).square().sum()


def cosines(net: Any) -> list[float]:
    """Of the rule's and backprop's gradient, layer by layer."""
    x, labels = torch.randn(16, 8, dtype=torch.float64), torch.randint(4, (16,))
    softmax = isinstance(net.layers[-1].units, SoftmaxOutput)
    target = labels if softmax else torch.eye(4, dtype=torch.float64)[labels]
    result = net.two_phase_pass(x, target)
    true = torch.autograd.grad(loss_of(net, x, labels), [layer.weight for layer in net.layers])
    mine = [
        layer.gradients(t.delta, t.x)[0] for layer, t in zip(net.layers, result.layers, strict=True)
    ]
    return [cosine(a, b) for a, b in zip(mine, true, strict=True)]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_every_pair_of_hidden_and_output_units_is_backprop_or_refused(
    hidden: str, output: str
) -> None:
    """Rectified units under a sigmoid output read a rate as a difference: cosine -0.96."""
    top = OUTPUTS[output]
    units = HIDDEN[hidden](top.kappa)
    if units.kappa != top.kappa:
        with pytest.raises(
            ArgumentError, match=r"^kappa of fc1 \(=1, .*must be 0.001, by which fc2"
        ):
            aligned(units, top)
        return
    angles = cosines(aligned(units, top))
    assert min(angles) > 0.99, angles


@pytest.mark.parametrize("above", HIDDEN)
@pytest.mark.parametrize("below", HIDDEN)
def test_every_pair_of_hidden_units_is_backprop(below: str, above: str) -> None:
    """Layer by layer: a net's sum hides one that goes the wrong way."""
    angles = cosines(aligned(HIDDEN[below](1.0), HIDDEN[above](1.0), SigmoidOutput(P)))
    assert min(angles) > 0.99, angles


def test_a_convolution_of_rectified_units_learns_below_a_sigmoid_output() -> None:
    """The two parts that travel are told apart behind a transposed convolution as well."""
    net: Any = BurstNetwork(
        [BurstConv2d(1, 3, 3, units=ReLUUnits()), BurstLinear(27, 4, units=SigmoidOutput(P))]
    ).double()
    with torch.no_grad():
        net.layers[1].weight_fa.copy_(net.layers[1].weight)
    x, target = (
        torch.randn(6, 1, 5, 5, dtype=torch.float64),
        torch.eye(4).double()[[0, 1, 2, 3, 1, 0]],
    )
    result = net.two_phase_pass(x, target)
    (0.5 * (net(x) - target).square().sum()).backward()
    for layer, layer_result in zip(net.layers, result.layers, strict=True):
        assert (
            cosine(layer.gradients(layer_result.delta, layer_result.x)[0], layer.weight.grad) > 0.99
        )


def test_digits_are_learnt_by_rectified_units_under_a_sigmoid_output() -> None:
    """They stayed at chance, 0.09."""
    from common.data.digits import load

    pixels, classes = load("digits", Path("."), download=False)[0]
    images, labels = torch.tensor(pixels).flatten(1).float() / 255, torch.tensor(classes)
    net = BurstNetwork(
        [
            BurstLinear(images.shape[1], 60, units=ReLUUnits()),
            BurstLinear(60, 10, units=SigmoidOutput(0.2)),
        ]
    )
    for layer in net.layers:
        layer.draw(feedback_std=0.1)
    learner = BurstLearner(net, BurstUpdate(net, [0.3, 0.3], momentum=0.5, weight_decay=1e-4))
    for _ in range(8):
        for part in torch.randperm(len(images)).split(32):
            learner.train_step(images[part], labels[part])
    _, right = learner.eval_step(images, labels)
    assert int(right) > 0.8 * len(images)


@pytest.mark.parametrize(
    "units, wanted",
    [(ReLUUnits(), "1e-05"), (SigmoidUnits(), "1e-05"), (ReLUUnits(1e-3), "1e-05")],
)
def test_a_scale_that_is_not_undone_is_refused(units: Any, wanted: str) -> None:
    """Weights that move by 1e-4 of their norm while the output hides it at 82 %."""
    with pytest.raises(ArgumentError, match=f"kappa of fc1 .*must be {wanted}, by which fc2"):
        BurstNetwork([BurstLinear(5, 4, units=units), BurstLinear(4, 3, units=SoftmaxOutput())])


@pytest.mark.parametrize("held", ["learned", "fixed"])
@pytest.mark.parametrize("units", [ReLUUnits(), SoftmaxOutput(), SigmoidOutput()])
def test_recurrent_weights_that_nobody_uses_are_refused(units: Any, held: str) -> None:
    """A Z that never learns."""
    with pytest.raises(ArgumentError, match=rf"^recurrent \(='{held}'\) must be None"):
        BurstLinear(5, 4, recurrent=held, units=units)


def test_units_that_do_not_learn_by_their_slope_are_refused() -> None:
    """Cosine 0.09 for bursts that belong to another rate; a slope that nobody has derived."""

    @dataclass(frozen=True)
    class Forgetful(SigmoidUnits):
        def rate(self, y: Any) -> Any:
            return functional.softplus(y)

    @dataclass(frozen=True)
    class Signed(SigmoidUnits):
        def rate(self, y: Any) -> Any:
            return torch.tanh(y)

        def slope(self, e: Any) -> Any:
            return 1 - e * e

    @dataclass(frozen=True)
    class Leaky(ReLUUnits):
        def rate(self, y: Any) -> Any:
            return functional.softplus(y)

        def slope(self, e: Any) -> Any:
            return -torch.expm1(-e)

    for units, words in (
        (Forgetful(), "not the derivative"),
        (Signed(), "negative event rates"),
        (Leaky(), "another rate"),
    ):
        with pytest.raises(ArgumentError, match=rf"^units of fc1 .*{words}"):
            BurstNetwork([BurstLinear(5, 4, units=units), BurstLinear(4, 3, units=SigmoidOutput())])
    for nonsense in (SigmoidUnits, "sigmoid", torch.nn.ReLU()):
        with pytest.raises(ArgumentError, match=r"^units .*must be an object with"):
            BurstLinear(5, 4, units=nonsense)  # type: ignore[arg-type]


@pytest.mark.parametrize("recurrent", [None, "learned"])
def test_a_steeper_sigmoid_is_the_same_net_with_larger_weights(recurrent: str | None) -> None:
    """sigmoid(3 y): three times the weights, a third of the gradient, in any regime."""
    steep: Any = BurstNetwork(
        [
            BurstLinear(5, 4, units=SteepUnits(), recurrent=recurrent),
            BurstLinear(4, 3, units=SigmoidOutput()),
        ]
    ).double()
    plain: Any = BurstNetwork(
        [BurstLinear(5, 4, recurrent=recurrent), BurstLinear(4, 3, units=SigmoidOutput())]
    ).double()
    state = steep.state_dict()
    plain.load_state_dict(
        state | {"fc1.weight": 3 * state["fc1.weight"], "fc1.bias": 3 * state["fc1.bias"]}
    )
    # Feedback that is three times as large at a slope three times as large is the same potential.
    steep.fc2.weight_fa.data.div_(3)
    x, target = torch.randn(6, 5, dtype=torch.float64), torch.eye(3).double()[[0, 1, 2, 0, 1, 2]]
    mine, theirs = (
        steep.two_phase_pass(x, target).layers[0],
        plain.two_phase_pass(x, target).layers[0],
    )
    if recurrent is None:
        torch.testing.assert_close(mine.delta, theirs.delta)
    else:  # b_pre is sigmoid(f) e, and f a third of the other's
        f = steep.two_phase_pass(x, target).layers[1].sent @ steep.fc2.weight_fa
        torch.testing.assert_close(mine.b_pre, torch.sigmoid(f[0]) * mine.e)
        torch.testing.assert_close(
            mine.u, 3 * f[0] * (1 - mine.e) - mine.b_pre @ steep.fc1.weight_r.t()
        )


@pytest.mark.parametrize(
    "layers, words",
    [
        (lambda: [], "must end with"),
        (lambda: [torch.nn.Linear(3, 2)], "hold fc1 of type Linear"),
        (
            lambda: [BurstLinear(5, 4), BurstLinear(3, 2, units=SigmoidOutput())],
            "fc2 takes 3 inputs, and fc1 has 4 outputs",
        ),
        (
            lambda: [BurstConv2d(1, 3, 3), BurstLinear(7, 2, units=SigmoidOutput())],
            "fc1 takes 7 inputs, and conv1 has 3 maps",
        ),
        (
            lambda: [BurstLinear(5, 4), BurstConv2d(4, 2, 1, units=SigmoidOutput())],
            "convolution conv1 above the linear fc1",
        ),
        (lambda: [*[BurstLinear(4, 4)] * 2, BurstLinear(4, 2, units=SigmoidOutput())], "different"),
        (lambda: {"a.b": BurstLinear(4, 2, units=SigmoidOutput())}, "'a.b'"),
        (lambda: {"names": BurstLinear(4, 2, units=SigmoidOutput())}, "'names'"),
        (lambda: {"layers": BurstLinear(4, 2, units=SigmoidOutput())}, "'layers'"),
    ],
)
def test_layers_that_do_not_fit_are_refused_when_the_network_is_made(
    layers: Any, words: str
) -> None:
    """Not by torch in the first step."""
    with pytest.raises(ArgumentError, match=f"^layers .*{words}"):
        BurstNetwork(layers())
