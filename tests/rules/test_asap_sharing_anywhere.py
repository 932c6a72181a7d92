"""ASAP and DFA in networks that know nothing of them: the same bits as in the paper's own ones."""

import copy
import io
import pickle
from functools import partial
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="asap runs on torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import asap  # noqa: E402
from asap.layers import FeedbackConv2d, FeedbackLinear, SharedConv2d  # noqa: E402
from asap.networks import make_network  # noqa: E402
from common.errors import ArgumentError  # noqa: E402

SHARES = {"kp": 1, "asap": 2, "asap_k4": 4}
LABELS = torch.tensor([0, 1, 2, 3])


def pair(model: str, mode: str) -> tuple[Any, Any]:
    """The plain network and the paper's own one of a mode, with the same W, norms and biases."""
    options: dict[str, Any] = {"width": 0.1, "size": 16}
    if model != "convnet":
        options["conv_bias"] = False
    plain, ours = make_network(model, "bp", **options), make_network(model, mode, **options)
    assert not ours.load_state_dict(plain.state_dict(), strict=False).unexpected_keys
    return plain, ours


def agree(plain: Any, ours: Any, images: Any) -> int:
    """Logits and every gradient of the paper's network, bit for bit; how many there are."""
    logits = [net(images) for net in (plain, ours)]
    assert torch.equal(*logits)
    for z in logits:
        functional.cross_entropy(z, LABELS).backward()
    mine = dict(plain.named_parameters())
    wanted = {n: p.grad for n, p in ours.named_parameters() if p.grad is not None}
    for name, gradient in wanted.items():
        assert torch.equal(mine[name].grad, gradient), name
    return len(wanted)


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        (m, f)
        for m in ("convnet", "resnet18", "resnet34")
        for f in SHARES
        if m + f != "convnetasap_k4"
    ],
)
def test_the_plain_network_converted_is_the_papers_own(model: str, mode: str) -> None:
    """Another order of layers, a shortcut counted as a layer, a pool forgotten (asap, 5)."""
    plain, ours = pair(model, mode)
    images = torch.randn(4, 3, 16, 16)
    learning = asap.convert(plain, "asap", share=SHARES[mode], images=images)
    theirs = dict(ours.named_modules())
    convolutions = {n for n, m in ours.named_modules() if isinstance(m, SharedConv2d)}
    for name, layer in plain.named_modules():
        if hasattr(theirs[name], "weight_fa"):
            layer.weight_fa.data.copy_(theirs[name].weight_fa)
    found = agree(plain, ours, images)
    assert found > 2 * len(convolutions)
    # The stem, which the paper freezes and we do not, has a B that learns as well.
    assert len(learning) == len(convolutions) + 1


@pytest.mark.parametrize("model", ["convnet", "resnet18"])
def test_direct_feedback_at_the_papers_receivers_is_the_papers_dfa(model: str) -> None:
    """A receiver before the pool, an error that still comes down a shortcut (asap, 5)."""
    plain, ours = pair(model, "dfa")
    if model == "convnet":
        at = [f"relus.{i}" for i in range(3)] + ["input of linears.1", "input of linears.2"]
        receivers = list(ours.receivers)
    else:
        blocks = range(len(ours.blocks))
        at = ["input of blocks.0", *(f"blocks.{j}.relu{i}" for j in blocks for i in (1, 2))]
        receivers = [ours.receiver]
        receivers += [getattr(b, f"receiver{i}") for b in ours.blocks for i in (1, 2)]
    images = torch.randn(4, 3, 16, 16)
    assert asap.convert(plain, "dfa", at=at, images=images) == []
    for place, receiver in zip(at, receivers, strict=True):
        module = plain.get_submodule(place.removeprefix("input of "))
        name = "weight_fb_input" if place.startswith("input of ") else "weight_fb"
        assert getattr(module, name).shape == receiver.weight_fb.shape
        getattr(module, name).copy_(receiver.weight_fb)
    assert agree(plain, ours, images) > 10


# -- what conversion leaves as it is --------------------------------------------------------------


