"""Data sets as the program prepares them (asap, 6)."""

from pathlib import Path
from typing import Any, NamedTuple

from common.data.datasets import Dataset, Split, enlarge, load
from common.errors import ArgumentError, UserError


class Recipe(NamedTuple):
    """mean and std of pixels in [0, 1]; size of the images; zero border of a random crop."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int = 32
    pad: int = 0  # 0: the data set has no augmentation


CIFAR = Recipe((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), pad=4)
RECIPES = {
    "mnist": Recipe((0.1307,), (0.3081,), size=28),
    "svhn": Recipe((0.5,), (0.5,)),
    "cifar10": CIFAR,
    "cifar100": CIFAR,
    # Published, and absent from the program: these two are ours.
    "tiny_imagenet": Recipe((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=64, pad=8),
    "digits": Recipe((0.5,), (0.5,)),
}


class Task(NamedTuple):
    """A data set as one run sees it."""

    data: Dataset
    train: Split
    test: Split
    recipe: Recipe

    @property
    def shape(self) -> dict[str, int]:
        """What a network must know."""
        channels = self.train.images.shape[-1]
        return {"channels": channels, "size": self.recipe.size, "classes": self.data.n_classes}

    def batches(
        self, which: str, size: int, augmentation: bool = False, **tensor_options: Any
    ) -> Any:
        """`TorchBatches` of "train", shuffled, or "test"."""
        from common.data.torch_batches import TorchBatches

        split = self.train if which == "train" else self.test
        more: dict[str, Any] = {"mean": self.recipe.mean, "std": self.recipe.std, "layout": "NCHW"}
        if which == "train":
            more["shuffle"] = True
            more |= {"pad": self.recipe.pad, "flip": True} if augmentation else {}
        return TorchBatches(split, size, **more, **tensor_options)


def load_task(
    dataset: str,
    data_dir: Path | None,
    model: str,
    *,
    download: bool = True,
    augmentation: bool = False,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Task:
    """A data set for a network of MODELS. ArgumentError for augmentation where there is none;
    UserError for data that are not there, or of another size than the network takes."""
    recipe = RECIPES[dataset]
    if augmentation and not recipe.pad:
        able = ", ".join(name for name, r in RECIPES.items() if r.pad)
        raise ArgumentError(
            "augmentation", f"must not be used with dataset {dataset}: only {able} have one"
        )
    data = load(dataset, data_dir, download=download)
    first = data.train.limit(limit_train)
    second = data.test.limit(limit_test, "limit_test")
    if dataset == "digits":
        first, second = enlarge(first, recipe.size), enlarge(second, recipe.size)
    sides = first.images.shape[1:3]
    if model == "convnet" and sides != (recipe.size, recipe.size):  # ResNets pool them all
        raise UserError(
            f"{dataset}: its images are {sides[0]} x {sides[1]}, and convnet takes "
            f"{recipe.size} x {recipe.size}"
        )
    return Task(data, first, second, recipe)
