"""How fast batches come: device-resident ones beside DataLoader with the originals' transforms.

    python -m benchmarks.batches [--dataset mnist] [--batch-size 50] [--framework torch]

DataLoader decodes, scales and normalises image by image, as the original programs do. Both feed
whole epochs; medians of the time a batch, one thread, same process for PyTorch.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from benchmarks.steps import conditions
from common.cli import Options, command, option
from common.cli.params import batch, choice, path
from common.data.datasets import load
from common.files.paths import data_root

MEAN, STD = 0.1307, 0.3081


def per_batch(epoch: Callable[[], Iterator[Any]], most: int, repeats: int = 7) -> list[float]:
    """Microseconds a batch of passes over the first `most` batches; the first one is warm-up."""
    times = []
    for _ in range(repeats):
        before, count = time.perf_counter(), 0
        for _batch in islice(epoch(), most):
            count += 1
        times.append(1e6 * (time.perf_counter() - before) / count)
    return times[1:]


def device_resident(framework: str, options: Any) -> Callable[[], Iterator[Any]]:
    """An epoch of our batches."""
    split = load(options.dataset, options.data_dir).train
    if framework == "torch":
        from common.data.torch_batches import TorchBatches as Batches
    else:
        from common.data.tf_batches import TFBatches as Batches  # type: ignore[assignment]
    batches = Batches(split, options.batch_size, mean=MEAN, std=STD, shuffle=True)
    return batches.epoch


def data_loader(options: Any) -> Callable[[], Iterator[Any]]:
    """An epoch of torch's DataLoader over torchvision's data set, as in the original programs."""
    import torch
    from torchvision.datasets import MNIST, FashionMNIST
    from torchvision.transforms import Compose, Normalize, ToTensor

    kind = {"mnist": MNIST, "fashion_mnist": FashionMNIST}[options.dataset]
    transform = Compose([ToTensor(), Normalize((MEAN,), (STD,))])
    images = kind(data_root(options.data_dir), transform=transform)
    loader = torch.utils.data.DataLoader(images, options.batch_size, shuffle=True)
    return lambda: iter(loader)


def measure(framework: str, options: Any) -> dict[str, list[float]]:
    """Microseconds a batch, by feeder."""
    times = {"resident": per_batch(device_resident(framework, options), 10**9)}
    if framework == "torch":
        import torch

        torch.set_num_threads(1)
        times["DataLoader"] = per_batch(data_loader(options), 100)
    return times


@dataclass(frozen=True, kw_only=True)
class BatchesOptions(Options):
    """What `batches` takes."""

    dataset: str = option(
        "--dataset",
        "--data",
        type=choice("mnist", "fashion_mnist"),
        default="mnist",
        help="Data set.",
    )
    data_dir: Path | None = option(type=path, help="Folder of the data sets.")
    batch_size: int = option(type=batch, default=50, help="Images a batch.")
    framework: str | None = option(
        type=choice("torch", "tensorflow"),
        help="Time this framework only, in this process, and print JSON.",
    )


@command(BatchesOptions, paper="benchmarks", name="batches")
def main(options: BatchesOptions) -> None:
    """Time device-resident batches beside DataLoader."""
    if options.framework:
        click.echo(json.dumps(measure(options.framework, options)))
        return
    click.echo(conditions(1, "cpu"))
    times = {}
    for framework in ("torch", "tensorflow"):
        words = [sys.executable, "-m", "benchmarks.batches", "--framework", framework]
        words += ["--dataset", options.dataset, "--batch-size", str(options.batch_size)]
        words += ["--data-dir", str(options.data_dir)] if options.data_dir else []
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
        environment |= {"TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        out = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        for name, values in json.loads(out.stdout.splitlines()[-1]).items():
            times[f"{framework} {name}"] = values
    slow = statistics.median(times["torch DataLoader"])
    for name, values in times.items():
        middle = statistics.median(values)
        click.echo(
            f"{name:<22}{middle:>9.1f} us a batch ({min(values):.1f}-{max(values):.1f}, "
            f"n={len(values)} passes){slow / middle:>9.0f} x DataLoader"
        )


if __name__ == "__main__":
    main()