class Small(nn.Module):
    """A residual net of nobody's: a shortcut, one activation in two places, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.second, self.third = nn.Conv2d(4, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.short = nn.Conv2d(4, 8, 1, 2, bias=False)
        self.head, self.relu = nn.Linear(8, 5), nn.ReLU()

    def forward(self, x: Any) -> Any:
        x = self.relu(self.first(x))
        x = self.relu(self.short(x) + self.third(self.relu(self.second(x))))
        return self.head(x.mean((2, 3)))


IMAGES = torch.randn(4, 2, 8, 8)
MODES: dict[str, dict[str, Any]] = {
    **{mode: {} for mode in ("fixed", "kp", "uniform", "frozen")},
    "asap": {"share": 2, "images": IMAGES},
    "dfa": {"images": IMAGES},
}


def gradients(model: Any, images: Any = IMAGES) -> dict[str, Any]:
    model.zero_grad()
    functional.cross_entropy(model(images), LABELS).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


@pytest.mark.parametrize("mode", MODES)
def test_deconvert_gives_the_plain_model_back(mode: str) -> None:
    """A hook that stays, a B in the state dict, another class, another W."""
    model = Small()
    calls: list[int] = []
    model.register_forward_hook(lambda *_: calls.append(0))
    model.second.register_forward_pre_hook(lambda *_: calls.append(1))
    before = {n: t.clone() for n, t in model.state_dict().items()}
    layout = {n: dict(vars(m)).keys() for n, m in model.named_modules()}
    wanted, objects = gradients(model), {n: id(p) for n, p in model.named_parameters()}
    asap.convert(model, mode, **MODES[mode])
    assert not same(gradients(model), wanted)
    asap.deconvert(model)
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert {n: id(p) for n, p in model.named_parameters()} == objects
    assert [type(m) for m in (model.first, model.short, model.head)] == [nn.Conv2d] * 2 + [
        nn.Linear
    ]
    assert {n: dict(vars(m)).keys() for n, m in model.named_modules()} == layout
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()) == 2
    calls.clear()
    assert same(gradients(model), wanted) and sorted(calls) == [0, 1]
    asap.deconvert(model)  # and what is plain stays so
    assert list(model.state_dict()) == list(before)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("earlier", ["kp", "asap", "dfa"])
def test_a_second_conversion_switches(earlier: str, mode: str) -> None:
    """Receivers of the old mode that go on, or slots that nobody fills."""
    torch.manual_seed(0)
    once = Small()
    twice = copy.deepcopy(once)
    asap.convert(twice, earlier, **MODES[earlier])
    gradients(twice)
    for model in (once, twice):
        torch.manual_seed(1)
        asap.convert(model, mode, **MODES[mode])
    assert set(once.state_dict()) == set(twice.state_dict())
    assert [type(m) for m in once.modules()] == [type(m) for m in twice.modules()]
    assert same(gradients(once), gradients(twice))


@pytest.mark.parametrize("mode", MODES)
def test_optimiser_hooks_and_names_go_on(mode: str) -> None:
    """The optimiser's parameters, the user's hooks, the old keys, the forward's bits."""
    model = Small()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    gradients(model)
    optimiser.step()
    seen: list[Any] = []
    model.third.register_forward_hook(lambda *_: seen.append(1))
    names, logits = list(model.state_dict()), model(IMAGES)
    learning = asap.convert(model, mode, **MODES[mode])
    seen.clear()
    assert torch.equal(model(IMAGES), logits) and seen == [1]
    new = {n.rpartition(".")[2] for n in model.state_dict() if n not in names}
    allowed = {"weight_fa", "scale", "weight_fb", "weight_fb_1", "weight_fb_2"}
    assert set(names) <= set(model.state_dict()) and new <= allowed and new
    held = [p for group in optimiser.param_groups for p in group["params"]]
    fresh = [p for p in model.parameters() if not any(p is q for q in held)]
    assert [id(p) for p in fresh] == [id(p) for p in learning]
    before = [p.detach().clone() for p in held]
    gradients(model)
    optimiser.step()
    assert all(not torch.equal(p, q) for p, q in zip(held, before, strict=True))


@pytest.mark.parametrize("mode", ["asap", "dfa"])
def test_a_copy_learns_as_its_original_and_apart_from_it(mode: str) -> None:
    """A copy whose layers learn from the original's inputs, or send its errors there."""
    model = Small()
    asap.convert(model, mode, **MODES[mode])
    wanted = gradients(model)
    whole = io.BytesIO()
    torch.save(model, whole)
    whole.seek(0)
    for again in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        torch.load(whole, weights_only=False),
    ):
        gradients(model, torch.randn(2, 2, 8, 8).repeat(2, 1, 1, 1))
        assert same(gradients(again), wanted)
        asap.deconvert(again)
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in again.modules())
    assert same(gradients(model), wanted)


@pytest.mark.parametrize("mode", ["asap", "dfa"])
def test_the_trace_changes_nothing_and_nothing_is_kept(mode: str) -> None:
    """Running statistics moved by the traced batch; activations that live on after a step."""
    model = nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Dropout()),
        *(nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(64, 5)),
    )
    model[1].eval()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    with pytest.raises(ArgumentError):
        asap.convert(
            model, mode, images=IMAGES, **{"share": 0} if mode == "asap" else {"at": ["x"]}
        )
    assert torch.equal(state, torch.get_rng_state())
    asap.convert(model, mode, images=IMAGES)
    assert [m.training for m in model] == [i != 1 for i in range(9)]
    after = model.state_dict()
    assert all(torch.equal(t, after[n]) for n, t in before.items())
    gradients(model)
    for module in model.modules():
        slot = getattr(module, "serves", None)
        assert slot is None or slot.x is None
        for hook in module._forward_hooks.values():
            assert not getattr(getattr(hook, "carries", None), "waiting", None)


@pytest.mark.parametrize("mode", ["asap", "dfa"])
def test_backprop_of_a_converted_model_is_exact(mode: str) -> None:
    """`with backprop(model)`: receivers that stay shut off from above."""
    model = Small()
    wanted = gradients(model)
    asap.convert(model, mode, **MODES[mode])
    rule = gradients(model)
    with asap.backprop(model):
        found = gradients(model)
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient)
    assert same(gradients(model), rule) and not same(rule, wanted)


