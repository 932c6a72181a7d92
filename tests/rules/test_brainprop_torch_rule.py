"""BrainProp's rule and networks in PyTorch: closed forms, a plain loop, other people's models."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from brainprop.pytorch.networks import (  # noqa: E402
    BatchNorm2d,
    Conv2d,
    LocallyConnected2d,
    arrays,
    load_arrays,
    make_network,
    same_padding,
)
from brainprop.pytorch.rule import (  # noqa: E402
    brainprop_loss,
    correct_as_the_original,
    evaluation_loss,
    select,
)
from brainprop.recipes import ARCHITECTURES  # noqa: E402


def test_selection_takes_the_first_best_action_unless_u_is_at_most_epsilon():
    """Another order among equals, or <= for <, and a recorded run takes other actions."""
    q = torch.tensor([[1.0, 3.0, 3.0]] * 3)
    edge = torch.tensor(0.02)
    u = torch.stack([edge, torch.nextafter(edge, torch.ones(())), torch.ones(())])
    drawn = torch.tensor([2, 2, 2])
    assert select(q, u, drawn).tolist() == [2, 1, 1]
    assert not select(q.requires_grad_(), u, drawn).requires_grad


def test_the_loss_teaches_the_selected_unit_alone_by_its_prediction_error():
    """A gradient at any other unit, or a mean over n for the sum over B, is another rule."""
    q = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    selected, labels = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([0, 0, 2, 1, 3])
    loss = brainprop_loss(q, selected, labels, batch_size=8)
    reward = torch.tensor([1.0, 0, 1, 0, 0], dtype=torch.float64)
    delta = reward - q.detach()[range(5), selected]
    expected = torch.zeros_like(q)
    expected[range(5), selected] = -delta / 8
    assert torch.allclose(torch.autograd.grad(loss, q)[0], expected, atol=1e-15)
    assert loss.item() == pytest.approx(0.5 * (delta**2).sum().item() / 8)


def test_a_value_of_exactly_zero_teaches_unless_the_original_is_asked_for():
    """Defect (brainprop, D9): with all hidden units dead the original learns nothing, for ever."""
    q = torch.zeros(1, 3, requires_grad=True)
    one = torch.tensor([1])
    for original, expected in ((False, -0.5), (True, 0.0)):
        loss = brainprop_loss(q, one, one, batch_size=2, zero_is_unselected=original)
        assert torch.autograd.grad(loss, q)[0][0, 1].item() == expected


def test_draws_follow_the_softmax_and_happen_at_the_rate_epsilon():
    """Uniform exploration, or one that leaves out the best action, is another policy."""
    q = torch.tensor([0.0, 1.0, 2.0]).expand(60_000, -1)
    generator = torch.Generator().manual_seed(3)
    always = select(q, epsilon=1.0, generator=generator)
    shares = torch.bincount(always, minlength=3) / len(q)
    assert torch.allclose(shares, q[0].softmax(0), atol=0.01)
    greedy = select(q, epsilon=0.25, generator=generator) == 2
    assert greedy.double().mean().item() == pytest.approx(1 - 0.25 * (1 - 0.6652), abs=0.01)


def test_training_correct_as_the_original_counts_the_first_zero():
    """(brainprop, D8): where the value taken is negative, its output's argmax is another class."""
    q = torch.tensor([[-2.0, -1.0, -3.0], [1.0, 2.0, 0.0]])
    selected = torch.tensor([1, 1])
    assert correct_as_the_original(q, selected, torch.tensor([0, 1])) == 2
    assert correct_as_the_original(q, selected, torch.tensor([1, 1])) == 1


