"""Where each rule has to be another: limits of the equations, in double precision."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="asap runs on torch")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import asap  # noqa: E402
from asap.layers import SharedConv2d  # noqa: E402

IMAGES = torch.randn(6, 2, 8, 8, dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def network() -> Any:
    return nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, 2)),
        *(nn.Tanh(), nn.Flatten(), nn.Linear(72, 6), nn.ReLU(), nn.Linear(6, 3)),
    ).double()


def gradients(model: Any, images: Any = IMAGES) -> dict[str, Any]:
    model.zero_grad()
    functional.cross_entropy(model(images), LABELS).backward()
    return {
        n: p.grad.clone()
        for n, p in model.named_parameters()
        if p.grad is not None and not n.endswith("weight_fa")
    }


@pytest.mark.parametrize("mode", ["fixed", "kp"])
def test_feedback_alignment_with_b_equal_to_w_is_backprop(mode: str) -> None:
    """delta_below = B^T delta with B = W is the chain rule's W^T delta (Lillicrap et al. 2016)."""
    model = network()
    wanted = gradients(model)
    asap.convert(model, mode)
    unlike = gradients(model)
    for layer in model:
        if hasattr(layer, "weight_fa"):
            layer.weight_fa.data.copy_(layer.weight.data)
    found = gradients(model)
    torch.testing.assert_close(found, wanted)
    assert not torch.allclose(unlike["0.weight"], wanted["0.weight"])


def test_asap_with_weight_transport_and_a_layers_own_input_is_backprop() -> None:
    """grad W = wgrad(s, delta), delta_below = W^T delta (asap, 5); s = x leaves both
    derivatives of the convolution."""
    model = network()
    wanted = gradients(model)
    for i in (0, 3):
        plain = model[i]
        layer = SharedConv2d(
            *(plain.in_channels, plain.out_channels, plain.kernel_size, plain.stride),
            padding=plain.padding,
            transport=True,
        ).double()
        layer.load_state_dict(plain.state_dict(), strict=False)
        model[i] = layer
    found = gradients(model)
    torch.testing.assert_close(found, wanted)


def test_direct_feedback_of_one_hidden_layer_is_feedback_alignment() -> None:
    """delta_h = (F^T e) f'(a) (Nokland 2016) is (B^T e) f'(a) where B, the only feedback there is,
    carries the error of the output itself: F = B."""
    model: Any = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    images = torch.randn(6, 5, dtype=torch.float64)
    true = gradients(model, images)
    asap.convert(model, "dfa", images=images)
    F = model[1].weight_fb.clone()
    direct = gradients(model, images)
    asap.convert(model, "fixed")
    model[2].weight_fa.copy_(F)
    torch.testing.assert_close(gradients(model, images), direct)
    assert not torch.allclose(direct["0.weight"], true["0.weight"])


def test_direct_feedback_with_the_weights_product_is_backprop_in_a_linear_network() -> None:
    """F^T = W_2^T W_3^T carries e where the chain rule would (Nokland 2016, eq. of DFA)."""
    model: Any = nn.Sequential(*(nn.Linear(a, b) for a, b in ((5, 6), (6, 4), (4, 3)))).double()
    images = torch.randn(6, 5, dtype=torch.float64)
    wanted = gradients(model, images)
    asap.convert(model, "dfa", images=images)
    model[1].weight_fb.copy_(model[2].weight.detach())
    model[0].weight_fb.copy_(model[2].weight.detach() @ model[1].weight.detach())
    torch.testing.assert_close(gradients(model, images), wanted)
