"""Batches of images that do not fit into memory: workers decode and crop, the device normalises.

    >>> from common.data.image_folder import ImageFolder
    >>> from common.data.torch_stream import TorchStream
    >>> from common.data.torchvision_transforms import random_crop
    >>> folder = ImageFolder(root)                       # root/train/<class>/..., root/val/...
    >>> train = TorchStream(folder.train, 2, random_crop(224), shuffle=True, seed=1)
    >>> for images, labels in train.epoch(3, start=1):   # the fourth epoch, without its first batch
    ...     print(images.shape, labels.shape)
    torch.Size([2, 3, 224, 224]) torch.Size([2])

Order and crops of an epoch depend on (seed, epoch) alone: not on how many workers there are, nor on
where an epoch was resumed. Pixels travel as uint8, a quarter of the bytes of float32.
"""

import copy
import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from common.backends import torch_layout
from common.data.datasets import limited
from common.errors import ArgumentError, UserError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SEEDS = 2**62  # below it a seed fits into torch's int64


class Source(Protocol):
    """Images by index: `common.data.image_folder.FolderSplit`, `common.data.datasets.Split`, or
    your own."""

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,)."""

    def read(self, index: int) -> np.ndarray:
        """uint8 (H, W, 3); UserError naming the file that does not decode."""

    def __len__(self) -> int: ...


class Task(NamedTuple):
    """One image to make: which, and what its crops are drawn from."""

    image: int
    seed: int


class TorchStream:
    """Batches of a source, for `common.runs.run.Run` as `TorchBatches` are.

    transform   PIL image (RGB) -> uint8 (C, H, W), or (crops, C, H, W); may draw from torch's
                generator, which is seeded for each image and put back: `torchvision_transforms`
    mean, std   per channel, of pixels scaled to [0, 1]
    shuffle     draw an order for each epoch; else the source's own
    workers     processes that read and decode, for all parts together; no more than there are CPUs;
                0: this one
    part        (rank, size): this process's share. Shuffled: its part of batches `size` times as
                large, without the ragged end, so that processes take equally many steps. Else every
                size-th image, all of them, so that sums over the processes count each image once
    dtype       of the images; channels_last: their memory format

    Yields (images (B, C, H, W) or (B, crops, C, H, W), labels int64 (B,)), on the device.
    Raises ArgumentError for sizes that cannot be, UserError for an image that cannot be read.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        transform: Callable[[Image.Image], Tensor],
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        shuffle: bool = False,
        seed: int = 0,
        workers: int = 0,
        part: tuple[int, int] = (0, 1),
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        channels_last: bool = False,
    ) -> None:
        self.rank, self.size = part
        n = len(source)
        most = n // self.size if shuffle and self.size > 1 else None  # they need equal shares
        if batch_size < 1 or (most is not None and batch_size > most):
            limit = f"between 1 and {most}, a process's share of {n} images" if most else "positive"
            raise ArgumentError("batch_size", f"(={batch_size}) must be {limit}")
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.workers = math.ceil(min(workers, os.cpu_count() or 1) / self.size)
        self.device, self.dtype, self.channels_last = torch.device(device), dtype, channels_last
        self.n, self._images = n, _Images(source, transform)
        whole = batch_size * self.size
        if self.size == 1:
            self.images = n
        else:
            self.images = (
                n // whole * batch_size if shuffle else len(range(self.rank, n, self.size))
            )
        work = torch.float64 if dtype == torch.float64 else torch.float32
        # (x/255 - mean) / std as a x - b: two passes over the pixels, as in `common.data.batches`.
        a, b = 1 / (255 * np.asarray(std)), np.asarray(mean) / np.asarray(std)
        self._factor, self._shift = (
            torch.tensor(c, dtype=work, device=self.device).view(-1, 1, 1) for c in (a, b)
        )

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(self.images / self.batch_size)

    def plan(self, epoch: int) -> list[Task]:
        """The images of an epoch (from 0) in their order, this process's part."""
        rng = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        order = rng.permutation(self.n) if self.shuffle else np.arange(self.n)
        tasks = np.stack([order, rng.integers(0, SEEDS, self.n)], axis=1)
        if self.size > 1 and self.shuffle:
            whole = tasks[: self.images * self.size]
            tasks = whole.reshape(-1, self.size, self.batch_size, 2)[:, self.rank].reshape(-1, 2)
        elif self.size > 1:
            tasks = tasks[self.rank :: self.size]
        return [Task(*pair) for pair in tasks.tolist()]

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch, from batch `start`."""
        tasks, size = self.plan(epoch), self.batch_size
        batches = [tasks[low : low + size] for low in range(start * size, len(tasks), size)]
        loader: DataLoader[Any] = DataLoader(
            self._images,
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=_collate,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_leave_signals_to_the_main_process,
            generator=torch.Generator(),  # else it draws a seed from the network's
        )
        for batch in loader:
            if isinstance(batch, str):
                raise UserError(batch)
            images, labels = batch
            yield self._normalise(images), labels.to(self.device, non_blocking=True)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.epoch(0)

    def sample(self, images: int, batch_size: int) -> "TorchStream":
        """`images` of the source, the same ones and the same crops of them at any time."""
        sample = copy.copy(self)
        chosen = limited(images, self.n, "images")
        sample._images = _Images(_Part(self._images.source, chosen), self._images.transform)
        sample.n = sample.images = images
        sample.batch_size, sample.shuffle, sample.seed, sample.workers = batch_size, False, 0, 0
        sample.rank, sample.size = 0, 1
        return sample

    def _normalise(self, pixels: Tensor) -> Tensor:
        images = pixels.to(self.device, non_blocking=True).to(self._factor.dtype)
        images = images.mul_(self._factor).sub_(self._shift).to(self.dtype)
        last = self.channels_last and images.dim() == 4
        return torch_layout.laid(images, torch.channels_last if last else torch.contiguous_format)


class _Part:
    """Some images of a source, as a source."""

    def __init__(self, source: Source, chosen: np.ndarray) -> None:
        self._source, self._chosen, self.labels = source, chosen, source.labels[chosen]

    def read(self, index: int) -> np.ndarray:
        return self._source.read(int(self._chosen[index]))

    def __len__(self) -> int:
        return len(self._chosen)


class _Images(Dataset[Any]):
    """Task -> (pixels, label), or the text of the error: an exception would cross the processes
    with a traceback in its message."""

    def __init__(self, source: Source, transform: Callable[[Image.Image], Tensor]) -> None:
        self.source, self.transform = source, transform

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, task: Task) -> tuple[Tensor, int] | str:
        try:
            image = Image.fromarray(self.source.read(task.image))
        except UserError as error:
            return str(error)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(task.seed)
            pixels = self.transform(image)
        return pixels, int(self.source.labels[task.image])


def _collate(items: list[Any]) -> tuple[Tensor, Tensor] | str:
    for item in items:
        if isinstance(item, str):
            return item
    pixels, labels = zip(*items, strict=True)
    return torch.stack(pixels), torch.tensor(labels)


def _leave_signals_to_the_main_process(worker: int) -> None:
    # Ctrl-C reaches every process of the terminal; the run finishes its batch and checkpoints.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
