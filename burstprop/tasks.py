"""Data sets as train_mnist and train_cifar10 prepare them (burstprop, 6.1, 6.2)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common.data.datasets import Dataset, Split, enlarge, load
from common.errors import ArgumentError

if TYPE_CHECKING:
    from common.data.torch_batches import TorchBatches

TEST_BATCH = 100


class Inputs(NamedTuple):
    """mean and std of pixels in [0, 1]; size of the images; zero border of a random crop (0: no
    augmentation); fraction of the training set that --validation holds out."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int
    pad: int
    hold_out: float


INPUTS = {
    "mnist": Inputs((0.131,), (0.308,), 28, 0, 1 / 6),
    "cifar10": Inputs((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 32, 4, 1 / 5),
}


class Task(NamedTuple):
    """A data set as one run sees it. held_out: the test images come from the training set."""

    data: Dataset
    train: Split
    test: Split
    inputs: Inputs
    held_out: bool

    def batches(
        self,
        world: Any,
        batch_size: int,
        *,
        seed: int,
        clean_hold_out: bool,
        normalised: bool,
        **tensor_options: Any,
    ) -> "tuple[TorchBatches, TorchBatches]":
        """Training batches, this process's share of each, and test batches.

        clean_hold_out: images that are held out are not augmented; the rest as in `batches`.
        ArgumentError for a batch of more images than there are.
        """
        if (images := len(self.train)) < batch_size:
            raise ArgumentError(
                "batch_size", f"(={batch_size}) must be at most {images}, the training images"
            )
        pad = self.inputs.pad
        augmented: dict[str, Any] = {"pad": pad, "flip": True, "seed": seed} if pad else {}
        more: dict[str, Any] = {"seed": seed, **augmented, "shuffle": True}
        more["part"] = world.rank, world.size
        kind: dict[str, Any] = {"normalised": normalised, **tensor_options}
        train_set = batches(self.train, world.share(batch_size), self.inputs, **more, **kind)
        again = augmented if self.held_out and not clean_hold_out else {}
        return train_set, batches(self.test, TEST_BATCH, self.inputs, **again, **kind)


def batches(
    split: Split, batch_size: int, inputs: Inputs, *, normalised: bool, **options: Any
) -> "TorchBatches":
    """Batches of a split; options: those of `TorchBatches`. not normalised: pixels in [0, 1]."""
    from common.data.torch_batches import TorchBatches

    if normalised:
        options |= {"mean": inputs.mean, "std": inputs.std}
    return TorchBatches(split, batch_size, **options)


def load_task(
    dataset: str,
    data_dir: Path | None,
    inputs: Inputs,
    *,
    download: bool = True,
    validation: bool = False,
    seed: int = 0,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Task:
    """A data set, held out (by the seed) and limited; digits as large as the network's input."""
    data = load(dataset, data_dir, download=download)
    first, second = data.train, data.test
    if validation:
        first, second = hold_out(first, round(len(first) * inputs.hold_out), seed)
    first, second = first.limit(limit_train), second.limit(limit_test, "limit_test")
    if dataset == "digits":
        first, second = (enlarge(s, inputs.size, len(inputs.mean)) for s in (first, second))
    return Task(data, first, second, inputs, validation)


def hold_out(images: Any, count: int, seed: int) -> tuple[Any, Any]:
    """A split or a folder's half, without `count` images that the seed draws; and those."""
    order = np.random.RandomState(seed % 2**32).permutation(len(images))
    return images.take(order[count:]), images.take(order[:count])
