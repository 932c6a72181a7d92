"""What ASAP's doors refuse, in words, and what a step leaves alone."""

import copy
import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="asap runs on torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import asap  # noqa: E402
from asap import rule  # noqa: E402
from asap.layers import (  # noqa: E402
    FEEDBACK,
    DirectFeedback,
    FeedbackConv2d,
    FeedbackLinear,
    SharedConv2d,
)
from asap.learner import Learner, adam, sgd  # noqa: E402
from asap.modes import MODES  # noqa: E402
from asap.networks import make_network as network  # noqa: E402
from common.errors import ArgumentError, UserError  # noqa: E402

NAN, INF = math.nan, math.inf


def plain() -> Any:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5), nn.ReLU(), nn.Linear(5, 3)
    )


def steps(model: Any, optimiser: Any, n: int = 3) -> None:
    for _ in range(n):
        optimiser.zero_grad()
        x, labels = torch.randn(8, 2, 5, 5), torch.randint(3, (8,))
        functional.cross_entropy(model(x), labels).backward()
        optimiser.step()


def copies(model: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def moved(model: Any, before: dict[str, Any]) -> set[str]:
    return {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}


# -- constants are buffers, frozen is frozen ------------------------------------------------------


@pytest.mark.parametrize("feedback", FEEDBACK)
def test_only_the_feedback_of_kp_learns_when_everything_is_unfrozen(feedback: str) -> None:
    """Feedback alignment that becomes Kolen-Pollack: cos(W, B) 0.737 -> 0.997 in 2,000 steps."""
    model = plain()
    learning = asap.convert(model, feedback)
    model.requires_grad_(True)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    before = copies(model)
    steps(model, optimiser)
    names = {n for n in moved(model, before) if n.endswith(("weight_fa", "scale"))}
    assert names == ({f"{i}.weight_fa" for i in (0, 3, 5)} if feedback == "kp" else set())
    assert len(learning) == len(names)
    named = {n for n, _ in model.named_parameters()}
    assert any(n.endswith("weight_fa") for n in named) == (feedback == "kp")


@pytest.mark.parametrize("mode", MODES)
def test_constants_of_the_papers_networks_are_buffers(mode: str) -> None:
    """What a mode does not train: B of linear layers, F, B under weight transport."""
    for wt in (False, True) if mode in ("kp", "asap", "asap_k4") else (False,):
        net = network("resnet18", mode, width=0.04, size=8, wt=wt)
        parameters = {
            n for n, _ in net.named_parameters() if n.endswith(("weight_fa", "weight_fb"))
        }
        shared = {f"{n}.weight_fa" for n, m in net.named_modules() if isinstance(m, SharedConv2d)}
        assert parameters == (set() if wt else shared)
        net.requires_grad_(True)
        held = {n: b.clone() for n, b in net.named_buffers() if n.endswith(("_fa", "_fb"))}
        assert bool(held) == (mode != "bp")
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.1)
        functional.cross_entropy(
            net(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 2, 3])
        ).backward()
        optimiser.step()
        buffers = dict(net.named_buffers())
        assert all(torch.equal(buffers[n], tensor) for n, tensor in held.items())


@pytest.mark.parametrize("feedback", FEEDBACK)
@pytest.mark.parametrize("frozen", [("0",), ("3", "5"), ("0", "3", "5")])
def test_a_frozen_layer_neither_trains_nor_returns_its_B(
    frozen: tuple[str, ...], feedback: str
) -> None:
    """B alone learns and runs away: a loss of 1e24."""
    model = plain()
    for name in frozen:
        model.get_submodule(name).requires_grad_(False)
    learning = asap.convert(model, feedback)
    assert len(learning) == (3 - len(frozen) if feedback == "kp" else 0)
    every = [*model.parameters(), *learning]
    optimiser = torch.optim.SGD(list(dict.fromkeys(every)), lr=0.1, momentum=0.9, weight_decay=0.1)
    before = copies(model)
    if len(frozen) < 3:
        steps(model, optimiser)
    still = {n for n in before if n.split(".")[0] in frozen}
    assert not moved(model, before) & still
    thawed = model.requires_grad_(True)
    steps(thawed, optimiser)
    fixed = set() if feedback == "kp" else {n for n in before if n.endswith(("_fa", "scale"))}
    assert moved(model, before) == set(before) - fixed


