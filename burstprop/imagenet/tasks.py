"""Images of train_imagenet: a folder of them, decoded as they are needed (burstprop, 6.3)."""

from pathlib import Path
from typing import Any, NamedTuple

from burstprop.tasks import hold_out
from common.backends.torch_distributed import World
from common.data.datasets import Dataset, Split, enlarge, load
from common.data.image_folder import FolderSplit, ImageFolder
from common.data.torch_stream import TorchStream
from common.data.torchvision_transforms import centre_crop, random_crop

HOLD_OUT = 50_000 / 1_281_167


class Task(NamedTuple):
    """What one run sees. data: what has the checksums; train, test: sources of `TorchStream`."""

    data: ImageFolder | Dataset
    train: FolderSplit | Split
    test: FolderSplit | Split
    classes: int

    def streams(
        self,
        world: World,
        batch_size: int,
        image_size: int,
        *,
        random_tests: bool = False,
        **options: Any,
    ) -> tuple[TorchStream, TorchStream]:
        """This process's training batches, cropped and mirrored at random, and test batches, which
        are too if random_tests; options: those of `TorchStream`."""
        share, crop = world.share(batch_size), random_crop(image_size)
        options |= {"part": (world.rank, world.size), "channels_last": True}
        train_set = TorchStream(self.train, share, crop, shuffle=True, **options)
        tests = crop if random_tests else centre_crop(image_size)
        return train_set, TorchStream(self.test, share, tests, **options)


def load_task(
    dataset: str,
    data_dir: Path,
    image_size: int,
    *,
    download: bool = True,
    validation: bool = False,
    seed: int = 0,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Task:
    """A folder of images, held out (by the seed) and limited; digits as large as the network's
    input."""
    first: Any
    second: Any
    data: ImageFolder | Dataset
    if dataset == "image_folder":
        data = ImageFolder(data_dir)
        first, second = data.train, data.val
    else:
        data = load(dataset, data_dir, download=download)
        first, second = data.train, data.test
    if validation:
        first, second = hold_out(first, max(1, round(len(first) * HOLD_OUT)), seed)
    first, second = first.limit(limit_train), second.limit(limit_test, "limit_test")
    if dataset != "image_folder":
        first, second = (enlarge(split, image_size, 3) for split in (first, second))
    return Task(data, first, second, len(data.classes))
