"""The rules of ASAP against torch's own derivatives and against plain loops, in float64."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional, grad  # noqa: E402

from asap import rule  # noqa: E402
from asap.sharing import MaskReLU  # noqa: E402


def randn(*shape: int, **words: Any) -> Any:
    return torch.randn(*shape, dtype=torch.float64, **words)


GEOMETRY = [
    {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1},
    {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 1), "groups": 1},
    {"stride": (2, 2), "padding": (2, 2), "dilation": (2, 2), "groups": 1},
    {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 2},
]


@pytest.mark.parametrize("how", GEOMETRY, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_convolution_sends_its_error_through_b(how: dict, bias: bool) -> None:
    """x gets the transposed convolution with B; W and B the weight gradient of x; b the sum."""
    x, W = randn(3, 4, 9, 10, requires_grad=True), randn(6, 4 // how["groups"], 3, 3)
    W, B = W.requires_grad_(), randn(*W.shape, requires_grad=True)
    b = randn(6, requires_grad=True) if bias else None
    y = rule.conv2d(x, W, B, b, **how)
    assert torch.equal(y, functional.conv2d(x, W, b, **how))
    delta = randn(*y.shape)
    y.backward(delta)
    torch.testing.assert_close(x.grad, grad.conv2d_input(x.shape, B, delta, **how))
    expected = grad.conv2d_weight(x, W.shape, delta, **how)
    torch.testing.assert_close(W.grad, expected)
    torch.testing.assert_close(B.grad, expected)
    if b is not None:
        torch.testing.assert_close(b.grad, delta.sum((0, 2, 3)))


@pytest.mark.parametrize(
    ("shared", "groups"),
    [((4, 8, 8), 1), ((2, 16, 16), 1), ((1, 24, 24), 1), ((2, 15, 15), 1), ((2, 16, 16), 2)],
)
def test_sharing_convolution_learns_from_the_shared_activation(shared: Any, groups: int) -> None:
    """Weight gradient of the tiled and pooled s, error through B, whichever way it is computed."""
    x, s = randn(2, 4, 8, 8, requires_grad=True), randn(2, *shared, requires_grad=True)
    W = randn(6, 4 // groups, 3, 3, requires_grad=True)
    B, b = randn(*W.shape, requires_grad=True), randn(6, requires_grad=True)
    how: dict[str, Any] = {"padding": (1, 1), "groups": groups}
    y = rule.conv2d(x, W, B, b, s, **how)
    delta = randn(*y.shape)
    y.backward(delta)
    a = naive_match(s.detach().numpy(), x.shape)
    expected = grad.conv2d_weight(torch.from_numpy(a), W.shape, delta, **how)
    torch.testing.assert_close(W.grad, expected)
    torch.testing.assert_close(B.grad, expected)
    torch.testing.assert_close(x.grad, grad.conv2d_input(x.shape, B, delta, **how))
    assert s.grad is None


def naive_match(s: np.ndarray, shape: Any) -> np.ndarray:
    """Step 2 (asap, 5), one number at a time (windows as adaptive pooling has them)."""
    n, channels, h, w = shape
    height, width = s.shape[2:]
    a = np.empty(shape)
    for c in range(channels):
        for i in range(h):
            for j in range(w):
                rows = slice(i * height // h, -(-(i + 1) * height // h))
                columns = slice(j * width // w, -(-(j + 1) * width // w))
                a[:, c, i, j] = s[:, c % s.shape[1], rows, columns].max((1, 2))
    return a


@pytest.mark.parametrize("shared", [(3, 8, 8), (4, 4, 8), (8, 8, 8)])
def test_a_shared_activation_that_does_not_fit_is_refused(shared: Any) -> None:
    """Channels that do not tile, or a map that is smaller than the input."""
    with pytest.raises(ValueError, match="cannot be tiled and pooled"):
        rule.conv2d(
            randn(2, 4, 8, 8), randn(2, 4, 3, 3), randn(2, 4, 3, 3), None, randn(2, *shared)
        )


def test_match_takes_7_to_4() -> None:
    """MNIST in a ResNet has a map of 7 whose half is 4; the original's kernel of 1 would fail."""
    s = randn(1, 2, 7, 7)
    np.testing.assert_array_equal(rule.match(s, (1, 4, 4, 4)), naive_match(s.numpy(), (1, 4, 4, 4)))


