"""The networks that the trainer knows, by name; importing this imports no framework."""

from typing import Any

S3 = ("s3net_new", "s3net_new1", "s3net_new2", "s3net_large", "s3net_new_big2", "s3net65")
SMALL = ("s3net_small", "densenet_small", "resnet_small")
TORCHVISION = ("mobilenet_v2", "efficientnet_b0")
MODELS = (*S3, *SMALL, *TORCHVISION)


def make(name: str, classes: int, dropout: float = 0.0) -> Any:
    """A network with so many outputs, drawn from torch's generator."""
    if name in TORCHVISION:
        from torchvision.models import get_model

        return get_model(name, weights=None, num_classes=classes)
    from s3net.networks import build

    return build(name, classes, dropout)