@pytest.mark.parametrize("feedback", FEEDBACK)
def test_a_layer_that_is_frozen_after_its_conversion_keeps_its_B(feedback: str) -> None:
    """With a B that the optimiser holds and decays, and momentum of earlier steps."""
    model = plain()
    asap.convert(model, feedback)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    steps(model, optimiser)
    model[3].weight.requires_grad_(False)
    before = copies(model)
    steps(model, optimiser)
    assert not {"3.weight", "3.weight_fa"} & moved(model, before)
    assert {"3.bias", "0.weight", "5.weight"} <= moved(model, before)


FROZEN = {
    "convnet": (
        "convs.1",
        "convs.2.weight",
        "convs.1.weight_fa",
        "linears.0",
        "linears.1.weight",
        "conv_norms.1",
    ),
    "resnet18": ("blocks.0", "blocks.1.conv1", "head", "stem"),
}
CASES = [(model, part) for model, parts in FROZEN.items() for part in parts]


@pytest.mark.parametrize("model, part", CASES)
@pytest.mark.parametrize("mode", ["bp", "fa", "kp", "asap"])
@pytest.mark.parametrize("make", [sgd(0.1), adam(0.01)])
def test_the_learner_leaves_what_is_frozen(mode: str, model: str, part: str, make: Any) -> None:
    """B that moves with W, biases that only decay: neither of them by autograd."""
    net = network(model, mode, width=0.04, size=8)
    parameters = dict(net.named_parameters())
    if part not in parameters and part.endswith("weight_fa"):
        return
    (parameters[part] if part in parameters else net.get_submodule(part)).requires_grad_(False)
    learner = Learner(net, make)
    before = copies(net)
    for _ in range(3):
        learner.train_step(torch.randn(4, 3, 8, 8), torch.randint(10, (4,)))
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    held = {n for n in before if n == part or n.startswith(f"{part}.")}
    layer = part.removesuffix(".weight") if part.endswith(".weight") else None
    held |= {n for n in before if layer and n in (f"{layer}.weight_fa", f"{layer}.bias")}
    held = {n for n in held if not n.endswith(statistics)}
    changed = moved(net, before)
    assert held and not held & changed
    assert any(n.endswith("weight") for n in changed)


def test_a_second_learner_moves_what_the_first_one_moved() -> None:
    """A B that counts as frozen because another learner moves it itself."""
    net: Any = network("convnet", "asap", width=0.04, size=8)
    for _ in range(2):
        learner = Learner(net, sgd(0.1))
        before = copies(net)
        learner.train_step(torch.randn(4, 3, 8, 8), torch.randint(10, (4,)))
        assert {"convs.1.weight_fa", "convs.2.weight_fa"} <= moved(net, before)


@pytest.mark.parametrize("change", ["freeze", "thaw", "double"])
def test_a_learner_notices_that_its_network_is_another(change: str) -> None:
    """Momenta of another type, a layer that goes on learning though frozen."""
    net: Any = network("convnet", "asap", width=0.04, size=8)
    learner = Learner(net, sgd(0.1))
    if change == "double":
        net.double()
    else:
        net.convs[1 if change == "freeze" else 0].weight.requires_grad_(change == "thaw")
    with pytest.raises(ArgumentError, match=r"^net was frozen, unfrozen, moved or given another"):
        learner.train_step(torch.randn(4, 3, 8, 8), torch.randint(10, (4,)))


