"""FullGrad on networks made here: completeness, batching, and what a model may be like."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest

pytest.importorskip("torch", reason="FullGrad runs on torch")
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from common.errors import UserError  # noqa: E402
from s3net.interpretability.rule import fullgrad  # noqa: E402
from s3net.interpretability.segmentation import dice, segment  # noqa: E402

Net = TypeVar("Net", bound=nn.Module)


def perturbed(net: Net) -> Net:
    """In float64, with biases and batch-norm statistics that are not 0 and 1."""
    draw = torch.Generator().manual_seed(0)
    for module in net.double().modules():
        for name in ("bias", "running_mean"):
            if isinstance(tensor := getattr(module, name, None), torch.Tensor):
                tensor.data = torch.randn(tensor.shape, generator=draw, dtype=tensor.dtype) / 5
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var += torch.rand(module.num_features, generator=draw) / 2
    return net


def small(relu: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), relu(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 3)]
    return perturbed(nn.Sequential(*body, relu(), nn.Flatten(), nn.Linear(64, 5)))


def images(n: int = 3, size: int = 14) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, size, size, generator=draw, dtype=torch.float64)


def literal(model: Any, x: torch.Tensor, target: int) -> torch.Tensor:
    """Word by word (s3net, interpretability 5) for one image: every product and enlargement."""
    kept: dict[Any, torch.Tensor] = {}
    x = x.clone().requires_grad_()
    for module in model:
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)):
            module.register_forward_hook(lambda m, _i, z: kept.__setitem__(m, z))
    gradients = torch.autograd.grad(model.eval()(x)[0, target], [x, *kept.values()])

    def psi(t):
        t = t.abs() - t.abs().min()
        return t / (t.max() + 1e-6)

    total = psi(gradients[0] * x).sum(1, keepdim=True)
    layer: Any
    for layer, g in zip(kept, gradients[1:], strict=True):
        b: Any = layer.bias
        if isinstance(layer, nn.BatchNorm2d):
            norm: Any = layer
            b = b - norm.running_mean * norm.weight / (norm.running_var + norm.eps).sqrt()
        up = psi(g * b[None, :, None, None])
        total = total + F.interpolate(
            up, tuple(x.shape[2:]), mode="bilinear", align_corners=True
        ).sum(1, keepdim=True)
    return total.detach()


def test_a_batch_with_targets_is_the_written_procedure_image_by_image():
    """Gradients that mix images, or a minimum taken over the batch."""
    x, targets = images(), [4, 0, 2]
    maps = fullgrad(small(), x, torch.tensor(targets))
    for i, target in enumerate(targets):
        expected = literal(small(), x[i : i + 1], target)
        torch.testing.assert_close(maps.saliency[i : i + 1], expected, rtol=1e-10, atol=1e-12)


def test_relus_in_place_give_the_same_and_stay_in_place():
    """The gradient behind the ReLU taken for the one in front of it."""
    plain, model = fullgrad(small(), images()), small(lambda: nn.ReLU(inplace=True))
    maps = fullgrad(model, images())
    torch.testing.assert_close(maps.saliency, plain.saliency, rtol=1e-12, atol=0)
    assert maps.errors.max() < 1e-10
    assert all(m.inplace for m in model if isinstance(m, nn.ReLU))


def test_a_model_left_in_train_mode_is_explained_in_eval_mode_and_left_as_it_was():
    """Batch statistics in the map, changed running statistics, gradients switched off for good."""
    model: Any = small().train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    asked = images().requires_grad_()
    with torch.no_grad():
        maps = fullgrad(model, asked)
    assert maps.errors.max() < 1e-10
    assert model.training and not model[1].training
    assert [p.requires_grad for p in model.parameters()][:3] == [False, True, True]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules()) and asked.grad is None


def test_a_layer_used_twice_counts_twice():
    """Only its last use kept."""
    conv = nn.Conv2d(3, 3, 3, padding=1)
    model = perturbed(nn.Sequential(conv, nn.ReLU(), conv, nn.Flatten(), nn.Linear(588, 4)))
    result = fullgrad(model, images(), details=True)
    assert result.errors.max() < 1e-10
    assert [layer.name for layer in result.layers] == ["0", "0", "4"]


def test_another_nonlinearity_shows_as_an_error():
    """A map that means nothing and looks like any other."""
    assert fullgrad(small(nn.Sigmoid), images()).errors.max() > 1e-2


def test_a_batch_norm_without_statistics_is_refused():
    model = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten())
    with pytest.raises(UserError, match="batch norm 0 keeps no running statistics"):
        fullgrad(model, images())


@pytest.mark.parametrize("name", ["vgg11", "squeezenet1_0", "resnet18", "densenet121"])
def test_completeness_holds_on_the_families_of_torchvision(name):
    """A kind of layer, or a functional in-place ReLU, that the hooks miss."""
    models = pytest.importorskip("torchvision").models
    torch.manual_seed(0)
    net = models.get_model(name, weights=None, num_classes=7)
    assert fullgrad(perturbed(net), images(2, 64)).errors.max() < 1e-9


def test_dice_is_counted_by_hand():
    """Negative saliency that passes a threshold; a Dice without the factor 2."""
    saliency = np.array([[[-5.0, 0.0], [1.0, 2.0]]])
    mask = np.array([[[False, True], [False, True]]])
    assert segment(saliency, np.array([50])).tolist() == [[[[False, False], [True, True]]]]
    assert dice(saliency, mask, np.array([50, 99])).tolist() == [[0.5], [2 / 3]]
