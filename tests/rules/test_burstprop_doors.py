"""What Burstprop's doors refuse, in words, and what a step leaves alone."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="burstprop is a PyTorch paper")

from burstprop import networks  # noqa: E402
from burstprop.imagenet import learner as imagenet_learner  # noqa: E402
from burstprop.imagenet import networks as imagenet_networks  # noqa: E402
from burstprop.imagenet.rule import ReLUUnits, SoftmaxOutput  # noqa: E402
from burstprop.layers import BurstConv2d, BurstLinear  # noqa: E402
from burstprop.learner import (  # noqa: E402
    BackpropLearner,
    BurstLearner,
    MatchedBackpropLearner,
    PerturbationLearner,
)
from burstprop.networks import BurstNetwork  # noqa: E402
from burstprop.perturbation.original import OriginalPerturbation  # noqa: E402
from burstprop.perturbation.rule import Noise, Perturbation  # noqa: E402
from burstprop.rule import SigmoidOutput  # noqa: E402
from burstprop.update import BurstUpdate  # noqa: E402
from common.errors import ArgumentError, UserError  # noqa: E402
from common.runs import checkpoint  # noqa: E402

NAN, INF = math.nan, math.inf
HOW: dict[str, Any] = {"momentum": 0.9, "weight_decay": 0.05, "recurrent_lr": 0.1}


def small(**how: Any) -> Any:
    return networks.stack([], [5, 7, 6, 4], recurrent="learned", **how)


imagenet_network = imagenet_networks.make_network


def rectified(**how: Any) -> Any:
    return imagenet_networks.rectified([(1, 3, 3, 1)], [27, 6, 4], **how)


def batch(n: int = 8) -> tuple[Any, Any]:
    return torch.randn(n, 5), torch.randint(4, (n,))


def copies(net: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def moved(net: Any, before: dict[str, Any]) -> set[str]:
    return {n for n, t in net.state_dict().items() if not torch.equal(t, before[n])}


# -- frozen ---------------------------------------------------------------------------------------


def learner(net: Any, kind: str) -> Any:
    if kind == "backprop":
        return BackpropLearner(net, 0.3, 0.9, 0.05)
    update = BurstUpdate(net, [0.3] * 3, **HOW)
    if kind == "matched":
        return MatchedBackpropLearner(net, update, 0.2)
    if kind == "burstprop":
        return BurstLearner(net, update)
    form = Perturbation if kind == "perturbation" else OriginalPerturbation
    return PerturbationLearner(net, update, form(net, "all", Noise(), 0.001))


@pytest.mark.parametrize("when", ["before", "later"])
@pytest.mark.parametrize(
    "kind", ["burstprop", "matched", "backprop", "perturbation", "original perturbation"]
)
@pytest.mark.parametrize(
    "frozen, still",
    [
        ("fc1.weight", {"fc1.weight", "fc1.weight_fa"}),
        ("fc2.weight", {"fc2.weight", "fc2.weight_fa"}),
        ("fc2.weight_fa", {"fc2.weight_fa"}),
        ("fc1.weight_fa", {"fc1.weight_fa"}),
        ("fc2.weight_r", {"fc2.weight_r"}),
        ("fc3.bias", {"fc3.bias"}),
        ("fc2", {"fc2.weight", "fc2.bias", "fc2.weight_fa", "fc2.weight_r"}),
    ],
)
def test_what_is_frozen_keeps_its_bits(kind: str, frozen: str, still: set[str], when: str) -> None:
    """Gradient, momentum of earlier steps and decay alike; with W its Y, which would run away."""
    net = small()
    part = dict(net.named_parameters()).get(frozen)
    part = net.get_submodule(frozen) if part is None else part
    if when == "before":
        part.requires_grad_(False)
    ours = learner(net, kind)
    if when == "later":
        for _ in range(2):
            ours.train_step(*batch())
        part.requires_grad_(False)
    before = copies(net)
    for _ in range(3):
        ours.train_step(*batch())
    ours.state()
    changed = moved(net, before)
    assert not still & changed
    learns = {n for n in before if n not in still}
    if kind != "burstprop":  # the others have no use for what sends and steadies bursts
        learns = {n for n in learns if not n.endswith("weight_r")}
    if kind == "backprop":
        learns = {n for n in learns if not n.endswith("weight_fa")}
    assert {n for n in learns if not n.endswith("fc3.weight_r")} <= changed
    assert ours.parameters() == sum(p.numel() for p in net.parameters() if p.requires_grad)


def test_what_thaws_goes_on_where_it_was() -> None:
    """A Y that decays while its layer is frozen, or makes up for it afterwards."""
    net = small()
    update = BurstUpdate(net, [0.3] * 3, **HOW)
    ours, first = BurstLearner(net, update), net.layers[0]

    def steps(n: int) -> Any:
        for _ in range(n):
            ours.train_step(*batch())
        return (first.weight - first.weight_fa).detach()

    start = steps(2)
    first.requires_grad_(False)
    assert torch.equal(steps(3), start)
    first.requires_grad_(True)
    torch.testing.assert_close(steps(2), start * 0.95**2, rtol=1e-4, atol=1e-6)


def test_frozen_layers_of_a_whole_step_stay_too() -> None:
    """The path of GPUs and of several processes."""
    nets = [small() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    for net in nets:
        net.fc2.weight.requires_grad_(False)
        net.fc1.bias.requires_grad_(False)
    whole, single = (BurstUpdate(net, [0.3] * 3, **HOW) for net in nets)
    for _ in range(3):
        images, labels = batch()
        result = nets[0].two_phase_pass(images, torch.eye(4)[labels])
        with torch.no_grad():
            whole._apply(whole._gradients(result.layers), 1.0)
        single.step(nets[1].two_phase_pass(images, torch.eye(4)[labels]).layers)
    one, two = whole.state() | nets[0].state_dict(), single.state() | nets[1].state_dict()
    for name, value in one.items():
        torch.testing.assert_close(value, two[name])


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("feedback", ["learned", "fixed", None])
@pytest.mark.parametrize("frozen", ["conv1", "fc1.weight", "fc2.weight_fa", "fc2.bias"])
def test_what_is_frozen_keeps_its_bits_under_the_imagenet_rule(
    frozen: str, feedback: str | None, optimiser: str
) -> None:
    """Hand-made gradients that are given to whoever asks."""
    net = rectified(feedback=feedback, kappa=1e-2)
    parameters = dict(net.named_parameters())
    if frozen not in parameters and frozen != "conv1":
        return  # no such parameter with this feedback
    make = imagenet_learner.sgd() if optimiser == "sgd" else imagenet_learner.adam()
    ours = imagenet_learner.Learner(net, [0.1] * 3, make)
    images, labels = torch.randn(6, 1, 5, 5), torch.randint(4, (6,))
    ours.train_step(images, labels)
    (parameters[frozen] if frozen in parameters else net.conv1).requires_grad_(False)
    before = copies(net)
    for _ in range(3):
        ours.train_step(images, labels)
    still = {n for n in before if n == frozen or n.startswith(frozen + ".")}
    still |= {f"{n}_fa" for n in still if n.endswith("weight") and feedback}
    changed = moved(net, before)
    assert still and not still & changed
    fixed = {n for n in before if n.endswith("weight_fa") and feedback == "fixed"}
    assert set(before) - still - fixed == changed
    assert ours.parameters() == sum(p.numel() for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize("recurrent", ["learned", "fixed"])
def test_fixed_feedback_stays_when_everything_is_unfrozen(recurrent: str) -> None:
    """A constant that `requires_grad_` or an optimiser could reach."""
    net = networks.stack([], [5, 7, 6, 4], recurrent=recurrent, feedback="fixed")
    net.requires_grad_(True)
    before = copies(net)
    ours = BurstLearner(net, BurstUpdate(net, [0.3] * 3, **HOW))
    for _ in range(3):
        ours.train_step(*batch())
    kinds = {n.rpartition(".")[2] for n in moved(net, before)}
    assert kinds == {"weight", "bias"} | ({"weight_r"} if recurrent == "learned" else set())


# -- the update and a network that changes under it -----------------------------------------------


@pytest.mark.parametrize("change", ["double", "half", "bfloat16"])
def test_a_network_of_another_type_is_noticed(change: str) -> None:
    """Momenta of the old type: torch's words, or none."""
    net = rectified(kappa=1e-2)
    update = BurstUpdate(net, [0.1] * 3)
    result = net.two_phase_pass(torch.randn(6, 1, 5, 5), torch.randint(4, (6,)))
    getattr(net, change)()
    with pytest.raises(ArgumentError, match=r"^net has \w+.weight of .* make the update after"):
        update.step(result.layers)


