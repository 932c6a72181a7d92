"""Images a second of train_imagenet beside a bare loop of backprop over the same loader.

    python -m benchmarks.burstprop_images FOLDER [--batch-size 16] [--batches 6] [--workers 0]

Every candidate in turn reads the same batches, decodes and crops them, and learns from each; the
rounds' medians are shown. `loader` only reads, `bare` is the published net in torch's own modules:
forward, cross-entropy, backward, fused SGD, nothing else. One thread without workers is measured in
CPU time, all else in wall time, in which the workers' start is included.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click

from benchmarks.steps import conditions
from common.cli import Options, argument, command, option
from common.cli.params import batch, path, positive_int, threads, workers


def candidates(classes: int, device: Any, precision: str) -> dict[str, Callable[[Any, Any], Any]]:
    """Name -> a step from images and labels."""
    import torch

    from burstprop.imagenet.learner import Learner, sgd
    from burstprop.imagenet.networks import make_network

    steps: dict[str, Callable[[Any, Any], Any]] = {"loader": lambda images, labels: None}
    steps["bare"] = bare(classes, device, precision)
    for rule, feedback in (("backprop", None), ("burstprop", "learned"), ("fixed", "fixed")):
        torch.manual_seed(0)
        net = make_network(classes, feedback=feedback).to(device)
        steps[rule] = Learner(net, [1e-3] * 8, sgd(), precision=precision).train_step
    return steps


def bare(classes: int, device: Any, precision: str) -> Callable[[Any, Any], Any]:
    """The loop that anybody would write."""
    import torch
    from torch import nn

    from burstprop.imagenet.networks import GEOMETRY, NARROW
    from common.backends.torch_backend import autocast

    modules: list[nn.Module] = []
    for n_in, n_out, (kernel, stride) in zip((3, *NARROW), NARROW, GEOMETRY, strict=False):
        modules += [nn.Conv2d(n_in, n_out, kernel, stride), nn.ReLU(inplace=True)]
    net = nn.Sequential(*modules, nn.Flatten(), nn.Linear(NARROW[-1], classes))
    net = net.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(net.parameters(), 1e-3, 0.9, weight_decay=1e-4, fused=True)

    def step(images: Any, labels: Any) -> None:
        optimiser.zero_grad(set_to_none=True)
        with autocast(device, precision):
            loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimiser.step()

    return step


@dataclass(frozen=True, kw_only=True)
class BurstpropImagesOptions(Options):
    """What `burstprop_images` takes."""

    folder: Path | None = argument(type=path, help="Folder that holds train/ and val/.")
    batch_size: int = option(type=batch, default=16, help="Images a step.")
    batches: int = option(type=positive_int, default=6, help="Steps a round.")
    rounds: int = option(
        type=positive_int, default=5, help="Rounds of all candidates; one more first."
    )
    workers: int = option(type=workers, default=0, help="Processes that read images.")
    threads: int = option(type=threads, default=1, help="CPU threads.")
    device: str = option(default="cpu", help="Device: cpu or cuda.")
    precision: str = option(type=["float32", "bfloat16"], default="float32", help="Number format.")
    json: Path | None = option(type=path, help="Write the rows to this file.")


@command(BurstpropImagesOptions, paper="benchmarks", name="burstprop_images")
def main(options: BurstpropImagesOptions) -> None:
    """Time train_imagenet's rules beside a bare loop of backprop, images decoded on the fly."""
    rows = measure(options)
    machine = conditions(options.threads, options.device).split("; ")[0]
    click.echo(
        f"{machine}; batch {options.batch_size}, {options.workers} workers, {options.precision}"
    )
    click.echo(f"{'':<10}{'images/s':>10}{'ms an image':>13}{'of bare':>9}")
    for row in rows:
        click.echo(
            f"{row['rule']:<10}{row['images_per_second']:>10.1f}"
            f"{1e3 / row['images_per_second']:>13.2f}{row['of_bare']:>9.3f}"
        )
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")


def measure(options: Any) -> list[dict[str, Any]]:
    """A row a candidate: images a second, and their share of the bare loop's."""
    import torch

    from common.backends import torch_backend
    from common.data.image_folder import ImageFolder
    from common.data.torch_stream import TorchStream
    from common.data.torchvision_transforms import random_crop

    torch.set_num_threads(options.threads)
    device, folder = torch_backend.choose_device(options.device), ImageFolder(options.folder)
    stream = TorchStream(
        folder.train,
        options.batch_size,
        random_crop(224),
        shuffle=True,
        channels_last=True,
        workers=options.workers,
        device=device,
    )
    single_thread = device.type == "cpu" and options.threads == 1 and not options.workers
    clock = time.process_time if single_thread else time.perf_counter
    steps = candidates(len(folder.classes), device, options.precision)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.rounds + 1):
        for name, step in steps.items():
            torch_backend.synchronise()
            began, images = clock(), 0
            for pixels, labels in islice(stream.epoch(turn), options.batches):
                step(pixels, labels)
                images += len(labels)
            torch_backend.synchronise()
            if turn:
                times[name].append((clock() - began) / images)
    rates = {name: 1 / statistics.median(spent) for name, spent in times.items()}
    return [
        {"rule": name, "images_per_second": rate, "of_bare": rate / rates["bare"]}
        for name, rate in rates.items()
    ]


if __name__ == "__main__":
    main()
