"""`common.backends.torch_layout` and `common.backends.torch_convolution`: what torch itself
answers is the oracle."""

import itertools
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from asap.learner import Learner as AsapLearner  # noqa: E402
from asap.learner import sgd  # noqa: E402
from asap.networks import make_network  # noqa: E402
from burstprop import rule as burst_rule  # noqa: E402
from burstprop.learner import BurstLearner  # noqa: E402
from burstprop.networks import stack  # noqa: E402
from burstprop.update import BurstUpdate  # noqa: E402
from common.backends import torch_convolution  # noqa: E402
from common.backends.torch_layout import from_nhwc, is_channels_last, laid, lay, strides  # noqa: E402
from s3net.learner import Learner as S3Learner  # noqa: E402
from s3net.networks import S3Net  # noqa: E402

LAST, PLAIN = torch.channels_last, torch.contiguous_format
FORMATS = [PLAIN, LAST]
GREY = torch.randn(4, 8, 8, 1, generator=torch.Generator().manual_seed(1)).permute(0, 3, 1, 2)
LABELS = torch.tensor([0, 1, 2, 1])


def test_a_grey_image_of_nhwc_is_contiguous_and_channels_last_at_once() -> None:
    """The trap: `.contiguous()` changes nothing, and the convolution answers in channels-last."""
    assert GREY.contiguous().stride() == (64, 1, 8, 1)
    answer = functional.conv2d(GREY.contiguous(), torch.randn(6, 1, 3, 3))
    assert answer.is_contiguous(memory_format=LAST) and not answer.is_contiguous()


@pytest.mark.parametrize("wanted", FORMATS)
@pytest.mark.parametrize("has", FORMATS)
@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (4, 3, 8, 8), (1, 1, 5, 7), (2, 3, 1, 1)])
def test_laid_images_have_the_strides_of_a_fresh_tensor(shape, has, wanted) -> None:
    images = torch.randn(shape).contiguous(memory_format=has)
    if shape[1] == 1:
        images = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    result = laid(images, wanted)
    assert result.stride() == torch.empty(shape, memory_format=wanted).stride()
    assert torch.equal(result, images) and laid(result, wanted) is result


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_convolution_of_laid_images_answers_in_that_order(wanted) -> None:
    W = laid(torch.randn(6, 1, 3, 3), wanted)
    assert functional.conv2d(laid(GREY, wanted), W).is_contiguous(memory_format=wanted)


def test_gradients_pass_through_a_layout() -> None:
    images = GREY.clone().requires_grad_()
    laid(images, PLAIN).square().sum().backward()
    assert torch.equal(images.grad, 2 * images.detach())


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_of_nhwc_are_views_of_one_true_order(channels: int) -> None:
    pixels = torch.randn(4, 8, 6, channels)
    images = from_nhwc(pixels)
    assert images.data_ptr() == pixels.data_ptr()
    assert torch.equal(images, pixels.permute(0, 3, 1, 2))
    assert images.stride() == strides(images.shape, PLAIN if channels == 1 else LAST)


def test_a_network_is_laid_in_its_ambiguous_weights_too() -> None:
    """Weights of one input channel, as grey stems and depthwise convolutions have them."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4)).to(memory_format=LAST)
    lay(net, PLAIN)
    assert not any(is_channels_last(W) for W in net.parameters())
    assert net(laid(GREY, PLAIN)).is_contiguous()


def test_what_counts_as_channels_last_is_what_torch_counts() -> None:
    """Fresh, turned and sliced tensors: a convolution's answer says what torch has taken x for."""
    for n, c, h, w in itertools.product((2, 3), (1, 3), (1, 4), (3, 5)):
        grid = torch.empty(n, 2 * h, 2 * w, c).permute(0, 3, 1, 2)
        fresh = [torch.empty(n, c, h, w, memory_format=f) for f in FORMATS]
        for x in (*fresh, grid[:, :, ::2, ::2], torch.empty(n, h, w, c).permute(0, 3, 1, 2)):
            answer = functional.conv2d(x, torch.randn(3, c, 3, 3), padding=2)
            assert answer.is_contiguous(memory_format=LAST) == is_channels_last(x), x.stride()


CASES = [  # (C_in, C_out, kernel, stride, padding, groups, size), the guarded ones and neighbours
    *((c, 6, 1, (2, 2), (0, 0), 1, 12) for c in (1, 3, 7, 8, 15, 16)),
    *((3, 6, 1, s, (0, 0), 1, 12) for s in ((1, 1), (1, 2), (2, 1), (3, 3), (5, 5))),
    *((4, 6, 1, (2, 2), p, 1, 12) for p in ((1, 1), (0, 1))),
    *((4, 4, 1, (2, 2), (0, 0), g, 12) for g in (2, 4)),
    *((4, 6, k, (2, 2), (0, 0), 1, 12) for k in (2, 3)),
]


