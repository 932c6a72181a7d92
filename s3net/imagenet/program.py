"""What s3net.imagenet.train does once its options are read."""

from collections.abc import Callable
from typing import Any

import click
import torch

from common.backends import torch_backend, torch_distributed, torch_trial
from common.backends.torch_distributed import World
from common.data.torch_stream import TorchStream
from common.data.torchvision_transforms import centre_crop, random_crop
from common.errors import UsageError
from common.files.writing import write_text
from common.runs.run import Run
from common.runs.schedules import steps
from common.runs.settings import RunSettings
from common.runs.step_lines import StepLines, format_validation
from s3net.counts import multiplications
from s3net.imagenet import checkpoint
from s3net.imagenet.learner import Learner
from s3net.imagenet.options import ImageNetOptions
from s3net.imagenet.tasks import Task, load_task
from s3net.networks import PLANS, make_network, torchvision_network

METRICS = {"top1": "test_accuracy", "top5": "test_top5_accuracy"}


def train(options: ImageNetOptions) -> None:
    """Train and validate as the options say, into a run directory."""
    device = torch_backend.set_up(
        options.device, options.seed, options.threads, options.deterministic
    )
    world, device = torch_distributed.join(device)
    check(options, world, device)
    task = load_images(options, world)
    learner = make_learner(options, task, device, world)
    start = options.start_epoch
    if options.resume and options.resume.is_file():
        epochs = checkpoint.load(learner, options.resume)
        start = start if "start_epoch" in options.call.typed else epochs
    if start >= options.epochs:
        raise UsageError(
            f"option --epochs (={options.epochs}) must be more than the {start} before it begins"
        )
    order = {"shuffle": True, "seed": options.seed}
    train_set = stream(options, task.train, random_crop, device, world, **order)
    test_set = stream(options, task.val, centre_crop, device, world)
    shape = (3, options.image_size, options.image_size)
    torch_trial.rehearse(learner.net, train_set, shape, torch_backend.floats(options.precision))
    describe(options, learner, world)
    arch, by = options.network, options.switches.best_by
    with Run(
        RunSettings.of(options),
        options.record(),
        learner,
        data=task,
        device=device,
        name=f"{task.name}-{arch}",
        best=METRICS[by],
        start_epoch=start,
        world=world,
    ) as run:
        for epoch in run.epochs():
            write_curves(run)
            lr = steps(options.lr, epoch)
            learner.set_lr(lr)
            lines = StepLines(run, 0 if options.quiet else options.print_freq)
            for images, labels in lines.batches(train_set):
                result = learner.train_step(images, labels)
                run.add(result)
                lines.learnt(result, len(labels))
            learner.share_statistics()
            loss, *accuracies = run.evaluate("test", test_set)
            before = dict(learner.best)
            learner.best = {n: max(before[n], a) for n, a in zip(before, accuracies, strict=True)}
            run.log(lr=lr, best_accuracy=learner.best["top1"])
            if world.main:
                click.echo(format_validation(loss, *accuracies))
                improved = learner.best[by] > before[by]
                checkpoint.save(run.directory, learner, epoch + 1, arch, best=improved)
        write_curves(run)
    if world.main:
        click.echo(
            f"best Acc@1 {learner.best['top1']:.3f} Acc@5 {learner.best['top5']:.3f}, last "
            f"Acc@1 {run.history[-1]['test_accuracy']:.3f}"
        )
        click.echo(f"Run: {run.directory}")
    world.close()


def check(options: ImageNetOptions, world: World, device: torch.device) -> None:
    """UsageError for options that do not go with the processes that there are."""
    world.share(options.batch_size)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if options.dist_backend not in (None, backend):
        raise UsageError(
            f"option --dist-backend (={options.dist_backend}) must be left out, or be {backend} "
            f"on {device.type}"
        )


def load_images(options: ImageNetOptions, world: World, *, training: bool = True) -> Task:
    """The images of the options, all decoded once with --check-data."""
    task = load_task(
        options.dataset,
        options.data,
        options.train,
        options.val,
        training=training,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )
    if options.check_data:
        task.check_images(world, options.quiet)
    return task


def stream(
    options: ImageNetOptions,
    source: Any,
    crop: Callable[[int], Any],
    device: torch.device,
    world: World,
    **order: Any,
) -> TorchStream:
    """This process's batches of a source. crop: of `common.data.torchvision_transforms`, for a
    side; order: shuffle and seed."""
    return TorchStream(
        source,
        world.share(options.batch_size),
        crop(options.image_size),
        workers=options.workers,
        part=world,
        device=device,
        dtype=torch_backend.floats(options.precision),
        channels_last=True,
        **order,
    )


def make_learner(
    options: ImageNetOptions, task: Task, device: torch.device, world: World
) -> Learner:
    """The network of the options, drawn from the seed. UsageError for too few outputs."""
    outputs = options.outputs(len(task.classes))
    torch_trial.affordable(lambda: network(options.network, outputs))
    net = network(options.network, outputs)
    return Learner(
        net.to(device=device, dtype=torch_backend.floats(options.precision)),
        options.lr,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        precision=options.precision,
        compile=options.compile,
        world=world,
    )


def network(name: str, classes: int) -> torch.nn.Module:
    """A network of this paper, else of torchvision. ArgumentError for a name that neither has."""
    if name in PLANS:
        return make_network(name, classes)
    more: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):  # their further outputs are for a loss of their own
        more = {"aux_logits": False, "init_weights": True}
    return torchvision_network(name, classes, "arch", **more)


def describe(options: ImageNetOptions, learner: Learner, world: World) -> None:
    """The network, its parameters and its work, once."""
    if not world.main:
        return
    if not options.quiet:
        click.echo(learner.net)
    size = options.image_size
    work = multiplications(learner.net, size)
    click.echo(
        f"{options.network}: {learner.parameters()} parameters, {work / 1e9:.2f} GMac an image of "
        f"{size} x {size}, {learner.device}, {world.size} process(es)"
    )


def write_curves(run: Run) -> None:
    """The original's four files: accuracies in percent, comma-separated, an epoch after another."""
    if not (run.main and run.history):
        return
    folder = run.directory / "ImageNet"
    for half, ours in (("train", "train"), ("val", "test")):
        for k, name in ((1, "accuracy"), (5, "top5_accuracy")):
            values = ",".join(f"{line[f'{ours}_{name}']:.4f}" for line in run.history)
            write_text(folder / f"{half}_loss_acc{k}.txt", values + "\n")
