"""Networks that none of us wrote, converted as the README shows: torchvision's."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="asap runs on torch")
torchvision = pytest.importorskip("torchvision", reason="asap's data come by it")
from torch.nn import functional  # noqa: E402

import asap  # noqa: E402
from common.data.datasets import load  # noqa: E402

STRANGERS = ("resnet18", "vgg11", "mobilenet_v2")
RULES = ("fixed", "kp", "asap", "dfa")
SIZE = {"vgg11": 32}


def stranger(name: str) -> Any:
    """As torchvision has it; VGG's head, 120 million weights for maps of 7 x 7, is made for 1."""
    model = torchvision.models.get_model(name, num_classes=10)
    if name == "vgg11":
        model.avgpool = torch.nn.AdaptiveAvgPool2d(1)
        model.classifier[0] = torch.nn.Linear(512, 4096)
    return model


def batch_for(name: str, rule: str, images: Any) -> dict[str, Any]:
    return {"images": images[:2]} if rule in ("asap", "dfa") else {}


@pytest.mark.parametrize("name", STRANGERS)
def test_every_rule_converts_a_network_of_torchvisions(name: str) -> None:
    """The forward's bits, the gradient of the last layer, and another one everywhere below."""
    model = stranger(name).eval()
    images, labels = torch.randn(4, 3, SIZE.get(name, 16), SIZE.get(name, 16)), torch.arange(4)

    def gradients() -> tuple[Any, dict[str, Any]]:
        model.zero_grad()
        logits = model(images)
        functional.cross_entropy(logits, labels).backward()
        found = {n: p.grad for n, p in model.named_parameters() if n.endswith(".weight")}
        return logits.detach(), {n: g for n, g in found.items() if g.dim() > 1}

    logits, true = gradients()
    first, *_, last = true
    names = list(model.state_dict())
    for rule in RULES:
        asap.convert(model, rule, **batch_for(name, rule, images))
        again, found = gradients()
        assert torch.equal(again, logits)
        assert found.keys() == true.keys()
        torch.testing.assert_close(found[last], true[last])
        assert not torch.allclose(found[first], true[first], rtol=0.1, atol=0)
        assert all(g.isfinite().all() and g.any() for g in found.values())
    asap.deconvert(model)
    assert list(model.state_dict()) == names
    again, found = gradients()
    assert torch.equal(again, logits) and all(torch.equal(found[n], g) for n, g in true.items())


def test_the_linear_layers_of_a_small_vision_transformer_share() -> None:
    """Of each block the two linear layers; their widths, d and 2 d, tile."""
    model = torchvision.models.VisionTransformer(
        *(16, 8, 3, 2),
        hidden_dim=16,
        mlp_dim=32,
        num_classes=10,
    )
    images = torch.randn(2, 3, 16, 16)
    logits = model(images)
    asap.convert(model, "asap", share=2, linears=True, images=images)
    learns = {n: m.learns.name for n, m in model.named_modules() if getattr(m, "learns", None)}
    blocks = [f"encoder.layers.encoder_layer_{i}.mlp" for i in range(3)]
    assert learns == {
        f"{blocks[0]}.3": f"{blocks[0]}.0",
        f"{blocks[1]}.0": f"{blocks[0]}.0",
        f"{blocks[1]}.3": f"{blocks[1]}.0",
        f"{blocks[2]}.0": f"{blocks[1]}.0",
        f"{blocks[2]}.3": f"{blocks[2]}.0",
    }
    assert torch.equal(model(images), logits)
    functional.cross_entropy(model(images), torch.tensor([0, 1])).backward()
    for name in learns:
        layer: Any = model.get_submodule(name)
        assert torch.equal(layer.weight.grad, layer.weight_fa.grad) and layer.weight.grad.any()
    asap.convert(model, "dfa", images=images)
    F: Any = model.get_submodule(f"{blocks[0]}.1").weight_fb
    assert F.shape == (10, 5, 32)


def digits(size: int) -> tuple[Any, ...]:
    """scikit-learn's digits, enlarged to size x size in three equal channels."""
    data, found = load("digits"), []
    for split in (data.train, data.test):
        images = torch.as_tensor(split.images).float().reshape(-1, 1, 8, 8)
        images = functional.interpolate((images - images.mean()) / images.std(), size=(size, size))
        found += [images.expand(-1, 3, -1, -1), torch.as_tensor(split.labels).long()]
    return tuple(found)


@pytest.mark.parametrize("rule", ["fixed", "asap"])
def test_a_converted_resnet18_learns_digits(rule: str) -> None:
    """Above 90 % of the held-out digits after six epochs, of 16 x 16 pixels."""
    torch.manual_seed(0)
    images, labels, held_out, wanted = digits(16)
    model = stranger("resnet18")
    learning = asap.convert(model, rule, **batch_for("resnet18", rule, images))
    optimiser = torch.optim.Adam([*model.parameters()], lr=1e-3, fused=True)
    assert {id(p) for p in learning} <= {id(p) for p in model.parameters()}
    accuracy = 0.0
    for epoch in range(6):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - epoch / 6)
        for rows in torch.randperm(len(images)).split(64)[:-1]:
            optimiser.zero_grad()
            functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimiser.step()
    with torch.no_grad():
        model.eval()
        accuracy = float((model(held_out).argmax(1) == wanted).float().mean())
    print(f"{rule}: {accuracy:.4f}")
    assert accuracy > 0.9
