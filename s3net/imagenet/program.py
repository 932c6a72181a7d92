"""What s3net.imagenet.train does once its options are read."""

from pathlib import Path
from typing import Any

import click
import torch

from common.backends import torch_backend, torch_distributed, torch_trial
from common.backends.torch_files import write_pth
from common.data.torchvision_transforms import centre_crop, random_crop
from common.errors import UsageError
from common.files.writing import write_text
from common.runs.run import Run
from common.runs.schedules import steps
from s3net.counts import multiplications
from s3net.imagenet.data import Task, check_images, load_task, stream
from s3net.imagenet.learner import Learner
from s3net.imagenet.models import arch_of, make
from s3net.imagenet.progress import Progress
from s3net.outputs import enough


def train(options: Any) -> None:
    """Train and validate as the options say, into a run directory."""
    device = torch_backend.set_up(options)
    world, device = torch_distributed.join(device)
    check(options, world, device)
    task = load_task(options)
    check_images(options, task, world)
    learner = make_learner(options, task, device, world)
    start = options.start_epoch
    if options.resume and options.resume.is_file():
        found = learner.load_original(options.resume)
        start = start if "start_epoch" in options.typed else found
    if start >= options.epochs:
        raise UsageError(f"option --epochs (={options.epochs}) must be more than the {start} "
                         "before it begins")  # fmt: skip
    order = {"shuffle": True, "seed": options.seed}
    train_set = stream(options, task.train, random_crop, device, world, **order)
    val_set = stream(options, task.val, centre_crop, device, world)
    shape = (3, options.image_size, options.image_size)
    torch_trial.rehearse(learner.net, train_set, shape, torch_backend.floats(options.precision))
    describe(options, learner, world)
    arch = arch_of(options)
    with Run(options, learner, data=task, device=device, name=f"{task.name}-{arch}",
             best=metric(options), start_epoch=start, world=world) as run:  # fmt: skip
        for epoch in run.epochs(options.epochs):
            write_curves(run)
            lr = steps(options.lr, epoch)
            learner.set_lr(lr)
            progress = Progress(options, epoch, len(train_set), world)
            for images, labels in progress.timed(run.batches(train_set)):
                result = learner.train_step(images, labels)
                run.add(result)
                progress.line(run.batch + 1, result, len(labels), run)
            learner.share_statistics()
            loss, *accuracies = run.evaluate("test", val_set)
            best = dict(learner.best)
            learner.best = {n: max(best[n], a) for n, a in zip(best, accuracies, strict=True)}
            run.log(lr=lr, best_accuracy=learner.best["top1"])
            if world.main:
                click.echo(said(loss, accuracies))
                by = options.switches.best_by
                improved = learner.best[by] > best[by]
                save(run.directory, learner.original(epoch + 1, arch), improved)
        write_curves(run)
    if world.main:
        click.echo(f"best Acc@1 {learner.best['top1']:.3f} Acc@5 {learner.best['top5']:.3f}, last "
                   f"Acc@1 {run.history[-1]['test_accuracy']:.3f}")  # fmt: skip
        click.echo(f"Run: {run.directory}")
    world.close()


def check(options: Any, world: Any, device: torch.device) -> None:
    """UsageError for options that do not go together."""
    if options.batch_size % world.size:
        raise UsageError(f"option --batch-size (={options.batch_size}) must be a multiple of the "
                         f"{world.size} processes")  # fmt: skip
    backend = "nccl" if device.type == "cuda" else "gloo"
    if options.dist_backend not in (None, backend):
        raise UsageError(f"option --dist-backend (={options.dist_backend}) must be left out, or be "
                         f"{backend} on {device.type}")  # fmt: skip


def make_learner(options: Any, task: Task, device: torch.device, world: Any) -> Learner:
    """The network of the options, drawn from the seed. UsageError for too few outputs."""
    outputs = options.num_classes or len(task.classes)
    if options.switches.thousand_outputs and "num_classes" not in options.typed:
        outputs = 1000
    enough(outputs, len(task.classes), "num_classes", "the images")
    torch_trial.affordable(lambda: make(arch_of(options), outputs))
    net = make(arch_of(options), outputs)
    return Learner(
        net.to(device=device, dtype=torch_backend.floats(options.precision)),
        options.lr,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        precision=options.precision,
        compile=options.compile,
        world=world,
    )


def describe(options: Any, learner: Learner, world: Any) -> None:
    """The network, its parameters and its work, once."""
    if not world.main:
        return
    if not options.quiet:
        click.echo(learner.net)
    name, size = arch_of(options), options.image_size
    work = multiplications(learner.net, size)
    click.echo(f"{name}: {learner.parameters()} parameters, {work / 1e9:.2f} GMac an image of "
               f"{size} x {size}, {learner.device}, {world.size} process(es)")  # fmt: skip


def metric(options: Any) -> str:
    """The metric whose best epoch is the best one."""
    return {"top1": "test_accuracy", "top5": "test_top5_accuracy"}[options.switches.best_by]


def said(loss: float, accuracies: Any) -> str:
    """The original's line about a validation."""
    return f" * Acc@1 {accuracies[0]:.3f} Acc@5 {accuracies[1]:.3f} Loss {loss:.4f}"


def save(run: Path, document: dict[str, Any], best: bool) -> None:
    """checkpoint.pth.tar, and model_best.pth.tar where it is the best one: each whole at any time.

    Plain tensors and numbers, so that torch.load needs no trust.
    """
    if best:
        write_pth(run / "model_best.pth.tar", document)
    write_pth(run / "checkpoint.pth.tar", document)


def write_curves(run: Run) -> None:
    """The original's four files: accuracies in percent, comma-separated, an epoch after another."""
    if not (run.main and run.history):
        return
    folder = run.directory / "ImageNet"
    for half, ours in (("train", "train"), ("val", "test")):
        for k, name in ((1, "accuracy"), (5, "top5_accuracy")):
            values = ",".join(f"{line[f'{ours}_{name}']:.4f}" for line in run.history)
            write_text(folder / f"{half}_loss_acc{k}.txt", values + "\n")