def test_a_loaded_state_is_noticed() -> None:
    """A Y that the update puts back from what it remembers of the old network."""
    net, other = small(), small()
    update = BurstUpdate(net, [0.3] * 3, weight_decay=0.05)
    ours = BurstLearner(net, update)
    ours.train_step(*batch())
    net.load_state_dict(other.state_dict())
    before = [(layer.weight - layer.weight_fa).detach() for layer in net.layers]
    for _ in range(2):
        ours.train_step(*batch())
    for layer, first in zip(net.layers, before, strict=True):
        now = (layer.weight - layer.weight_fa).detach()
        torch.testing.assert_close(now, 0.95**2 * first, rtol=1e-4, atol=1e-6)


def test_a_checkpoint_that_holds_a_difference_is_refused_by_name(tmp_path: Any) -> None:
    """A run of before 2026-12, whose first Y was worked out from what was left of W - Y."""
    net = small()
    ours = BurstLearner(net, BurstUpdate(net, [0.3] * 3, **HOW))
    names = {f"{n}.weight_fa" for n in net.names}
    assert names <= set(ours.state()) and not {"opt.kept", "opt.difference"} & set(ours.state())
    state = ours.state() | {"opt.kept": 0.9, "opt.difference": net.layers[0].weight.detach() * 0.1}
    before = SimpleNamespace(backend=ours.backend, state=lambda: state)
    folder = checkpoint.save(tmp_path, 1, before, {}, ("last",))
    with pytest.raises(UserError, match=r"opt\.difference is in the checkpoint") as error:
        checkpoint.load(folder, ours)
    assert str(folder) in str(error.value)


