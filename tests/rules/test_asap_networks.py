"""The networks of ASAP: counts, wiring, initial draws, what a step keeps, how B moves."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
from asap.learner import Learner, adam, sgd  # noqa: E402
from asap.modes import MODES  # noqa: E402
from asap.networks import MODELS, make_network  # noqa: E402
from asap.sharing import SHARING, sources  # noqa: E402
from benchmarks.asap_steps import memory  # noqa: E402
from common.errors import UsageError  # noqa: E402
from common.runs.schedules import cosine  # noqa: E402

# Trained (asap, 4.5): model, channels, classes -> bp, fa and dfa, asap (None: not recorded).
TRAINED = [
    ("convnet", 1, 10, 6_286_238, 6_286_238, 7_308_574),
    ("convnet", 3, 10, 6_289_438, 6_289_438, 7_308_574),
    ("convnet", 3, 100, 6_381_868, 6_381_868, 7_401_004),
    ("resnet18", 3, 10, 11_173_982, 11_178_782, 22_334_494),
    ("resnet34", 3, 10, 21_282_142, 21_290_654, 42_547_102),
    ("resnet18", 3, 100, 11_220_332, 11_225_132, 22_380_844),
    ("resnet34", 3, 100, 21_328_492, 21_337_004, 42_593_452),
    ("resnet18_not", 3, 10, 11_173_982, 11_178_782, 21_987_742),
    ("resnet18_not", 3, 100, 11_220_332, 11_225_132, 22_034_092),
]


@pytest.mark.parametrize(("model", "channels", "classes", "bp", "fa", "asap"), TRAINED)
def test_as_many_numbers_learn_as_in_the_original(
    model: str, channels: int, classes: int, bp: int, fa: int, asap: int
) -> None:
    """A bias, a shortcut or a feedback weight too many or too few."""
    expected = {"bp": bp, "fa": fa, "dfa": fa, "kp": asap, "asap": asap, "asap_k4": asap}
    for mode, count in expected.items():
        if (model, mode) == ("convnet", "asap_k4"):
            continue
        with torch.device("meta"):
            net = make_network(
                model,
                mode,
                channels=channels,
                classes=classes,
                size=28 if channels == 1 else 32,
                shortcut_slip=True,
            )
        learning = [p for p in net.parameters() if p.requires_grad]
        assert sum(p.numel() for p in [*learning, *net.cancelled_biases()]) == count, mode


def test_which_layer_learns_from_which_activation() -> None:
    """The wiring (asap, 5), in its own words: x_j is the input of block j (from 1)."""
    for mode, served in (("asap", lambda j: j), ("asap_k4", lambda j: j - (j + 1) % 2)):
        net = make_network("resnet18", mode, width=0.04)
        rows = {r["layer"]: r for r in sources(net, torch.zeros(1, 3, 32, 32))}
        assert rows.pop("stem")["learns from"] == "nothing (fixed)"
        for layer, row in rows.items():
            j, part = int(layer.split(".")[1]) + 1, layer.split(".")[2]
            source = served(j) if part == "conv2" else served(max(j - 1, 1))
            assert row["learns from"] == f"input of blocks.{source - 1}.conv1", (mode, layer)
            ratio = 2 ** sum(source <= b < j + (part == "conv2") for b in (3, 5, 7))
            assert (row["tiled"], row["pooled"]) == (ratio, ratio), (mode, layer)
    convnet = sources(make_network("convnet", "asap", width=0.04), torch.zeros(1, 3, 32, 32))
    assert [r["learns from"] for r in convnet[1:]] == ["input of convs.1"] * 2
    own = sources(make_network("resnet18", "kp", width=0.04), torch.zeros(1, 3, 32, 32))
    assert all(r["tiled"] == r["pooled"] == 1 for r in own)


def test_a_step_keeps_what_the_paper_promises() -> None:
    """Counts of activations that weight gradients read (asap, 7), to the number."""
    counts = {(r["net"], r["rule"]): r["conv_inputs"] // 4 for r in memory()}
    promised = {
        ("convnet", "bp"): 24_576,
        ("convnet", "asap"): 16_384,
        ("resnet18", "bp"): 548_864,
        ("resnet18", "asap"): 303_104,
        ("resnet18", "asap_k4"): 180_224,
        ("resnet34", "bp"): 958_464,
        ("resnet34", "asap"): 507_904,
        ("resnet34", "asap_k4"): 253_952,
    }
    assert {key: counts[key] for key in promised} == promised
    assert counts["resnet18", "kp"] == promised["resnet18", "bp"]


def made(*words: Any, **options: Any) -> Any:
    return make_network(*words, **options)


def test_initial_weights_are_drawn_as_the_original_draws_them() -> None:
    """Ranges and spreads of first weights (asap, 4.4)."""
    net = made("convnet", "asap")
    conv, linear = net.convs[1], net.linears[0]
    for tensor, bound in (
        (conv.weight, 1600**-0.5),
        (conv.weight_fa, 1600**-0.5),
        (linear.weight, (6 / 4096) ** 0.5),
        (linear.weight_fa, 1.0),
    ):
        assert 0.99 * bound < float(tensor.detach().abs().max()) <= bound
        assert float(tensor.detach().std()) == pytest.approx(bound * 3**-0.5, rel=0.02)
    assert not torch.equal(conv.weight, conv.weight_fa) and not linear.bias.any()
    scaled = made("convnet", "asap", feedback_init="scaled").linears[0].weight_fa
    assert 0.99 < float(scaled.detach().abs().max()) / (6 / 4096) ** 0.5 <= 1
    fa = made("convnet", "fa", fa_feedback="copy", width=0.1).convs[1]
    assert torch.equal(fa.weight, fa.weight_fa) and fa.weight.data_ptr() != fa.weight_fa.data_ptr()
    bp = made("convnet", "bp").linears[0].weight.detach()
    assert 0.99 / 64 < float(bp.abs().max()) <= 1 / 64
    F = made("convnet", "dfa").receivers[0].weight_fb
    assert float(F.std()) == pytest.approx(0.1**0.5, rel=0.02)


def step(learner: Learner, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(6, 3, 16, 16, dtype=torch.float64, generator=generator)
    learner.train_step(images, torch.randint(10, (6,), generator=generator))


PAIRS = [("convnet", "asap"), ("resnet18", "asap_k4"), ("resnet18", "kp")]


@pytest.mark.parametrize(("model", "mode"), PAIRS)
def test_b_follows_its_exact_recursion(model: str, mode: str) -> None:
    """W - B against B trained as a parameter of its own, and against its scalars (asap, 5)."""
    torch.manual_seed(1)
    net = make_network(model, mode, width=0.04, size=16).double()
    start = {n: (W - B).detach().clone() for n, (W, B) in net.learned_feedback().items()}
    learner = Learner(net, sgd(0.1))
    torch.manual_seed(1)
    other = make_network(model, mode, width=0.04, size=16).double().train()
    pairs = other.learned_feedback()
    for bias in other.cancelled_biases():
        bias.grad = torch.zeros_like(bias)
    learning = [*(p for p in other.parameters() if p.requires_grad), *other.cancelled_biases()]
    optimiser = torch.optim.SGD(learning, lr=0.1, momentum=0.9, weight_decay=5e-4)
    c, u = 1.0, 0.0
    for i in range(8):
        lr = 0.1 if i < 4 else 0.02
        learner.set_lr(lr)
        optimiser.param_groups[0]["lr"] = lr
        step(learner, i)
        generator = torch.Generator().manual_seed(i)
        images = torch.randn(6, 3, 16, 16, dtype=torch.float64, generator=generator)
        labels = torch.randint(10, (6,), generator=generator)
        for p in learning:
            p.grad = None if p.requires_grad else p.grad
        torch.nn.functional.cross_entropy(other(images), labels).backward()
        optimiser.step()
        u = 0.9 * u + 5e-4 * c
        c -= lr * u
        for name, (W, B) in net.learned_feedback().items():
            torch.testing.assert_close(W - B, c * start[name], rtol=0, atol=1e-13)
    for name, parameter in net.named_parameters():
        expected = dict(other.named_parameters())[name]
        torch.testing.assert_close(parameter, expected, rtol=1e-9, atol=1e-11)
    assert pairs and c < 1


def test_under_adam_b_stays_as_far_as_it_was() -> None:
    """Defect (asap, D18): no decay, no alignment."""
    net = make_network("convnet", "asap", width=0.04, size=16).double()
    start = [(W - B).detach().clone() for W, B in net.learned_feedback().values()]
    learner = Learner(net, adam(0.003))
    for i in range(4):
        step(learner, i)
    for first, (W, B) in zip(start, net.learned_feedback().values(), strict=True):
        torch.testing.assert_close(W - B, first, rtol=0, atol=1e-15)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", MODELS)
def test_every_network_in_every_mode_and_size(model: str, mode: str) -> None:
    """MNIST in a ResNet included; what learns moves, what is fixed does not."""
    if (model, mode) == ("convnet", "asap_k4"):
        with pytest.raises(UsageError, match=r"feedback \(=asap_k4\)"):
            make_network(model, mode)
        return
    for channels, size in ((1, 28), (3, 64)):
        net = make_network(model, mode, width=0.04, channels=channels, size=size)
        before = {n: t.clone() for n, t in net.state_dict().items()}
        learning = {n for n, p in net.named_parameters() if p.requires_grad}
        learner = Learner(net, sgd(0.1))
        images, labels = torch.randn(4, channels, size, size), torch.tensor([0, 1, 2, 3])
        loss, correct = learner.train_step(images, labels)
        assert torch.isfinite(loss) and 0 <= int(correct) <= 4
        for name, parameter in net.named_parameters():
            moved = not torch.equal(parameter, before[name])
            assert moved == (name in learning) or name.endswith("bias"), name
        assert net.frozen_stem == (mode in SHARING)


def test_the_audit_of_backprop_finds_no_angle() -> None:
    """And that of the rules finds one, but for the layers that backprop reaches as well."""
    images, labels = torch.randn(6, 3, 16, 16), torch.tensor([0, 1, 2, 3, 4, 5])
    for mode in ("bp", "fa", "asap"):
        learner = Learner(make_network("convnet", mode, width=0.04, size=16), sgd(0.1))
        before = {n: t.clone() for n, t in learner.net.state_dict().items()}
        pairs = learner.credit(images, labels)
        exact = {n for n, (a, b) in pairs.items() if torch.allclose(a, b, rtol=1e-4, atol=1e-7)}
        assert exact == (set(pairs) if mode == "bp" else {"linears.2"})
        assert all(torch.equal(t, before[n]) for n, t in learner.net.state_dict().items())


def test_the_learning_rate_is_half_a_cosine() -> None:
    """lr0 at first, half of it half way, never zero within the epochs."""
    rates = [cosine(0.03, t, 200) for t in range(200)]
    assert rates[0] == 0.03 and rates[100] == pytest.approx(0.015) and 0 < rates[-1] < 1e-5


def test_original_slip_and_its_correction() -> None:
    """(asap, D3): resnet18_not without shortcuts in every mode, or resnet18 in three of them."""
    images = torch.randn(2, 3, 32, 32)
    for mode in ("bp", "fa", "dfa", "asap"):
        nets = []
        for model, slip in (("resnet18", False), ("resnet18_not", True), ("resnet18_not", False)):
            torch.manual_seed(3)
            nets.append(make_network(model, mode, width=0.04, shortcut_slip=slip).eval())
        with torch.no_grad():
            full, slipped, corrected = (net(images) for net in nets)
        assert torch.equal(full, slipped) == (mode != "asap")
        assert not torch.equal(full, corrected)
