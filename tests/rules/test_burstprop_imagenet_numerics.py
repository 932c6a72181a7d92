"""What float32 makes of the published ImageNet net's first update (burstprop, D11)."""

import pytest

torch = pytest.importorskip("torch", reason="burstprop is a PyTorch paper")

from burstprop.imagenet.learner import Learner, sgd  # noqa: E402
from tests.golden.replay._burstprop_imagenet import full_size  # noqa: E402


def update(exact: bool, dtype, aligned: bool = False) -> list:
    """G_W of every layer, in float64, from one and the same draw."""
    net, images, labels = full_size(3, True, exact)
    if aligned:
        for layer in net.layers:
            layer.weight_fa.data.copy_(layer.weight)
    learner = Learner(net.to(dtype), [0.01] * len(net.names), sgd())
    _, gradients = learner.gradients(images.to(dtype), labels)
    return [gradients[f"{name}.weight"].double() for name in net.names]


def errors(computed: list, true: list) -> list[float]:
    """|found - true| / |true|, first layer to last."""
    return [float((a - b).norm() / b.norm()) for a, b in zip(computed, true, strict=True)]


def test_the_original_trains_low_layers_on_rounding_noise_and_the_exact_form_does_not() -> None:
    """Differences of nearly equal numbers: conv1's update is a thousand times its error."""
    true = update(True, torch.float64)
    original = errors(update(False, torch.float32), true)
    # conv1 1100, conv2 72, conv3 4.9, conv4 0.39, conv5 0.015, conv6 and conv7 0.002
    assert 300 < original[0] < 4000 and 20 < original[1] < 250 and 1 < original[2] < 20
    assert 0.1 < original[3] < 1.5 and 0.004 < original[4] < 0.06 and original[5] < 0.01
    exact = errors(update(True, torch.float32), true)
    assert max(exact) < 1e-4
    assert max(errors(update(False, torch.float64), true)) < 1e-4  # 1100 2^-29 of it


def test_the_exact_form_stays_exact_once_feedback_is_aligned() -> None:
    """A form that is exact only as long as errors are small."""
    true = update(True, torch.float64, aligned=True)
    assert max(errors(update(True, torch.float32, aligned=True), true)) < 1e-4
    assert errors(update(False, torch.float32, aligned=True), true)[0] > 1
