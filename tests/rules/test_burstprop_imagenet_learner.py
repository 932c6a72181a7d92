"""The ImageNet network and its learner: sizes, first weights, optimisers, precision."""

import math

import pytest

torch = pytest.importorskip("torch", reason="burstprop is a PyTorch paper")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from burstprop.imagenet.learner import Learner, adam, sgd  # noqa: E402
from burstprop.imagenet.networks import make_network  # noqa: E402
from burstprop.inspection.angles import weight_angles  # noqa: E402

RATES = [0.02] * 7 + [0.01]


def small(feedback: str | None = "learned", **how):
    torch.manual_seed(3)
    return make_network(7, feedback=feedback, width=0.1, **{"weight_fa_std": 0.1} | how)


def batch(n: int = 4, dtype=torch.float64, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 3, 224, 224, dtype=dtype, generator=generator)
    return images, torch.randint(7, (n,), generator=generator)


@pytest.mark.parametrize(
    "feedback, forward, biases, trainable",
    [
        ("learned", 1_775_760, 2_056, 3_553_576),
        ("fixed", 3_539_072, 2_478, 3_541_550),
        (None, 1_775_760, 2_056, 1_777_816),
    ],
)
def test_the_published_nets_have_their_counts(feedback, forward, biases, trainable) -> None:
    """A width of the wrong net: what is compared is no longer equally large."""
    net = make_network(feedback=feedback)
    assert sum(layer.weight.numel() for layer in net.layers) == forward
    assert sum(layer.bias.numel() for layer in net.layers) == biases
    assert sum(p.numel() for p in net.parameters()) == trainable
    assert net.names == [f"conv{i}" for i in range(1, 8)] + ["fc1"]
    inputs, rates = net.trace(torch.zeros(1, 3, 224, 224))
    assert [r.shape[-1] for r in rates[:-1]] == [54, 26, 22, 10, 8, 3, 1]


@pytest.mark.parametrize("std", [0.05, 0.0])
def test_first_weights_have_the_published_spread(std: float) -> None:
    """Fan in for fan out: the signal of the low layers is another."""
    net = make_network(weight_fa_std=std)
    for layer in net.layers:
        assert layer.weight_fa is not None
        W, Y = layer.weight.detach(), layer.weight_fa.detach()
        expected = math.sqrt(2 / (W.shape[0] * W[0, 0].numel())) if W.dim() == 4 else 0.01
        assert float(W.std()) == pytest.approx(expected, rel=0.05)
        assert float(Y.std()) == pytest.approx(std or expected, rel=0.05)
        assert not layer.bias.any() and 80 < float(weight_angles(net, 0)[-1]) < 100


def test_an_image_must_leave_the_convolutions_something() -> None:
    assert make_network(image_size=193, width=0.1).layers[-1].weight.shape[1] == 38
    assert make_network(image_size=256, width=0.1).layers[-1].weight.shape[1] == 38 * 4
    with pytest.raises(ValueError, match=r"image_size \(=192\) must be >= 193"):
        make_network(image_size=192)