def test_linear_sends_its_error_through_b() -> None:
    """Over any leading dimensions."""
    x, W, B, b = (randn(*s, requires_grad=True) for s in ((2, 3, 5), (4, 5), (4, 5), (4,)))
    y = rule.linear(x, W, B, b)
    delta = randn(*y.shape)
    y.backward(delta)
    torch.testing.assert_close(x.grad, delta @ B)
    torch.testing.assert_close(W.grad, torch.einsum("abo,abi->oi", delta, x))
    torch.testing.assert_close(B.grad, W.grad)
    torch.testing.assert_close(b.grad, delta.sum((0, 1)))


def test_the_rule_is_the_gradient_where_feedback_equals_the_weights() -> None:
    """gradcheck by finite differences, B given W's value."""
    x, b = randn(2, 3, 5, 5, requires_grad=True), randn(4, requires_grad=True)
    W = randn(4, 3, 3, 3, requires_grad=True)
    B = W.detach().clone()
    assert torch.autograd.gradcheck(lambda x: rule.conv2d(x, W, B, b, padding=(1, 1)), x)
    assert torch.autograd.gradcheck(lambda W, b: rule.conv2d(x, W, B, b, stride=(2, 2)), (W, b))
    x, W = randn(3, 5, requires_grad=True), randn(4, 5, requires_grad=True)
    B = W.detach().clone()
    assert torch.autograd.gradcheck(lambda x: rule.linear(x, W, B, b), x)
    assert torch.autograd.gradcheck(lambda W, b: rule.linear(x, W, B, b), (W, b))
    assert torch.autograd.gradcheck(MaskReLU(), x)


@pytest.mark.parametrize("shape", [(3, 7), (3, 4, 2, 5)])
def test_a_receiver_replaces_what_comes_from_above(shape: Any) -> None:
    """x gets e F, C-order; the output asks for no gradient, so nothing above computes one."""
    x, F = randn(*shape, requires_grad=True), randn(10, *shape[1:])
    for layout in (F, F.contiguous(memory_format=torch.channels_last) if F.dim() == 4 else F):
        x.grad = None
        y, carry = rule.receive(x, layout)
        assert torch.equal(y, x) and not y.requires_grad and not carry.any()
        logits = y.flatten(1) @ randn(y[0].numel(), 10) + carry
        e = randn(*logits.shape)
        logits.backward(e)
        expected = e.numpy() @ F.numpy().reshape(10, -1)
        np.testing.assert_allclose(x.grad.numpy().reshape(3, -1), expected, rtol=1e-12)


def test_relu_keeps_a_mask_and_has_relus_derivative() -> None:
    """Zeros included."""
    x = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    y = MaskReLU()(x)
    node: Any = y.grad_fn
    saved = node.saved_tensors
    assert [t.dtype for t in saved] == [torch.bool]
    y.sum().backward()
    assert y.tolist() == [0, 0, 2] and x.grad.tolist() == [0, 0, 1]


def together(x: Any, W: Any, B: Any, F: Any, s: Any, U: Any) -> Any:
    """All functions in one small network; a scalar."""
    y = MaskReLU()(rule.conv2d(x, W, B, None, s, padding=(1, 1)))
    y = MaskReLU()(rule.conv2d(y, W, B, None, padding=(1, 1)))
    y, carry = rule.receive(y, F)
    logits = rule.linear(y.flatten(1), U, U.detach() * 0.5) + carry
    return logits.square().sum()


