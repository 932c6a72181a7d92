"""BrainProp on any torch model: the loss, feedback weights, selections, limits of the rule."""

import copy
from typing import Any, cast

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from brainprop.pytorch import BrainPropLoss, convert, make_network, rule  # noqa: E402
from brainprop.recipes import ARCHITECTURES  # noqa: E402
from common.data.datasets import load  # noqa: E402
from common.errors import ArgumentError  # noqa: E402

NARROW = {1500: 9, 1000: 8, 500: 7, 32: 4, 64: 3, 128: 5}


def small(classes: int = 10, side: int = 8) -> Any:
    """Biases, average pool, tanh: nothing of which is in the paper's networks."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(8, 12, 3, padding="same", groups=2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(12 * (side // 2) ** 2, 16), nn.ReLU(), nn.Linear(16, classes)),
    )


def examples(n: int = 6, side: int = 8) -> tuple:
    return torch.rand(n, 1, side, side, dtype=torch.float64), torch.arange(n) % 10


def gradients(model: nn.Module, loss) -> dict[str, Any]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def same(one: dict, other: dict) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_loss_is_our_own_networks_rule_to_the_bit(architecture):
    """Another order of draws, or a mean where the paper divides by B: another run, another rule."""
    net = make_network(architecture, (10, 10, 2), 5, widths=NARROW, std=0.3)
    images, labels = torch.rand(6, 10, 10, 2), torch.arange(6) % 5
    u, drawn = torch.tensor([0.0, 0.5] * 3), torch.arange(6) % 4
    torch.manual_seed(1)
    selected = rule.select((q := net(images)), u, drawn)
    expected = gradients(net, rule.brainprop_loss(q, selected, labels, batch_size=8))
    torch.manual_seed(1)  # of dropout
    loss = BrainPropLoss(batch_size=8, select=lambda q: rule.select(q, u, drawn))
    assert same(gradients(net, loss(net(images), labels)), expected)


def test_the_losss_own_draws_are_the_rules():
    """A generator that the loss takes and does not use."""
    q, labels = torch.randn(400, 5, requires_grad=True), torch.zeros(400, dtype=torch.int64)
    loss = BrainPropLoss(0.5, generator=torch.Generator().manual_seed(3))
    wanted = rule.select(q, epsilon=0.5, generator=torch.Generator().manual_seed(3))
    gradient = torch.autograd.grad(loss(q, labels), q)[0]
    assert torch.equal(gradient.abs().argmax(1), wanted)
    assert not torch.equal(wanted, q.argmax(1))
    # Without B each batch is divided by its own n.
    delta = (wanted == 0).float() - q.gather(1, wanted[:, None])[:, 0]
    assert torch.allclose(gradient.sum(1), -delta / 400, atol=1e-9)


def test_after_eval_the_best_action_is_taken():
    """A test loss that wobbles by chance."""
    q = torch.randn(300, 4)
    loss = BrainPropLoss(1.0)
    assert not torch.equal(loss.actions(q), q.argmax(1))
    assert torch.equal(loss.eval().actions(q), q.argmax(1))


def test_a_selection_of_ones_own_takes_its_actions():
    """A function that is taken and not asked, or whose choice carries a gradient."""
    asked = []

    def second_best(q):
        asked.append(q.requires_grad)
        return q.topk(2).indices[:, 1]

    q = torch.randn(5, 4, requires_grad=True)
    loss = BrainPropLoss(select=second_best)
    gradient = torch.autograd.grad(loss(q, torch.zeros(5, dtype=torch.int64)), q)[0]
    assert torch.equal(gradient.abs().argmax(1), q.topk(2).indices[:, 1])
    assert (gradient != 0).sum() == 5 and asked == [False]


def test_values_of_half_precision_have_a_loss_of_float32():
    """0.5 delta^2 / 128 in bfloat16 keeps two digits."""
    q = torch.rand(128, 4, dtype=torch.bfloat16, requires_grad=True)
    loss = BrainPropLoss()(q, torch.zeros(128, dtype=torch.int64))
    loss.backward()
    assert loss.dtype == torch.float32 and q.grad is not None and q.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid(), nn.ReLU()])
def test_a_model_that_ends_in_an_activation_is_told_so(last):
    """It runs and learns badly: a value squeezed by softmax cannot be a reward's prediction."""
    q = nn.Sequential(nn.Linear(3, 4), last)(torch.rand(2, 3))
    with pytest.raises(ArgumentError, match="q comes out of a .*linear layer"):
        BrainPropLoss()(q, torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: BrainPropLoss(1.5), "epsilon (=1.5) must be between 0 and 1"),
        (lambda: BrainPropLoss(batch_size=0), "batch_size (=0) must be >= 1"),
        (lambda: BrainPropLoss(select=cast(Any, "best")), "select (=best) must be a function"),
        (lambda: BrainPropLoss()(torch.rand(3, 1), [0, 0, 0]), "q (shape (3, 1), torch.float32)"),
        (lambda: BrainPropLoss()(torch.rand(3, 2, 4), [0, 1, 0]), "q (shape (3, 2, 4)"),
        (lambda: BrainPropLoss()([1.0, 2.0], [0]), "q (of type list) must be a tensor"),
        (lambda: BrainPropLoss()(torch.rand(2, 3), [0, 3]), "labels hold class 3"),
        (lambda: BrainPropLoss()(torch.rand(0, 3), []), "empty batch"),
        (
            lambda: BrainPropLoss(select=lambda q: q.argmax())(torch.rand(2, 3), [0, 1]),
            "selected (shape (), int64)",
        ),
        (
            lambda: BrainPropLoss(select=lambda q: q[:, 0])(torch.rand(2, 3), [0, 1]),
            "selected (shape 2, float32)",
        ),
        (lambda: convert(small(), "seperate"), "did you mean separate?"),
        (lambda: convert(small(), skip=["conv"]), "skip (=conv) must be one of"),
        (lambda: convert(small(), skip="0"), "skip (=0) must be a list of names"),
        (lambda: convert(small(), std=0), "std (=0) must be > 0"),
        (lambda: convert(nn.Sequential(nn.ReLU())), "model has no nn.Linear and no nn.Conv2d"),
    ],
)
def test_what_cannot_be_is_one_sentence(call, part):
    """A traceback from inside torch where one argument was wrong."""
    with pytest.raises(ArgumentError) as error:
        call()
    assert part in str(error.value) and "\n" not in str(error.value)