def test_a_loaded_state_is_not_undone_by_the_next_step() -> None:
    """A B that the learner puts back from what it remembers of the old network."""
    pair: list[Any] = [network("convnet", "asap", width=0.04, size=8) for _ in range(2)]
    net, other = pair
    learner = Learner(net, sgd(0.1, 0.0, 0.5))
    images, labels = torch.randn(4, 3, 8, 8), torch.randint(10, (4,))
    learner.train_step(images, labels)
    net.load_state_dict(other.state_dict())
    learner.train_step(images, labels)
    for i in (1, 2):
        mine, theirs = net.convs[i], other.convs[i]
        torch.testing.assert_close(
            mine.weight - mine.weight_fa, (theirs.weight - theirs.weight_fa) * (1 - 0.1 * 0.5)
        )


# -- conversion -----------------------------------------------------------------------------------


@pytest.mark.parametrize("second", FEEDBACK)
@pytest.mark.parametrize("first", FEEDBACK)
def test_a_second_conversion_switches(first: str, second: str) -> None:
    """It was a silent no-op."""
    model, fresh = plain(), plain()
    state = model.state_dict()
    asap.convert(model, first)
    was = [getattr(m, "weight_fa", None) for m in model]
    kept = model[3].weight
    learning = asap.convert(model, second)
    wanted = asap.convert(fresh, second)
    assert [m.feedback for m in model if hasattr(m, "feedback")] == [second] * 3
    assert model.state_dict().keys() == fresh.state_dict().keys()
    assert len(learning) == len(wanted) and {n for n, _ in model.named_parameters()} == {
        n for n, _ in fresh.named_parameters()
    }
    for layer, old in zip(model, was, strict=True):
        new = getattr(layer, "weight_fa", None)
        assert old is None or new is None or not torch.equal(old, new)
    assert model[3].weight is kept and all(
        torch.equal(t, model.state_dict()[n]) for n, t in state.items()
    )
    model.load_state_dict(fresh.state_dict())
    steps(model, torch.optim.SGD(model.parameters(), lr=0.1))


def test_a_model_without_layers_to_convert_is_refused() -> None:
    """Backprop under the name of feedback alignment."""
    for model in (nn.ReLU(), nn.Sequential(nn.LSTM(3, 3)), nn.Sequential()):
        with pytest.raises(ArgumentError, match=r"^model has no nn.Linear and no nn.Conv2d"):
            asap.convert(model)
    with pytest.raises(ArgumentError, match=r"^model has layer 0 with weights .*complex64"):
        asap.convert(nn.Sequential(nn.Linear(2, 2, dtype=torch.complex64)))


