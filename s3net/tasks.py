"""Data sets of the trainers with their programs' constants; digits in their place for a quick look.
No framework."""

from pathlib import Path
from typing import Any, NamedTuple

from common.data.datasets import Dataset, Split, enlarge, load
from common.errors import ArgumentError


class Normal(NamedTuple):
    """Mean and standard deviation of pixels in [0, 1], a colour each."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


CIFAR = Normal(
    tuple(m / 255 for m in (129.3, 124.1, 112.4)), tuple(s / 255 for s in (68.2, 65.4, 70.4))
)
IMAGENET = Normal((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of Tiny ImageNet and of the saliency study too."""
CIFAR_DATASETS = ("cifar100", "cifar10")
TINY_DATASETS = ("tiny_imagenet", "cifar10")


class Task(NamedTuple):
    """A data set as one run sees it."""

    data: Dataset
    train: Split
    test: Split
    normal: Normal

    def batches(self, which: str, size: int, **options: Any) -> Any:
        """`TorchBatches` of "train", shuffled, or "test"; options: theirs."""
        from common.data.torch_batches import TorchBatches

        split, constants = (self.train if which == "train" else self.test), self.normal._asdict()
        return TorchBatches(
            split, size, shuffle=which == "train", layout="NCHW", **constants, **options
        )


def load_task(
    dataset: str,
    data_dir: Path | None,
    normal: Normal,
    *,
    download: bool = True,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Task:
    """A data set; digits become colour images of 32 x 32."""
    data = load(dataset, data_dir, download=download)
    train, test = data.train.limit(limit_train), data.test.limit(limit_test, "limit_test")
    if dataset == "digits":
        train, test = enlarge(train, 32, 3), enlarge(test, 32, 3)
    return Task(data, train, test, normal)


def outputs_for(
    classes: int, asked: int | None, argument: str, whose: str, *, thousand: bool = False
) -> int:
    """How many outputs a network gets: as many as asked for, else 1000 (`thousand`) or one a class.

    ArgumentError, naming the argument and whose classes, for fewer than those.
    """
    outputs = asked or (1000 if thousand else classes)
    if outputs < classes:
        raise ArgumentError(argument, f"(={outputs}) must be >= {classes}, the classes of {whose}")
    return outputs