class Scaled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(2, 2, 1),
        nn.ConvTranspose2d(2, 2, 1),
        nn.LSTM(2, 2),
        nn.MultiheadAttention(4, 2),
        nn.Bilinear(2, 2, 2),
        nn.LazyLinear(3),
        Scaled(2, 2),
        nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
        nn.Linear(2, 2, dtype=torch.complex64),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_cannot_be_converted_is_named_and_skip_leaves_it(layer):
    """Half a model converted in silence: below it, errors have come through W, and nobody knows."""
    model = nn.ModuleDict({"first": nn.Linear(2, 2), "odd": layer})
    with pytest.raises(ArgumentError, match=r"model has layer odd.*`skip`") as error:
        convert(model)
    assert "\n" not in str(error.value)
    assert type(model["first"]) is nn.Linear
    assert len(convert(model, skip=["odd"])) == 1


def test_conversion_keeps_names_bits_hooks_and_the_optimiser():
    """A model whose checkpoints no longer load, or an optimiser that moves weights nobody uses."""
    model, (images, labels) = small().double(), examples()
    names, before = list(model.state_dict()), copy.deepcopy(model.state_dict())
    q, called = model(images), []
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    model[3].register_forward_hook(lambda *_: called.append(1))
    new = convert(model, skip=["0"])
    assert len(new) == 3 and torch.equal(model(images), q) and called
    extra = [name for name in model.state_dict() if name not in names]
    assert extra == ["3.B", "6.B", "8.B"]
    assert [n for n in model.state_dict() if n in names] == names
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in names)
    assert convert(model, skip=["0"]) == []  # again: each layer keeps the B that it has
    assert model[3].B is new[0]
    optimiser.add_param_group({"params": new})
    BrainPropLoss()(model(images), labels).backward()
    optimiser.step()
    assert all(not torch.equal(model.state_dict()[name], before[name]) for name in names)
    copied = copy.deepcopy(model)
    assert convert(model, "shared") == [] and list(model.state_dict()) == names
    assert type(model[3]) is nn.Conv2d and torch.equal(model(images), copied(images))