OPTIONS: list[dict[str, Any]] = [
    {},
    {"padding": 1},
    {"padding": "same"},
    {"stride": 2, "bias": False},
    {"padding": 2, "padding_mode": "reflect"},
    {"groups": 2},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("feedback", FEEDBACK)
def test_one_image_without_a_batch_goes_through_as_through_conv2d(
    feedback: str, options: dict[str, Any]
) -> None:
    """(C, H, W): the same bits forward, the gradients of the batch of one."""
    plain = nn.Conv2d(2, 4, 3, **options)
    layer = copy.deepcopy(plain)
    asap.convert(layer, feedback)
    x = torch.randn(2, 6, 5)
    assert torch.equal(layer(x), plain(x)) and torch.equal(layer(x[None])[0], plain(x[None])[0])
    if feedback == "batchwise":
        return
    results = []
    for image in (x, x[None]):
        image = image.clone().requires_grad_()
        y = layer(image)
        weights = torch.linspace(-1, 1, y.numel()).view_as(y)
        results.append(torch.autograd.grad((y * weights).sum(), [image, layer.weight]))
    assert results[0][0].shape == (2, 6, 5)
    torch.testing.assert_close(results[0][0], results[1][0][0])
    torch.testing.assert_close(results[0][1], results[1][1])


def test_one_image_learns_from_a_shared_image() -> None:
    """Both without a batch."""
    layer: Any = SharedConv2d(4, 3, 3)
    x, s = torch.randn(4, 5, 5), torch.randn(2, 10, 10)
    (mine,) = torch.autograd.grad(layer(x, s).sum(), layer.weight)
    (theirs,) = torch.autograd.grad(layer(x[None], s[None]).sum(), layer.weight)
    torch.testing.assert_close(mine, theirs)
    linear: Any = FeedbackLinear(4, 3)
    assert torch.equal(
        linear(x[0, 0, :4]), functional.linear(x[0, 0, :4], linear.weight, linear.bias)
    )


# -- wrong shapes and types -----------------------------------------------------------------------


def refusal(module: Any, *inputs: Any) -> str:
    with pytest.raises(Exception) as error:
        module(*inputs).sum().backward()
    return "ours" if isinstance(error.value, UserError) else str(error.value)


@pytest.mark.parametrize(
    "shape, dtype",
    [
        ((2, 3), None),
        ((), None),
        ((2, 4), torch.float64),
        ((2, 4), torch.int64),
        ((2, 4), torch.bool),
        ((4, 4, 3), None),
        ((2, 4), torch.complex64),
    ],
)
def test_a_linear_layer_refuses_what_nn_linear_refuses(shape: Any, dtype: Any) -> None:
    """In its words: `backward` is never reached."""
    x = torch.ones(shape, dtype=dtype)
    assert refusal(FeedbackLinear(4, 3), x) == refusal(nn.Linear(4, 3), x)


@pytest.mark.parametrize(
    "shape, dtype",
    [
        ((2, 3, 5, 5), None),
        ((3, 5, 5), None),
        ((2, 2, 2, 2), None),
        ((2, 5), None),
        ((), None),
        ((1, 2, 2, 5, 5), None),
        ((2, 2, 5, 5), torch.float64),
        ((2, 2, 5, 5), torch.uint8),
    ],
)
@pytest.mark.parametrize("kind", [FeedbackConv2d, SharedConv2d])
def test_a_convolution_refuses_what_nn_conv2d_refuses(kind: Any, shape: Any, dtype: Any) -> None:
    """Or says it better."""
    x = torch.ones(shape, dtype=dtype)
    assert type(refusal(nn.Conv2d(2, 4, 3), x)) is str
    with pytest.raises((RuntimeError, ValueError)):
        kind(2, 4, 3)(x)


@pytest.mark.parametrize("x", [np.ones((2, 4), np.float32), [[1.0] * 4], None, "image"])
def test_what_is_no_tensor_is_refused_in_a_sentence(x: Any) -> None:
    """By every module."""
    for module in (FeedbackLinear(4, 3), FeedbackConv2d(2, 4, 1), DirectFeedback(3, (4,))):
        with pytest.raises(ArgumentError, match=r"^x \(of type \w+\) must be a torch tensor"):
            module(x)


@pytest.mark.parametrize(
    "s, words",
    [
        (torch.zeros(2, 3, 5, 5), r"\(shape \(2, 3, 5, 5\)\) cannot be tiled and pooled to"),
        (torch.zeros(2, 4, 4, 4), "cannot be tiled"),
        (torch.zeros(3, 4, 5, 5), "cannot be tiled"),
        (torch.zeros(2, 0, 5, 5), "cannot be tiled"),
        (torch.zeros(4, 5, 5), "cannot be tiled"),
        (torch.zeros(2, 4), "cannot be tiled"),
        (torch.zeros(2, 4, 5, 5).double(), r"\(torch.float64 on cpu\) must be of x's type"),
        (torch.zeros(2, 4, 5, 5, device="meta"), "on meta"),
    ],
)
def test_a_shared_activation_that_does_not_fit_is_refused_at_once(s: Any, words: str) -> None:
    """Not in the backward pass, in torch's words."""
    with pytest.raises(ArgumentError, match=f"^s .*{words}"):
        SharedConv2d(4, 3, 3)(torch.zeros(2, 4, 5, 5), s)


@pytest.mark.parametrize("shape", [(7, 5), (7, 4, 1), (4,), (), (7, 1)])
def test_an_activation_that_a_receiver_does_not_have_is_refused(shape: Any) -> None:
    """(7, 1) would be broadcast."""
    x = torch.zeros(shape)
    with pytest.raises(ArgumentError, match=r"^x \(shape .*must be \(N, 4\)"):
        DirectFeedback(3, (4,))(x)


@pytest.mark.parametrize("B", [torch.zeros(3, 5), torch.zeros(1, 4), torch.zeros(3, 4).double()])
def test_feedback_weights_unlike_the_forward_ones_are_refused(B: Any) -> None:
    """A row that is broadcast sends one error to all."""
    x, W = torch.zeros(2, 4), torch.zeros(3, 4)
    with pytest.raises(ArgumentError, match=r"^B \("):
        rule.linear(x, W, B)
    with pytest.raises(ArgumentError, match=r"^B \("):
        rule.conv2d(x[..., None, None], W[..., None, None], B[..., None, None])


RANGES: list[tuple[str, Any, list[Any]]] = [
    ("in_features", lambda v: FeedbackLinear(v, 3), [0, -1, 2.5, NAN, "a"]),
    ("out_features", lambda v: FeedbackLinear(3, v), [0, -1, 2.5, NAN]),
    ("feedback", lambda v: FeedbackLinear(3, 3, feedback=v), ["nope", None, 1]),
    ("init", lambda v: FeedbackLinear(3, 3, init=v), ["nope", None]),
    ("in_channels", lambda v: FeedbackConv2d(v, 3, 1), [0]),
    ("out_channels", lambda v: FeedbackConv2d(3, v, 1), [0]),
    ("bound", lambda v: FeedbackLinear(3, 3).draw_feedback(v), [0, -1, NAN, INF, "a"]),
    ("classes", lambda v: DirectFeedback(v, (3,)), [0, -1, 2.5, NAN, "a"]),
    ("shape", lambda v: DirectFeedback(3, v), [(), (0,), (2, -1), 3, "ab", (NAN,)]),
    ("classes", lambda v: network("convnet", classes=v, mode="bp", width=0.1), [0, -1, 2.5, "a"]),
    ("channels", lambda v: network("resnet18", channels=v, mode="bp", width=0.1), [0, -1, 1.5]),
    ("size", lambda v: network("convnet", size=v, mode="bp", width=0.1), [0, -1, 8.5]),
    (
        "widths",
        lambda v: network("convnet", "bp", widths=v),
        [(), (8, 8), (0, 8, 8), 8, (8, 8, NAN)],
    ),
    ("widths", lambda v: network("resnet18", "asap", widths=v), [(8, 8, 12, 16), (8, 8)]),
    ("hidden", lambda v: network("convnet", "bp", hidden=v, widths=(8, 8, 8)), [0, -1, NAN]),
    ("width", lambda v: network("resnet18", "bp", width=v), [0, -1, NAN, INF, "a"]),
    ("fa_feedback", lambda v: network("convnet", "fa", fa_feedback=v, width=0.1), ["nope", None]),
    (
        "feedback_init",
        lambda v: network("convnet", "fa", feedback_init=v, width=0.1),
        ["nope", None],
    ),
    ("model", lambda v: network(v, "fa"), ["nope", None]),
    ("feedback", lambda v: network("convnet", v, width=0.1), ["nope", None]),
    ("lr", sgd, [-0.1, NAN, INF, "a", [0.1]]),
    ("momentum", lambda v: sgd(0.1, v), [-0.1, 1, NAN]),
    ("weight_decay", lambda v: sgd(0.1, 0.9, v), [-0.1, NAN, INF]),
    ("lr", adam, [-0.1, NAN, INF]),
]


@pytest.mark.parametrize("argument, make, values", RANGES)
def test_a_value_out_of_its_range_is_refused_where_it_enters(
    argument: str, make: Any, values: list[Any]
) -> None:
    """A network of nothing, or an error of torch's in the first step."""
    for value in values:
        with pytest.raises(UserError, match=rf"^{argument} \(="):
            make(value)


@pytest.mark.parametrize("feedback", ["uniform", "batchwise", "frozen"])
def test_feedback_that_follows_signs_is_not_drawn(feedback: str) -> None:
    """An assertion without a word; or signs that `frozen` multiplies with W's."""
    with pytest.raises(ArgumentError, match=rf"^feedback \(={feedback}\) follows W's signs"):
        FeedbackLinear(3, 3, feedback=feedback).draw_feedback(1.0)