def test_backprop_is_that_of_the_same_net_in_the_librarys_modules() -> None:
    """A baseline with another loss, decay or activation flatters the rule or shames it."""
    net = small(None).double()
    modules: list[nn.Module] = []
    for layer in net.layers[:-1]:
        n_out, n_in, k, _ = layer.weight.shape
        modules += [nn.Conv2d(n_in, n_out, k, layer.stride), nn.ReLU()]
    modules += [nn.Flatten(), nn.Linear(38, 7)]
    plain = nn.Sequential(*modules).double()
    plain.load_state_dict(dict(zip(plain.state_dict(), net.state_dict().values(), strict=True)))
    learner = Learner(net, [0.05] * 8, sgd(0.9, 1e-3))
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    for step in range(3):
        images, labels = batch(seed=step)
        loss = functional.cross_entropy(plain(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        torch.testing.assert_close(learner.train_step(images, labels)[0], loss.detach())
    for mine, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_with_learned_feedback_W_minus_Y_goes_its_way_whatever_the_data() -> None:
    """A decay that Y misses, or a gradient of its own: u <- mu u + decay c, c <- c - lr u."""
    net = small().double()
    first = [(layer.weight - layer.weight_fa).detach().clone() for layer in net.layers]
    learner = Learner(net, RATES, sgd(0.9, 0.01))
    u, c = [0.0] * 8, [1.0] * 8
    for step in range(4):
        learner.train_step(*batch(seed=step))
        for i, rate in enumerate(RATES):
            u[i] = 0.9 * u[i] + 0.01 * c[i]
            c[i] -= rate * u[i]
    for layer, before, share in zip(net.layers, first, c, strict=True):
        torch.testing.assert_close((layer.weight - layer.weight_fa).detach(), share * before)


def test_fixed_feedback_stays_and_adam_does_not_decay() -> None:
    """Y of feedback alignment must not shrink; Adam gets no decay."""
    net = small("fixed").double()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    learner = Learner(net, RATES, adam())
    for step in range(2):
        learner.train_step(*batch(seed=step))
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.endswith("weight_fa"), name
    net = small().double()
    first = [(layer.weight - layer.weight_fa).detach().clone() for layer in net.layers]
    learner = Learner(net, RATES, adam())
    learner.train_step(*batch())
    for layer, difference in zip(net.layers, first, strict=True):
        torch.testing.assert_close((layer.weight - layer.weight_fa).detach(), difference)


@pytest.mark.parametrize("feedback", ["learned", "fixed", None])
def test_credit_is_true_at_the_output_and_changes_nothing(feedback: str | None) -> None:
    """An audit that trains, or that compares sums with means."""
    learner = Learner(small(feedback).double(), RATES, sgd())
    before = {n: t.clone() for n, t in learner.net.state_dict().items()}
    credit = learner.credit(*batch())
    update, gradient = credit["fc1"]
    share = 0.2 if feedback else 1.0
    torch.testing.assert_close(update, share * gradient, rtol=1e-6, atol=1e-12)
    assert list(credit) == learner.net.names
    assert all(torch.equal(t, before[n]) for n, t in learner.net.state_dict().items())


@pytest.mark.parametrize("feedback", ["learned", None])
def test_bfloat16_trains_like_float32(feedback: str | None) -> None:
    """Differences that bfloat16's three digits cannot carry: the rule's update must keep its
    direction, layer by layer, and training its course."""
    exact, rough = (
        Learner(small(feedback, weight_fa_std=0.0), [0.05] * 8, sgd(), precision=p)
        for p in ("float32", "bfloat16")
    )
    images, labels = batch(8, torch.float32)
    if feedback:
        gradients = [learner.gradients(images, labels)[1] for learner in (exact, rough)]
        for name, true in gradients[0].items():
            mine = gradients[1][name]
            assert mine.dtype == torch.float32
            cosine = functional.cosine_similarity(mine.flatten(), true.flatten(), 0)
            assert cosine > 0.99, (name, cosine)
    course = [
        [float(learner.train_step(images, labels)[0]) for _ in range(8)]
        for learner in (exact, rough)
    ]
    assert course[1] == pytest.approx(course[0], rel=0.05)
    assert course[0][-1] < course[0][0] - 0.02
    assert all(p.dtype == torch.float32 for p in rough.net.parameters())


def test_top_5_of_few_classes_are_all_of_them() -> None:
    """topk(5) of three classes raises; and top-5 counts the class wherever it stands."""
    torch.manual_seed(0)
    learner = Learner(make_network(3, feedback=None, width=0.1), RATES, sgd())
    images, labels = batch(4, torch.float32)
    assert int(learner.eval_step(images, labels % 3)[2]) == 4
    logits = torch.arange(7.0).expand(2, -1)
    loss, one, five = learner._figures(logits, torch.tensor([6, 1]))
    assert (int(one), int(five)) == (1, 1)
    assert int(learner._figures(logits, torch.tensor([2, 3]))[2]) == 2
