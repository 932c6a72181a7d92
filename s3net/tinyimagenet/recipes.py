"""What the nine programs of Tiny ImageNet train, and how they differ besides; no framework."""

from typing import NamedTuple

S3 = (
    "s3net_new",
    "s3net_k96",
    "s3net_new1",
    "s3net_new2",
    "s3net_large",
    "s3net_new_big",
    "s3net_new_big2",
    "s3net65",
)
SMALL = ("s3net_small", "densenet_small", "resnet_small")
TORCHVISION = ("mobilenet_v2", "efficientnet_b0")
OURS = ("ghostnet", "se_resnet50", "oct_resnet50", "lambda_resnet50", "scalenet50", "randwire_ws")
MODELS = (*S3, *SMALL, *TORCHVISION, *OURS)


class Recipe(NamedTuple):
    """Training images a step, and the initial learning rate."""

    batch_size: int = 64
    lr: float = 0.1


RECIPES = {
    "mobilenet_v2": Recipe(96),
    "efficientnet_b0": Recipe(96),
    "ghostnet": Recipe(96),
    "se_resnet50": Recipe(96, 0.005),
    "oct_resnet50": Recipe(96),
    "lambda_resnet50": Recipe(96),
    "scalenet50": Recipe(64, 0.01),
    "randwire_ws": Recipe(64, 0.01),
}
TABLE_LR = {"se_resnet50": 0.05}
"""Rates of the paper's table IV that are not the program's."""


def recipe_of(model: str) -> Recipe:
    """Of the program that trains this network; S3's for those that no program has."""
    return RECIPES.get(model, Recipe())