def arguments(n: int = 2) -> list[Any]:
    shapes = ((n, 4, 4, 4), (4, 4, 3, 3), (4, 4, 3, 3), (5, 4, 4, 4), (n, 2, 8, 8), (5, 64))
    return [randn(*shape) for shape in shapes]


def test_torch_func_agrees_with_autograd() -> None:
    """grad of W, and vmap: per-sample gradients equal a loop's and sum to the batch's."""
    x, W, B, F, s, U = arguments(3)
    W.requires_grad_()
    together(x, W, B, F, s, U).backward()
    plain = torch.func.grad(together, 1)(x, W.detach(), B, F, s, U)
    torch.testing.assert_close(plain, W.grad)

    def one(x: Any, s: Any, W: Any) -> Any:
        return together(x[None], W, B, F, s[None], U)

    each = torch.func.vmap(torch.func.grad(one, 2), (0, 0, None))(x, s, W.detach())
    loop = torch.stack(
        [torch.func.grad(one, 2)(a, b, W.detach()) for a, b in zip(x, s, strict=True)]
    )
    torch.testing.assert_close(each, loop)
    torch.testing.assert_close(each.sum(0), W.grad)


@pytest.mark.timeout(300)
def test_one_graph_under_torch_compile() -> None:
    """fullgraph: no break; the same gradients."""
    x, W, B, F, s, U = arguments()
    gradients = []
    for function in (together, torch.compile(together, fullgraph=True, backend="aot_eager")):
        leaf = W.clone().requires_grad_()
        function(x, leaf, B, F, s, U).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_float_type(dtype: Any) -> None:
    """Gradients come in the weights' type and agree with float64's to that type's precision."""
    exact = arguments()
    results = []
    for kind in (torch.float64, dtype):
        x, W, B, F, s, U = (t.to(kind) / 8 for t in exact)
        W.requires_grad_()
        together(x, W, B, F, s, U).backward()
        assert W.grad.dtype == kind
        results.append(W.grad.double())
    error = (results[1] - results[0]).norm() / results[0].norm()
    assert error < 10 * torch.finfo(dtype).eps


def test_autocast() -> None:
    """bfloat16 products over float32 weights: float32 gradients, near the exact ones."""
    x, W, B, F, s, U = (t.float() / 8 for t in arguments())
    results = []
    for enabled in (False, True):
        leaf = W.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss = together(x, leaf, B, F, s, U)
        loss.backward()
        assert leaf.grad.dtype == torch.float32
        results.append(leaf.grad)
    assert 0 < (results[1] - results[0]).norm() / results[0].norm() < 0.05


def test_channels_last_changes_nothing() -> None:
    """The same numbers from either memory format, tiled shares included."""
    exact, results = arguments(), []
    for fmt in (torch.contiguous_format, torch.channels_last):
        laid = [t.clone(memory_format=fmt) if t.dim() == 4 else t for t in exact]
        x, W, B, F, s, U = laid
        x.requires_grad_()
        leaf = W.clone().requires_grad_()
        together(x, leaf, B, F, s, U).backward()
        results.append((leaf.grad, x.grad))
    torch.testing.assert_close(results[1], results[0])


def test_a_sharing_convolution_keeps_the_shared_activation_alone() -> None:
    """Two layers that share s keep one storage, and neither its own input."""
    s, x = randn(2, 4, 8, 8), randn(2, 4, 8, 8, requires_grad=True)
    W, B = randn(4, 4, 3, 3, requires_grad=True), randn(4, 4, 3, 3)
    kept: list[int] = []

    def note(t: Any) -> Any:
        kept.append(t.untyped_storage().data_ptr())
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        y = rule.conv2d(x, W, B, None, s, padding=(1, 1))
        rule.conv2d(y, W, B, None, s, padding=(1, 1))
    pointers = {"s": s, "B": B}
    assert set(kept) == {t.untyped_storage().data_ptr() for t in pointers.values()}
