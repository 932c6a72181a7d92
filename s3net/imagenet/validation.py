"""Validation alone: the central crop (`train --evaluate`), or ten crops of each image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from common.backends import torch_backend, torch_distributed, torch_trial
from common.data.torch_stream import TorchStream
from common.data.torchvision_transforms import centre_crop, ten_crop
from common.runs.running import Sums
from s3net.imagenet.data import check_images, load_task, stream
from s3net.imagenet.learner import Learner
from s3net.imagenet.models import arch_of
from s3net.imagenet.program import check, describe, make_learner, said
from s3net.stored import load, read

IDLE = ("epochs", "start_epoch", "lr", "momentum", "weight_decay", "limit_train", "train", "out")


def centre(options: Any) -> None:
    """Print accuracies and loss on the central crops, 224 of 256."""
    validate(options, options.resume, centre_crop)


def ten_crops(options: Any) -> None:
    """Print accuracies and loss of the logits averaged over corners, centre and their mirror
    images."""
    validate(options, options.weights, ten_crop)


def validate(options: Any, weights: Path | None, crop: Callable[[int], Any]) -> None:
    """Test the network of a file (None: as it is drawn from the seed)."""
    idle = [name.replace("_", "-") for name in IDLE if name in options.typed]
    if idle:
        click.echo(f"note: --{', --'.join(idle)} have no effect on a validation", err=True)
    if weights is None:
        click.echo("note: no --resume: the network is as it is drawn from the seed", err=True)
    device = torch_backend.set_up(options)
    world, device = torch_distributed.join(device)
    check(options, world, device)
    task = load_task(options, training=False)
    check_images(options, task, world)
    if world.main:
        click.echo(task.about)
    learner = make_learner(options, task, device, world)
    shape = (3, options.image_size, options.image_size)
    torch_trial.fits(learner.net, shape, torch_backend.floats(options.precision))
    if weights is not None:
        load(learner.net, read(weights), weights)
    batches = stream(options, task.val, crop, device, world)
    describe(options, learner, world)
    loss, accuracies = figures(learner, batches, world)
    if world.main:
        click.echo(f"{len(task.val)} images of {len(task.classes)} classes, {arch_of(options)}")
        click.echo(said(loss, accuracies))
    world.close()


def figures(learner: Learner, batches: TorchStream, world: Any) -> tuple[float, list[float]]:
    """Mean loss; top-1 and top-5 accuracy in percent, over all processes."""
    sums, whole = (Sums(torch_backend.to_floats, len(learner.counts)) for _ in range(2))
    for images, labels in batches:
        sums.add(learner.eval_step(images, labels), len(labels))
    whole.load_states(world.gather(sums.state()))
    return whole.loss, whole.shares
