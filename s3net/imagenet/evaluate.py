"""Validation alone: the central crop (`train --evaluate`), or ten crops of each image."""

from pathlib import Path

import click

from common.backends import torch_backend, torch_distributed, torch_trial
from common.data.torch_stream import TorchStream
from common.data.torchvision_transforms import centre_crop, ten_crop
from common.runs.running import RunningMetrics
from common.runs.step_lines import format_validation
from s3net.imagenet.learner import Learner
from s3net.imagenet.options import ImageNetOptions
from s3net.imagenet.program import check, describe, load_images, make_learner, stream
from s3net.stored import load, read

IDLE = ("epochs", "start_epoch", "lr", "momentum", "weight_decay", "limit_train", "train", "out")
CROPS = {"centre": centre_crop, "ten": ten_crop}


def evaluate(options: ImageNetOptions, weights: Path | None, crops: str) -> None:
    """Print accuracies and loss of the network of a file (None: as it is drawn from the seed): on
    the central crops, 224 of 256, or of the logits averaged over ten, the corners, the centre and
    their mirror images."""
    if idle := [f"--{n.replace('_', '-')}" for n in IDLE if n in options.call.typed]:
        click.echo(f"note: {', '.join(idle)} have no effect on a validation", err=True)
    if weights is None:
        click.echo("note: no --resume: the network is as it is drawn from the seed", err=True)
    device = torch_backend.set_up(
        options.device, options.seed, options.threads, options.deterministic
    )
    world, device = torch_distributed.join(device)
    check(options, world, device)
    task = load_images(options, world, training=False)
    if world.main:
        click.echo(task.about)
    learner = make_learner(options, task, device, world)
    shape = (3, options.image_size, options.image_size)
    torch_trial.fits(learner.net, shape, torch_backend.floats(options.precision))
    if weights is not None:
        load(learner.net, read(weights), weights)
    batches = stream(options, task.val, CROPS[crops], device, world)
    describe(options, learner, world)
    loss, accuracies = measure(learner, batches, world)
    if world.main:
        classes = len(task.classes)
        click.echo(f"{len(task.val)} images of {classes} classes, {options.network}")
        click.echo(format_validation(loss, *accuracies))
    world.close()


def measure(
    learner: Learner, batches: TorchStream, world: torch_distributed.World
) -> tuple[float, list[float]]:
    """Mean loss; top-1 and top-5 accuracy in percent, over all processes."""
    mine, whole = (RunningMetrics(torch_backend.to_floats, len(learner.counts)) for _ in range(2))
    for images, labels in batches:
        mine.add(learner.eval_step(images, labels), len(labels))
    whole.load_states(world.gather(mine.state()))
    return whole.loss, whole.shares
