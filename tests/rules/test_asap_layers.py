"""The rules as modules, and the conversion of somebody else's network."""

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import asap  # noqa: E402
from asap.layers import (  # noqa: E402
    FEEDBACK,
    DirectFeedback,
    FeedbackConv2d,
    FeedbackLinear,
    SharedConv2d,
    backprop,
)
from common.errors import UsageError  # noqa: E402


def storages(module: nn.Module) -> list[int]:
    return [t.untyped_storage().data_ptr() for t in module.state_dict().values()]


MAKERS = {
    "linear": lambda feedback: FeedbackLinear(5, 4, feedback=feedback),
    "conv": lambda feedback: FeedbackConv2d(3, 4, 3, feedback=feedback),
}


@pytest.mark.parametrize("feedback", FEEDBACK)
@pytest.mark.parametrize("kind", MAKERS)
def test_no_copy_or_move_ties_or_unties_storages(kind: str, feedback: str) -> None:
    """Defect (asap, D1): B once shared W's storage until a move split them."""
    layer = MAKERS[kind](feedback)
    for each in (layer, copy.deepcopy(layer), copy.deepcopy(layer).double(), layer.to("cpu")):
        assert len(set(storages(each))) == len(each.state_dict())
    assert not set(storages(layer)) & set(storages(copy.deepcopy(layer)))


@pytest.mark.parametrize("feedback", FEEDBACK)
def test_a_state_dict_holds_every_feedback_weight(feedback: str) -> None:
    """Loaded strictly into another draw, the same error comes down (fresh magnitudes aside)."""
    first, second = (FeedbackConv2d(3, 4, 3, feedback=feedback) for _ in range(2))
    second.load_state_dict(first.state_dict(), strict=True)
    if feedback != "batchwise":
        assert torch.equal(first.B, second.B)
    assert ("weight_fa" in first.state_dict()) == (feedback in ("fixed", "kp", "frozen"))


def test_sign_symmetry_follows_the_weights_signs() -> None:
    """At every step, with the three kinds of magnitude."""
    for feedback in ("uniform", "batchwise", "frozen"):
        layer = FeedbackLinear(20, 10, feedback=feedback)
        for _ in range(2):
            assert torch.equal(layer.B.sign(), layer.weight.sign())
            layer.weight.data.uniform_(-1, 1)
        magnitudes = [layer.B.abs() for _ in range(2)]
        assert torch.equal(*magnitudes) == (feedback != "batchwise")
        assert (magnitudes[0].std() == 0) == (feedback == "uniform")


def test_feedback_weights_are_drawn_as_the_original_draws_them() -> None:
    """Linear B: U(-1, 1) or as nn.Linear draws W; convolution: U(-1, 1) / sqrt(fan-in), its own."""
    wide = FeedbackLinear(400, 300, init="uniform").B
    assert 0.99 < float(wide.abs().max()) < 1 and abs(float(wide.std()) - 3**-0.5) < 0.01
    scaled = FeedbackLinear(400, 300).B
    assert 0.99 / 20 < float(scaled.abs().max()) < 1 / 20
    conv = FeedbackConv2d(64, 64, 3)
    assert 0.99 / 24 < float(conv.B.abs().max()) < 1 / 24 and not torch.equal(conv.B, conv.weight)
    F = DirectFeedback(10, (20, 30, 30)).weight_fb
    assert F.shape == (10, 20, 30, 30) and abs(float(F.std()) - 0.1**0.5) < 0.005


@pytest.mark.parametrize(
    "options", [{"padding": "same"}, {"padding": 2, "padding_mode": "reflect"}]
)
def test_every_padding_of_conv2d(options: dict) -> None:
    """Where B is W, gradients equal nn.Conv2d's."""
    plain = nn.Conv2d(3, 4, 3, **options)
    layer = FeedbackConv2d(3, 4, 3, **options)
    layer.load_state_dict(plain.state_dict() | {"weight_fa": plain.weight.detach().clone()})
    x = torch.randn(2, 3, 6, 6)
    results = []
    for module in (plain, layer):
        leaf = x.clone().requires_grad_()
        module(leaf).square().sum().backward()
        results.append((leaf.grad, module.weight.grad))
    torch.testing.assert_close(results[0], results[1])


def test_what_a_sharing_layer_cannot_pad_is_refused() -> None:
    """One line."""
    with pytest.raises(UsageError, match="padding"):
        SharedConv2d(3, 4, 3, padding="same")
    with pytest.raises(UsageError, match=r"feedback .*nope"):
        FeedbackLinear(3, 4, feedback="nope")
    with pytest.raises(UsageError, match=r"init .*nope"):
        FeedbackLinear(3, 4, init="nope")


def test_direct_feedback_equals_an_update_by_hand() -> None:
    """784-like net of two hidden layers: dfa (asap, 5), written out with matrices."""
    first, second, last = nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 3)
    receivers = [DirectFeedback(3, (5,)), DirectFeedback(3, (4,))]
    x, labels = torch.randn(7, 6), torch.randint(3, (7,))
    h1, carry1 = receivers[0](torch.tanh(first(x)))
    h2, carry2 = receivers[1](torch.tanh(second(h1)))
    logits = last(h2) + carry1 + carry2
    functional.cross_entropy(logits, labels).backward()
    with torch.no_grad():
        e = (logits.softmax(1) - functional.one_hot(labels, 3)) / 7
        delta1 = (e @ receivers[0].weight_fb) * (1 - h1**2)
        delta2 = (e @ receivers[1].weight_fb) * (1 - h2**2)
    torch.testing.assert_close(first.weight.grad, delta1.t() @ x)
    torch.testing.assert_close(second.weight.grad, delta2.t() @ h1)
    torch.testing.assert_close(last.weight.grad, e.t() @ h2)
    with torch.no_grad():
        assert receivers[0](h1)[1] is None  # nothing to carry where nothing learns


