"""What S3Net's learner does with images before the network sees them."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="S3Net trains with torch")
from s3net import networks  # noqa: E402
from s3net.learner import Learner  # noqa: E402
from s3net.tinyimagenet.networks import make_network  # noqa: E402
from tests.oracles import backprop  # noqa: E402


@pytest.mark.parametrize(("side", "size"), [(64, 224), (64, 96), (64, 24), (32, 32)])
def test_images_are_resized_as_the_recipe_has_it(side: int, size: int) -> None:
    """Corners that are aligned, or pixels left out: other images than torchvision's Resize."""
    seen: list[Any] = []
    parts = torch.nn.Conv2d(3, 4, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    net = torch.nn.Sequential(*parts)
    net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    pixels = np.random.RandomState(0).randint(0, 256, (side, side, 3), np.uint8)
    learner = Learner(net, 0.1, size=size)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    learner.eval_step(images, torch.zeros(1, dtype=torch.int64))
    theirs = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    gap = np.abs(seen[0][0].permute(1, 2, 0).numpy() - np.asarray(theirs, np.float32))
    assert gap.max() <= 1.01 and gap.mean() < 0.35  # Pillow rounds twice


@pytest.mark.parametrize("name", ["sparse", "dense", "ghostnet"])
def test_an_audit_sees_the_gradient_of_the_whole_network(name: str) -> None:
    """A layer left out or cut off, running statistics in the place of the batch's, other units
    dropped, a network that the audit changes: both sides of it are held to torch.func."""
    torch.manual_seed(1)
    made: dict[str, Any] = {"classes": 10, "wiring": name}
    net = make_network(name, 10) if name == "ghostnet" else networks.S3Net(4, (2, 2), 4, **made)
    learner = Learner(net.double(), 0.1)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    images = torch.randn(6, 3, 32, 32, dtype=torch.float64)
    labels = torch.tensor([1, 2, 3, 4, 5, 6])
    drawn = torch.get_rng_state()
    audited = learner.credit(images, labels)
    torch.set_rng_state(drawn)
    expected = backprop.gradients(net, learner.place(images), labels)  # units in one order
    kinds = torch.nn.Conv2d | torch.nn.Linear
    assert set(audited) == {n for n, m in net.named_modules() if isinstance(m, kinds)}
    for layer, (update, gradient) in audited.items():
        torch.testing.assert_close(update, expected[f"{layer}.weight"], msg=layer)
        torch.testing.assert_close(gradient, expected[f"{layer}.weight"], msg=layer)
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
