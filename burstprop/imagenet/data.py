"""Images of train_imagenet: a folder of them, decoded as they are needed (burstprop, 6.3)."""

from typing import Any, NamedTuple

import numpy as np
import torch

from common.backends import torch_backend
from common.data.datasets import enlarge, load
from common.data.image_folder import ImageFolder
from common.data.torch_stream import TorchStream
from common.data.torchvision_transforms import centre_crop, random_crop
from common.errors import ArgumentError

HOLD_OUT = 50_000 / 1_281_167


class Task(NamedTuple):
    """What one run sees. data: what has the checksums; train, test: sources of `TorchStream`."""

    data: Any
    train: Any
    test: Any
    classes: int


def load_task(options: Any) -> Task:
    """The data that the options name, held out and limited; digits as large as the net's input."""
    if options.dataset == "image_folder":
        data: Any = ImageFolder(options.data_dir)
        first, second, classes = data.train, data.val, len(data.classes)
    else:
        data = load(options.dataset, options.data_dir, download=not options.no_download)
        first, second, classes = data.train, data.test, data.n_classes
    if options.validation:
        order = np.random.RandomState(options.seed % 2**32).permutation(len(first))
        n = max(1, round(len(first) * HOLD_OUT))
        first, second = first.take(order[n:]), first.take(order[:n])
    first = first.limit(options.limit_train)
    second = second.limit(options.limit_test, "limit_test")
    if options.dataset != "image_folder":
        first, second = (enlarge(split, options.image_size, 3) for split in (first, second))
    return Task(data, first, second, classes)


def streams(
    options: Any, task: Task, device: torch.device, world: Any
) -> tuple[TorchStream, TorchStream]:
    """Training batches, cropped and mirrored at random, and test batches."""
    if options.batch_size % world.size:
        raise ArgumentError("batch_size", f"(={options.batch_size}) must be a multiple of the "
                         f"{world.size} processes")  # fmt: skip
    size, batch = options.image_size, options.batch_size // world.size
    place: dict[str, Any] = {
        "device": device,
        "dtype": torch_backend.floats(options.precision),
        "channels_last": True,
        "workers": options.workers,
        "part": (world.rank, world.size),
        "seed": options.seed,
    }
    train_set = TorchStream(task.train, batch, random_crop(size), shuffle=True, **place)
    random = options.switches.test_transform == "random"
    crop = random_crop(size) if random else centre_crop(size)
    return train_set, TorchStream(task.test, batch, crop, **place)