def test_backprop_is_the_exact_gradient_for_a_while() -> None:
    """Inside the context equal to plain layers' gradients; afterwards the rule again."""
    net = nn.Sequential(SharedConv2d(2, 3, 3), nn.Flatten(), FeedbackLinear(12, 2))
    plain = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 2))
    plain.load_state_dict(net.state_dict(), strict=False)
    x = torch.randn(4, 2, 4, 4)

    def gradient(model: Any) -> Any:
        return torch.autograd.grad(model(x).square().sum(), model[0].weight)[0]

    rule = gradient(net)
    with backprop(net):
        torch.testing.assert_close(gradient(net), gradient(plain))
    assert torch.equal(gradient(net), rule) and not torch.allclose(rule, gradient(plain))


# -- conversion ---------------------------------------------------------------------------------


@pytest.mark.parametrize("feedback", FEEDBACK)
def test_a_converted_resnet_computes_the_same_and_its_optimiser_goes_on(feedback: str) -> None:
    """torchvision's ResNet-18: same bits forward, the same parameters move, another error."""
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.resnet18(num_classes=10)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, labels = torch.randn(2, 3, 32, 32), torch.tensor([1, 2])
    model.eval()
    before, names = model(x), set(model.state_dict())
    functional.cross_entropy(before, labels).backward()
    true = model.conv1.weight.grad.clone()
    optimiser.step()  # momenta exist before the conversion
    stepped = model(x)
    learning = asap.convert(model, feedback)
    assert torch.equal(model(x), stepped)
    assert names <= set(model.state_dict())
    layers = [m for m in model.modules() if isinstance(m, FeedbackConv2d | FeedbackLinear)]
    assert len(layers) == 21
    assert len(learning) == (21 if feedback == "kp" else 0)
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert all(id(layer.weight) in held for layer in layers)
    optimiser.zero_grad()
    weight = model.conv1.weight.detach().clone()
    functional.cross_entropy(model(x), labels).backward()
    optimiser.step()
    assert not torch.equal(model.conv1.weight, weight)
    assert not torch.allclose(model.conv1.weight.grad, true, rtol=0.1)


def test_kp_pulls_w_and_b_together_by_decay_alone() -> None:
    """(1 - lr decay) a step under plain SGD, whatever the data."""
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.3)
    optimiser.add_param_group({"params": asap.convert(model, "kp")})
    first: Any = model[2]
    difference = (first.weight - first.weight_fa).detach().clone()
    for step in range(1, 6):
        optimiser.zero_grad()
        model(torch.randn(8, 6, dtype=torch.float64)).square().sum().backward()
        optimiser.step()
        torch.testing.assert_close(
            first.weight - first.weight_fa, difference * 0.97**step, rtol=1e-12, atol=1e-14
        )


def test_conversion_leaves_what_it_does_not_know() -> None:
    """Subclasses and skipped layers stay; a shared layer is converted once; hooks stay."""

    class Odd(nn.Linear):
        pass

    shared = nn.Linear(4, 4)
    calls = []
    shared.register_forward_hook(lambda *a: calls.append(1))
    model = nn.Sequential(shared, shared, Odd(4, 4), nn.Linear(4, 2)).eval()
    assert asap.convert(model, skip=("3",)) == []
    assert type(model[0]) is FeedbackLinear and model[0] is model[1]
    assert type(model[2]) is Odd and type(model[3]) is nn.Linear
    assert not model[0].training
    model(torch.randn(1, 4))
    assert len(calls) == 2
    assert type(model[0].weight) is nn.Parameter and model[0].weight is shared.weight


def test_the_model_itself_may_be_a_layer() -> None:
    """It becomes one in place."""
    layer: Any = nn.Conv2d(3, 4, 3, groups=1).double()
    asap.convert(layer)
    assert type(layer) is FeedbackConv2d and layer.B.dtype == torch.float64


def test_what_cannot_be_converted_is_named() -> None:
    """Unknown kinds and names, lazy and parametrised layers."""
    model = nn.Sequential(nn.Linear(4, 4))
    with pytest.raises(UsageError, match=r"feedback .*nope"):
        asap.convert(model, "nope")
    with pytest.raises(UsageError, match=r"skip .*nope"):
        asap.convert(model, skip=("nope",))
    with pytest.raises(UsageError, match="lazy layer 0"):
        asap.convert(nn.Sequential(nn.LazyLinear(4)))
    parametrised = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)))
    with pytest.raises(UsageError, match="layer 0 with a computed weight"):
        asap.convert(parametrised)
    assert type(model[0]) is nn.Linear


def test_tied_weights_stay_tied_with_feedback_of_their_own() -> None:
    """One W in two layers; two B's."""
    model: Any = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    asap.convert(model)
    assert model[0].weight is model[1].weight
    assert not torch.equal(model[0].weight_fa, model[1].weight_fa)