def test_tied_layers_stay_tied() -> None:
    """One W in two layers with two B's; a linear layer in two places is one."""
    tied = nn.Linear(4, 4)
    model: Any = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), tied, nn.ReLU(), tied, nn.Linear(4, 5))
    asap.convert(model, "dfa", images=torch.randn(3, 6))
    assert model[2] is model[4] and type(tied) is nn.Linear
    convs: Any = nn.Sequential(*(nn.Conv2d(2, 2, 1) for _ in range(3)))
    convs[2].weight = convs[1].weight
    asap.convert(convs, "asap", images=IMAGES)
    assert convs[2].weight is convs[1].weight
    assert not torch.equal(convs[2].weight_fa, convs[1].weight_fa)


# -- under torch's transforms ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["asap", "dfa"])
def test_gradients_of_each_sample_average_to_the_batchs(mode: str) -> None:
    """torch.func: a slot or a carry that leaks out of a vmapped forward pass."""
    model = Small()
    asap.convert(model, mode, **MODES[mode])
    wanted = gradients(model)
    state = {n: t.detach() for n, t in [*model.named_parameters(), *model.named_buffers()]}

    def loss(state: Any, image: Any, label: Any) -> Any:
        logits = torch.func.functional_call(model, state, (image[None],))
        return functional.cross_entropy(logits, label[None])

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(state, IMAGES, LABELS)
    for name, gradient in wanted.items():
        torch.testing.assert_close(each[name].mean(0), gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["asap", "dfa"])
def test_a_converted_model_under_autocast_and_compiled(mode: str) -> None:
    """Hooks that the compiler drops, a shared activation of another type than the weights'."""
    model = Small()
    asap.convert(model, mode, **MODES[mode])
    wanted = gradients(model)
    compiled = gradients(torch.compile(model, backend="aot_eager"))
    for name, gradient in wanted.items():
        found = compiled[f"_orig_mod.{name}"]
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        rough = gradients(model)
    for name, gradient in wanted.items():
        cosine = functional.cosine_similarity(rough[name].flatten(), gradient.flatten(), 0)
        assert cosine > 0.9, name


# -- sharing by hand ------------------------------------------------------------------------------


def deltas(seen: dict[str, Any], module: Any, inputs: Any, output: Any) -> None:
    """A forward hook that notes the error at the layer's output."""
    output.register_hook(lambda d: seen.update(d=d))


def test_linear_layers_share_when_they_are_told_to() -> None:
    """Their widths tile as channels do: dW = delta^T [s s] (asap, 5)."""
    model: Any = nn.Sequential(
        *(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh()),
        nn.Linear(8, 2),
    ).double()
    x = torch.randn(5, 7, 3, dtype=torch.float64)
    asap.convert(model, "asap", share=2, linears=True, images=x)
    assert [m.learns.name if getattr(m, "learns", None) else None for m in model] == [
        *(None, None, None, None, "2", None, None)
    ]
    seen: dict[str, Any] = {}
    model[2].register_forward_hook(lambda m, i, y: seen.update(s=i[0].detach()))
    model[4].register_forward_hook(partial(deltas, seen))
    model(x).square().sum().backward()
    rows, s = seen["d"].reshape(-1, 8), seen["s"].reshape(-1, 4)
    wanted = rows.t() @ torch.cat([s, s], 1)
    torch.testing.assert_close(model[4].weight.grad, wanted)
    torch.testing.assert_close(model[4].weight_fa.grad, wanted)
    assert not isinstance(model[6].weight_fa, nn.Parameter)  # the last: feedback alignment


def test_groups_by_name() -> None:
    """Whoever is not named learns from its own input; the named one from the other's."""
    model = Small().double()
    images = IMAGES.double()
    asap.convert(model, "asap", share={"third": "second"})
    seen: dict[str, Any] = {}
    model.second.register_forward_hook(lambda m, i, y: seen.update(s=i[0].detach()))
    model.third.register_forward_hook(partial(deltas, seen))
    gradients(model, images)
    kernel = model.third.weight.detach().clone().requires_grad_()
    a = functional.max_pool2d(torch.cat([seen["s"]] * 2, 1), 2)
    functional.conv2d(a, kernel, padding=1).backward(seen["d"])
    torch.testing.assert_close(model.third.weight.grad, kernel.grad)
    assert type(model.short) is FeedbackConv2d and type(model.head) is FeedbackLinear


def test_a_group_ends_where_an_activation_does_not_tile() -> None:
    """4, 6, 6 channels: the second learns from its own input, and serves the third."""
    model: Any = nn.Sequential(
        *(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 1)),
        *(nn.ReLU(), nn.Conv2d(6, 6, 1)),
    )
    asap.convert(model, "asap", share=4, images=IMAGES)
    learns = {n: m.learns.name for n, m in model.named_modules() if getattr(m, "learns", None)}
    assert learns == {"6": "4"}