def test_B_is_as_large_as_W_or_as_std_says():
    """Feedback of another size is another learning rate for all that is below."""
    model = nn.Linear(300, 200)
    (B,) = convert(model)
    assert B.std().item() == pytest.approx(model.weight.square().mean().sqrt().item(), rel=0.02)
    (B,) = convert(nn.Linear(300, 200), std=0.7, generator=torch.Generator().manual_seed(1))
    assert B.std().item() == pytest.approx(0.7, rel=0.02)


def test_errors_go_down_through_B_and_B_learns_what_W_learns():
    """Written out for one hidden layer: B where W stood, and the outer product for both."""
    model, (images, labels) = small().double(), examples()
    convert(model)
    h = model[:6](images)
    x = h.detach().requires_grad_()
    a = model[6](x)
    q = model[8](a.relu())
    loss = BrainPropLoss(0.0, batch_size=8)
    found = torch.autograd.grad(
        loss(q, labels), [x, model[8].weight, model[8].B, model[6].weight, model[6].B]
    )
    s = q.argmax(1)
    fb = F.one_hot(s, 10) * -((s == labels).double() - q.gather(1, s[:, None])[:, 0])[:, None] / 8
    dW2 = fb.T @ a.relu()
    fb = (fb @ model[8].B) * (a > 0)
    dW1 = fb.T @ x
    for one, expected in zip(found, (fb @ model[6].B, dW2, dW2, dW1, dW1), strict=True):
        assert torch.allclose(one, expected, atol=1e-15)


@pytest.mark.parametrize(
    "how",
    [
        {"stride": 2, "padding": 1},
        {"dilation": 2, "groups": 2},
        {"padding": "same", "kernel_size": 4},
        {"padding": (1, 2), "padding_mode": "reflect"},
        {"stride": 2, "kernel_size": 1, "bias": False},
    ],
)
def test_with_B_equal_to_W_it_is_backprop(how):
    """Stride, padding or groups that the way down forgets; all of a convolution's arguments."""
    layer = nn.Conv2d(4, 6, **{"kernel_size": 3} | how).double()
    twin: Any = copy.deepcopy(layer)
    convert(twin)
    with torch.no_grad():
        twin.B.copy_(layer.weight)
    for x in (torch.rand(3, 4, 8, 8).double(), torch.rand(4, 8, 8).double()):
        x, signal = x.requires_grad_(), torch.randn_like(layer(x))
        assert torch.equal(twin(x), layer(x))
        plain = torch.autograd.grad(layer(x), [x, *layer.parameters()], signal)
        learning = [twin.get_parameter(name) for name, _ in layer.named_parameters()]
        ours = torch.autograd.grad(twin(x), [x, *learning], signal)
        for one, expected in zip(ours, plain, strict=True):
            assert torch.allclose(one, expected, atol=1e-13)


def test_with_weight_decay_W_and_B_become_one():
    """Kolen and Pollack: W - B shrinks by (1 - lr decay) a step, whatever both learn."""
    model, (images, labels) = small().double(), examples()
    convert(model)
    before = (model[3].weight - model[3].B).detach().clone()
    optimiser = torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.5)
    for _ in range(20):
        optimiser.zero_grad()
        BrainPropLoss()(model(images), labels).backward()
        optimiser.step()
    after = (model[3].weight - model[3].B).detach()
    assert torch.allclose(after, before * (1 - 0.1 * 0.5) ** 20, atol=1e-13)