def test_a_short_last_batch_counts_less_in_the_evaluation_loss():
    """The original's 200 samples with accuracy 0.11 gave 0.3706, not 0.445 (brainprop, 5.2)."""
    q, labels = F.one_hot(torch.zeros(200, dtype=torch.int64), 10).double(), torch.ones(200).long()
    labels[:22] = 0
    assert evaluation_loss(q, labels, batch_size=128).item() == pytest.approx(
        0.5 * ((128 - 22) + 72 * 72 / 128) / 200
    )


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 7), (6, 6)])
def test_same_padding_puts_the_odd_row_below_and_right(size, stride):
    """torch's own padding is symmetric: every activation of a stride-2 layer would shift."""
    conv = Conv2d(1, 1, 3, stride, "same")
    left, right, top, bottom = same_padding(size, 3, stride)
    assert (top <= bottom <= top + 1) and (left <= right <= left + 1)
    out = conv(torch.randn(1, 1, *size))
    assert out.shape[2:] == tuple(-(-n // stride) for n in size)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_position_multiplies_its_own_patch_by_its_own_kernel(padding, stride):
    """Another order of positions or of a patch's entries scrambles weights from Keras."""
    layer = LocallyConnected2d(2, 3, 3, stride, padding, (8, 7)).double()
    nn.init.normal_(layer.weight)
    x = torch.randn(4, 2, 8, 7, dtype=torch.float64, requires_grad=True)
    padded = F.pad(x, layer.pads)
    y = layer(x)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            patch = padded[:, :, i * stride : i * stride + 3, j * stride : j * stride + 3]
            patch = patch.permute(0, 2, 3, 1).flatten(1)
            expected = patch @ layer.weight[i * y.shape[3] + j]
            assert torch.allclose(y[:, :, i, j], expected, atol=1e-12)
    assert torch.autograd.gradcheck(layer, x)


@pytest.mark.parametrize("variance", ["unbiased", "biased"])
def test_the_running_variance_is_the_one_asked_for(variance):
    """Defect (brainprop, D4): N / (N - 1) apart, three digits that evaluation mode sees."""
    net = make_network("conv", (4, 4, 1), 3, widths={32: 2, 500: 3}, variance=variance)
    x = torch.randn(3, 4, 4, 1)
    kernel = arrays(net)["conv1.kernel"]
    net.train()(x)
    conv = F.pad(x.permute(0, 3, 1, 2), (1, 1, 1, 1))
    first = F.conv2d(conv, torch.as_tensor(kernel).permute(3, 2, 0, 1)).relu()
    expected = 0.99 + 0.01 * first.var((0, 2, 3), correction=int(variance == "unbiased"))
    moving = torch.as_tensor(arrays(net)["bn1.moving_variance"])
    assert torch.allclose(moving, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("variance", ["unbiased", "biased"])
def test_batch_norm_normalises_with_the_biased_variance_and_keras_epsilon(variance):
    """torch's epsilon is 1e-5: weak channels would come out ten times as strong."""
    x = 0.01 * torch.randn(4, 2, 3, 3, dtype=torch.float64)
    flat = x.transpose(0, 1).flatten(1)
    centred = x - flat.mean(1)[:, None, None]
    expected = centred / (flat.var(1, correction=0) + 1e-3).sqrt()[:, None, None]
    assert torch.allclose(BatchNorm2d(2, variance).double()(x), expected, atol=1e-12)


def test_weights_go_out_in_keras_layout_and_come_back():
    """A kernel transposed on the way trains from other weights and nobody sees it."""
    net, other = (make_network("loccon", (9, 9, 2), 5, widths={32: 4, 500: 6}) for _ in range(2))
    weights = arrays(net)
    assert weights["lc1.kernel"].shape == (49, 18, 4) and weights["dense1.kernel"].shape == (36, 6)
    load_arrays(other, weights)
    images = torch.randn(2, 9, 9, 2)
    assert torch.equal(other.eval()(images), net.eval()(images))
    with pytest.raises(ValueError, match=r"lc1.kernel has shape \(18, 4\), not \(49, 18, 4\)"):
        load_arrays(other, {**weights, "lc1.kernel": weights["lc1.kernel"][0]})
    with pytest.raises(ValueError, match="out1.kernel"):
        load_arrays(other, {k: v for k, v in weights.items() if k != "out1.kernel"})
    with pytest.raises(ValueError, match="architecture"):
        make_network("wide", (9, 9, 2), 5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_are_as_many_as_in_the_original(architecture):
    """The table (brainprop, 4): a bias, or a padding, too many shows here."""
    counts = {"dense": 3_181_000, "conv": 3_150_760, "loccon": 3_831_048, "deep": 1_734_216}
    shape = (32, 32, 3) if architecture == "deep" else (28, 28, 1)
    assert (
        sum(a.size for a in arrays(make_network(architecture, shape, 10)).values())
        == counts[architecture]
    )


def test_anybodys_model_learns_with_two_calls():
    """The rule for a user of torch: a model of their own, an optimiser of theirs."""
    torch.manual_seed(0)
    x = torch.randn(256, 6)
    labels = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    model = nn.Sequential(nn.Linear(6, 32, bias=False), nn.ReLU(), nn.Linear(32, 4, bias=False))
    optimiser = torch.optim.SGD(model.parameters(), 0.5)
    for _ in range(300):
        q = model(x)
        loss = brainprop_loss(q, select(q), labels, batch_size=len(x))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (model(x).argmax(1) == labels).float().mean() > 0.9


def test_masks_stand_for_what_dropout_would_draw():
    """A mask in another layout, or not scaled, breaks every comparison across frameworks."""
    net = make_network("conv", (4, 4, 1), 3, widths={32: 2, 500: 3}, dropout=(0.5, 0.5)).train()
    x = torch.randn(2, 4, 4, 1)
    none = [torch.zeros(2, 2, 2, 2), torch.ones(2, 3)]
    assert np.all(net(x, none).detach().numpy() == 0)
    all_kept = [torch.ones(2, 2, 2, 2), torch.ones(2, 3)]
    plain = make_network("conv", (4, 4, 1), 3, widths={32: 2, 500: 3}, dropout=(0.0, 0.0)).train()
    load_arrays(plain, arrays(net))
    assert torch.allclose(net(x, all_kept), 4 * plain(x))