def pieces(case, fmt, W_fmt=None):
    c_in, c_out, kernel, stride, padding, groups, size = case
    torch.manual_seed(0)
    x = torch.empty(5, c_in, size, size, memory_format=fmt).normal_()
    W = torch.empty(*(c_out, c_in // groups, kernel, kernel), memory_format=W_fmt or fmt).normal_()
    how = {"stride": stride, "padding": padding, "groups": groups}
    delta = torch.randn_like(functional.conv2d(x, W, **how))
    return delta, x, W, how


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_autograd_in_double_precision(case, fmt) -> None:
    """The wrong pixels, a wrong stride along one axis, or the corrupting call itself."""
    delta, x, W, how = pieces(case, fmt)
    true: list[Any] = [t.double().contiguous().requires_grad_() for t in (x, W)]
    b = torch.zeros(len(W), dtype=torch.float64, requires_grad=True)
    functional.conv2d(true[0], true[1], b, **how).backward(delta.double())
    gradients: Any = torch_convolution.backward(delta, x, W, **how)
    for i, (mine, theirs) in enumerate(zip(gradients, (*true, b), strict=True)):
        assert torch.allclose(mine.double(), theirs.grad, rtol=1e-4, atol=1e-4)
        results: Any = torch_convolution.backward(
            delta, x, W, **how, wanted=[j == i for j in range(3)]
        )
        assert torch.allclose(results[i], mine, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_only_what_corrupts_is_computed_otherwise(case) -> None:
    """A guard that is wider moves the bits of networks that were well."""
    c_in, _, kernel, stride, padding, groups, size = case
    bad = kernel == 1 and max(stride) > 1 and c_in < 16 and groups == 1 and padding == (0, 0)
    bad = bad and size % stride[0] == size % stride[1] == 0
    for fmt, W_fmt in itertools.product(FORMATS, repeat=2):
        delta, x, W, how = pieces(case, fmt, W_fmt)
        del how["groups"]
        last = is_channels_last(x) or is_channels_last(W)
        assert torch_convolution.corrupts(x, W, **how, groups=groups) == (bad and last)
        if not (bad and last):
            mine = torch_convolution.backward(delta, x, W, **how, groups=groups)
            plain = (list(stride), list(padding), [1, 1], False, [0, 0], groups, [True] * 3)
            theirs = torch.ops.aten.convolution_backward(delta, x, W, [len(W)], *plain)
            assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_burstprops_gradients_pass_the_same_guard(monkeypatch) -> None:
    seen = []

    def asked(*words: Any) -> bool:
        seen.append(words)
        return False

    monkeypatch.setattr(torch_convolution, "corrupts", asked)
    burst_rule.conv_gradients(
        torch.randn(2, 3, 4, 4), torch.randn(2, 1, 4, 4), torch.randn(3, 1, 1, 1), 1
    )
    assert len(seen) == 1


def test_a_strided_1x1_of_few_channels_makes_a_network_contiguous() -> None:
    """The layers that torch itself differentiates; any other network may be channels-last."""
    for layer, wanted in (
        (nn.Conv2d(4, 8, 1, 2), PLAIN),
        (nn.Conv2d(16, 8, 1, 2), LAST),
        (nn.Conv2d(4, 8, 1), LAST),
        (nn.Conv2d(4, 8, 3, 2), LAST),
        (stack([(4, 8, 1, 2)], [8, 3]).layers[0], PLAIN),
    ):
        assert torch_convolution.safe_format(nn.Sequential(layer)) == wanted


def learners(seed: int):
    torch.manual_seed(seed)
    yield AsapLearner(make_network("resnet18", "bp", width=0.02, channels=1, size=8), sgd(0.1))
    net = stack([(1, 4, 3, 1)], [4 * 36, 10])
    yield BurstLearner(net, BurstUpdate(net, [0.1, 0.1]))
    deep: Any = S3Net(4, (1, 1), 8, classes=10)
    deep.features.conv0 = nn.Conv2d(1, 8, 3, padding=1)
    yield S3Learner(deep, 0.1, size=16)


def test_a_learner_learns_the_same_bits_from_either_strides_of_a_grey_image() -> None:
    """ASAP, Burstprop, S3Net: a user's tensors, turned from (N, H, W, 1) or fresh."""
    for turned, fresh in zip(list(learners(3)), list(learners(3)), strict=True):
        turned.train_step(GREY, LABELS)
        fresh.train_step(laid(GREY, PLAIN), LABELS)
        for name, tensor in turned.state().items():
            if isinstance(tensor, torch.Tensor):
                assert torch.equal(tensor, fresh.state()[name]), (type(turned), name)


@pytest.mark.parametrize("mode", ["bp", "asap"])
def test_no_grey_network_whose_results_are_stored_has_a_kernel_that_corrupts(mode: str) -> None:
    """`mnist_convnet_*_small`, the demo's, Burstprop's: their runs need not be done anew."""
    nets = (
        make_network("convnet", mode, width=0.2, channels=1, size=32),
        make_network("convnet", mode, width=0.125, channels=1, size=32),
        stack([(1, 8, 4, 2), (8, 16, 3, 2)], [576, 500, 500, 10]),
    )
    assert all(torch_convolution.safe_format(net) == LAST for net in nets)