def test_shared_weights_share_B_and_frozen_weights_freeze_it():
    """Two B's for one W would each learn half of what W does, and never meet it."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 4), nn.Linear(4, 5))
    model[1].weight = model[0].weight
    model[2].weight.requires_grad_(False)
    new = convert(model)
    assert len(new) == 2 and model[0].B is model[1].B is new[0]
    assert not model[2].B.requires_grad
    BrainPropLoss()(model(torch.rand(4, 3)), torch.arange(4)).backward()
    assert torch.equal(model[0].weight.grad, model[0].B.grad) and model[2].B.grad is None


def test_separate_feedback_under_autocast():
    """bfloat16 errors times float32 feedback: torch refuses, in the backward pass only."""
    model, (images, labels) = small(), examples()
    convert(model)
    with torch.autocast("cpu", torch.bfloat16):
        loss = BrainPropLoss()(model(images.float()), labels)
    loss.backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


def of_actions(model, image, label) -> tuple[list[dict[str, Any]], Any]:
    """BrainProp's update (-gradient) of one sample for each action, and the values."""
    q = model(image)
    updates = []
    for s in range(q.shape[1]):
        taken = torch.tensor([s])
        loss = BrainPropLoss(select=lambda q, taken=taken: taken)(model(image), label)
        updates.append({name: -g for name, g in gradients(model, loss).items()})
    return updates, q


def test_over_all_actions_by_their_probability_it_is_the_policy_gradient():
    """(brainprop, 5.6): of reward and entropy, and beside it the mean error moves log sum exp q,
    which is nothing where the values are right on average."""
    model = small(classes=4).double()
    images, _ = examples()
    label = torch.tensor([2])
    for right_on_average in (False, True):
        updates, q = of_actions(model, images[:1], label)
        p = q.softmax(1)
        mean_error = (p * (F.one_hot(label, 4) - q)).sum().detach()
        if right_on_average:
            assert abs(mean_error) < 1e-12
            mean_error *= 0
        reward = p[0, label].sum()
        entropy = -(p * p.log()).sum()
        expected = gradients(model, reward + entropy + mean_error * q.logsumexp(1).sum())
        for name, gradient in expected.items():
            ours = sum(p[0, s].detach() * update[name] for s, update in enumerate(updates))
            assert torch.allclose(ours, gradient, atol=1e-12), name
        assert abs(expected["0.weight"]).max() > 1e-4
        with torch.no_grad():  # the policy stays, the values come to be right on average
            model[8].bias += mean_error


def test_over_all_actions_alike_it_is_backprop_of_the_squared_error():
    """(brainprop, 5.6): backprop, one output unit at a time."""
    model = small(classes=4).double()
    images, _ = examples()
    label = torch.tensor([2])
    updates, q = of_actions(model, images[:1], label)
    for name, gradient in gradients(model, 0.5 * (F.one_hot(label, 4) - q).square().sum()).items():
        assert torch.allclose(sum(u[name] for u in updates), -gradient, atol=1e-12), name


@pytest.mark.parametrize("feedback", ["shared", "separate"])
def test_a_network_none_of_us_wrote_learns_digits(feedback):
    """Everything above is right and the model does not learn."""
    torch.manual_seed(0)
    digits = load("digits")
    images, tests = (
        torch.tensor(part.images).permute(0, 3, 1, 2) / 255 for part in (digits.train, digits.test)
    )
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(512, 10)),
    )
    convert(model, feedback, skip=["0"] if feedback == "separate" else [])
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loss, labels = BrainPropLoss(), torch.tensor(digits.train.labels)
    for _ in range(8):
        for i in torch.randperm(len(images)).split(32):
            optimiser.zero_grad()
            loss(model(images[i]), labels[i]).backward()
            optimiser.step()
    right = model(tests).argmax(1) == torch.tensor(digits.test.labels)
    assert right.double().mean() > 0.9
