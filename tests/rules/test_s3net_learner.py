"""What S3Net's learner does with images before the network sees them."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="S3Net trains with torch")
from s3net.learner import Learner  # noqa: E402


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