def test_training_that_is_resumed_goes_on_bit_for_bit() -> None:
    """A state of the update that undoes the network's, or the reverse."""
    data = [batch() for _ in range(6)]
    nets = [small() for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    one, two = (BurstLearner(net, BurstUpdate(net, [0.3] * 3, **HOW)) for net in nets)
    for each in data[:3]:
        one.train_step(*each)
    kept = {k: v.clone() if torch.is_tensor(v) else v for k, v in one.state().items()}
    for each in data[3:]:
        one.train_step(*each)
    two.train_step(*batch())
    two.load_state(kept)
    for each in data[3:]:
        two.train_step(*each)
    assert not moved(nets[1], nets[0].state_dict())


def test_what_is_no_result_of_two_phases_is_refused() -> None:
    """`step(result)`: a pair that has other layers."""
    net = small()
    images, labels = batch()
    with pytest.raises(ArgumentError, match=r"^results must have 3 entries.*`layers`"):
        BurstUpdate(net, [0.1] * 3).step(net.two_phase_pass(images, torch.eye(4)[labels]))


NO_RATES = [
    0.1,
    [0.1],
    [0.1, 0.1, -1],
    [0.1, 0.1, NAN],
    [0.1, 0.1, INF],
    "abc",
    None,
    ["a", "b", "c"],
    {0.1, 0.2, 0.3},
    np.float32(0.1),
]


@pytest.mark.parametrize("lr", NO_RATES)
def test_a_rate_that_is_none_is_refused(lr: Any) -> None:
    """A scalar ended in "object of type 'float' has no len()"."""
    with pytest.raises(ArgumentError, match=r"^lr \(="):
        BurstUpdate(small(), lr)
    with pytest.raises(ArgumentError, match=r"^lr \(="):
        imagenet_learner.Learner(rectified(kappa=1e-2), lr, imagenet_learner.sgd())


def test_rates_may_come_as_an_array() -> None:
    """numpy's and torch's numbers are numbers."""
    given: Any = (np.full(3, 0.1), torch.full((3,), 0.5), (0.1, 1, np.float32(0.5)))
    for lr in given:
        assert all(type(rate) is float for rate in BurstUpdate(small(), lr).lr)


# -- inputs and precision -------------------------------------------------------------------------


def test_arrays_and_other_floats_are_brought_to_the_networks_type() -> None:
    """numpy arrays and float64 tensors given to a float32 network: the same result."""
    net = small()
    images, labels = batch()
    target = torch.eye(4)[labels]
    wanted = net.two_phase_pass(images, target)
    reversed_twice = np.ascontiguousarray(images.numpy()[::-1])[::-1]  # negative strides
    for x in (
        images.numpy(),
        images.double(),
        images.double().numpy(),
        reversed_twice,
        images.tolist(),
    ):
        result = net.two_phase_pass(x, target)
        for a, b in zip(result.layers, wanted.layers, strict=True):
            assert torch.equal(a.delta, b.delta) and a.delta.dtype == torch.float32
        assert torch.equal(net(x), wanted.output)
    assert net.double()(images).dtype == torch.float64


@pytest.mark.parametrize(
    "x, words",
    [
        (torch.zeros(8, 5, dtype=torch.uint8), r"\(torch.uint8\) must be floating-point"),
        (np.zeros((8, 5), np.int64), r"\(torch.int64\) must be floating-point"),
        ("images", r"\(of type str\)"),
        (None, r"\(of type NoneType\)"),
        (torch.zeros(8, 6), r"\(shape \(8, 6\)\) must have .*5 numbers an image"),
        (torch.zeros(5), r"\(shape \(5,\)\) must have a batch's axis"),
        (torch.zeros(8, 5, device="meta"), "is on meta, and the network on cpu"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x: Any, words: str) -> None:
    """In our words, from every door."""
    net = small()
    target, noisy = torch.zeros(8, 4), Perturbation(net, "all", Noise(), 0.001)
    doors = [lambda x: net.two_phase_pass(x, target), lambda x: net.backprop(x, target)]
    for door in (net, net.trace, *doors, lambda x: noisy.updates(x, target)):
        with pytest.raises(ArgumentError, match=f"^x {words}"):
            door(x)


@pytest.mark.parametrize("shape", [(2, 5, 5), (2, 2, 5, 5), (2, 1, 2, 5), (2, 25)])
def test_images_that_a_convolution_cannot_take_are_refused(shape: tuple[int, ...]) -> None:
    """No room for the kernel, another number of maps, no batch's axis."""
    with pytest.raises(ArgumentError, match=r"^x .*must be \(B, 1, H, W\) with H and W >= 3"):
        rectified(kappa=1e-2)(torch.zeros(shape))


def test_autocast_teaches_differences_and_refuses_rates() -> None:
    """Two phases that differ by less than bfloat16 can tell: a result of rounding noise."""
    images, labels = batch()
    with torch.autocast("cpu", torch.bfloat16):
        assert small()(images).shape == (8, 4)
        with pytest.raises(
            ArgumentError, match=r"^units of fc1 .*under autocast to torch.bfloat16"
        ):
            small().two_phase_pass(images, torch.eye(4)[labels])
    with pytest.raises(ArgumentError, match=r"^net must not be taught in torch.float16"):
        small().half().two_phase_pass(images.half(), torch.eye(4)[labels].half())
    net = rectified(kappa=1e-2)
    update, x = BurstUpdate(net, [0.1] * 3, momentum=0.9), torch.randn(6, 1, 5, 5)
    wanted = net.two_phase_pass(x, labels[:6])
    with torch.autocast("cpu", torch.bfloat16):
        result = net.two_phase_pass(x, labels[:6])
        update.step(result.layers)
    for a, b in zip(result.layers, wanted.layers, strict=True):
        cosine = torch.nn.functional.cosine_similarity(a.delta.flatten(), b.delta.flatten(), 0)
        assert a.delta.dtype == torch.float32 and cosine > 0.99
    assert all(p.dtype == torch.float32 for p in net.parameters())


def test_no_feedback_inside_a_network_gets_a_sentence() -> None:
    """An assertion without a word."""
    net = networks.stack([], [5, 7, 4], feedback=None)
    images, labels = batch()
    with pytest.raises(ArgumentError, match=r"^feedback \(=None\) of fc2 must be"):
        net.two_phase_pass(images, torch.eye(4)[labels])
    only_first = BurstNetwork(
        [BurstLinear(5, 7, feedback=None), BurstLinear(7, 4, units=SigmoidOutput())]
    )
    only_first.two_phase_pass(images, torch.eye(4)[labels])  # nobody listens below the first


# -- numbers out of range -------------------------------------------------------------------------

RANGES: list[tuple[str, Any, list[Any]]] = [
    ("p_baseline", SigmoidOutput, [2, -1, 0, NAN, INF, "a", None, True]),
    ("p_baseline", SoftmaxOutput, [2, -1, 0, NAN, INF, "a", None]),
    ("kappa", lambda v: SoftmaxOutput(kappa=v), [0, -1e-5, NAN, INF, "a"]),
    ("kappa", ReLUUnits, [0, -1.0, NAN, INF, None]),
    ("p_baseline", lambda v: networks.make_network("mnist", p_baseline=v), [2, NAN]),
    ("hidden", lambda v: networks.make_network("mnist", hidden=v), [-1, 1.5, NAN, "a"]),
    ("sizes", lambda v: networks.stack([], v), [[], [5], 5]),
    ("n_in", lambda v: BurstLinear(v, 3), [0, -1, 2.5, NAN, "a", None, True]),
    ("n_out", lambda v: BurstLinear(3, v), [0, -1, 2.5, NAN]),
    ("kernel", lambda v: BurstConv2d(1, 2, v), [0, -1, 2.5, (3, 3)]),
    ("stride", lambda v: BurstConv2d(1, 2, 3, v), [0, -1, 1.5, NAN]),
    ("channels_in", lambda v: BurstConv2d(v, 2, 3), [0, -1]),
    ("channels_out", lambda v: BurstConv2d(1, v, 3), [0, -1]),
    ("feedback", lambda v: BurstLinear(3, 3, feedback=v), ["tied", "", 0]),
    ("recurrent", lambda v: BurstLinear(3, 3, recurrent=v), ["tied", 1]),
    ("gain", lambda v: BurstLinear(3, 3).draw(gain=v), [-1, NAN, INF]),
    ("feedback_std", lambda v: BurstLinear(3, 3).draw(feedback_std=v), [-1, NAN, INF]),
    ("recurrent_range", lambda v: BurstLinear(3, 3).draw(recurrent_range=v), [-1, NAN, INF]),
    ("momentum", lambda v: BurstUpdate(small(), [0.1] * 3, momentum=v), [-0.1, 1.1, NAN, INF, "a"]),
    ("weight_decay", lambda v: BurstUpdate(small(), [0.1] * 3, weight_decay=v), [-0.1, 2, NAN]),
    ("recurrent_lr", lambda v: BurstUpdate(small(), [0.1] * 3, recurrent_lr=v), [-0.1, NAN, INF]),
    ("lr", lambda v: BackpropLearner(small(), v), [-0.1, NAN, INF, [0.1]]),
    ("momentum", lambda v: BackpropLearner(small(), 0.1, v), [-0.1, 2, NAN]),
    ("weight_decay", lambda v: BackpropLearner(small(), 0.1, 0.1, v), [-0.1, NAN]),
    (
        "p_baseline",
        lambda v: MatchedBackpropLearner(small(), BurstUpdate(small(), [0.1] * 3), v),
        [0, 2, NAN],
    ),
    ("xi_std", lambda v: Noise(0.0, v), [0, -1, NAN, INF]),
    ("xi_mean", Noise, [NAN, INF, "a"]),
    ("std", lambda v: Perturbation(small(), "all", Noise(), v), [0, -1, NAN]),
    ("std", lambda v: OriginalPerturbation(small(), "all", Noise(), v), [0, -1, NAN]),
    ("width", lambda v: imagenet_network(4, width=v), [0, -1, NAN, INF]),
    ("classes", imagenet_network, [0, -1, 2.5]),
    ("image_size", lambda v: imagenet_network(4, image_size=v), [0, -1, 192, 224.5, NAN]),
    ("weight_fa_std", lambda v: imagenet_network(4, weight_fa_std=v), [NAN, INF]),
    ("momentum", imagenet_learner.sgd, [-0.1, 2, NAN]),
    ("weight_decay", lambda v: imagenet_learner.sgd(0.9, v), [-0.1, NAN, INF]),
]


@pytest.mark.parametrize("argument, make, values", RANGES)
def test_a_number_out_of_its_range_is_refused_where_it_enters(
    argument: str, make: Any, values: list[Any]
) -> None:
    """Taken in silence, it is a network that learns nothing, or something else."""
    for value in values:
        with pytest.raises(ArgumentError, match=rf"^{argument} \(="):
            make(value)


def test_numpys_numbers_are_numbers() -> None:
    """Widths and probabilities that were computed."""
    layer = BurstLinear(np.int64(3), np.int32(4), units=SigmoidOutput(np.float32(0.25)))  # type: ignore
    assert layer.weight.shape == (4, 3) and SigmoidOutput(1).p_baseline == 1
