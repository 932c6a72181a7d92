"""What s3net.cifar100.train_S3Net does once its options are read."""

import time
from pathlib import Path

import click
from torch import nn

from common.backends import torch_backend, torch_trial
from common.backends.torch_files import write_pth
from common.data.batches import Batches
from common.runs.directory import Configuration
from common.runs.run import Run
from common.runs.schedules import quarters
from common.runs.settings import RunSettings
from s3net.cifar100.options import TrainOptions
from s3net.cifar100.s3model import CifarS3, layers_of
from s3net.learner import Learner
from s3net.tasks import CIFAR, load_task, outputs_for


def train(options: TrainOptions) -> None:
    """Train and test as the options say, into a run directory."""
    device = torch_backend.set_up(
        options.device, options.seed, options.threads, options.deterministic
    )
    task = load_task(
        options.dataset,
        options.data_dir,
        CIFAR,
        download=not options.no_download,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )
    dtype = torch_backend.floats(options.precision)
    torch_trial.affordable(lambda: network(options, task.data.n_classes))
    net = network(options, task.data.n_classes).to(device=device, dtype=dtype)
    learner = Learner(
        net,
        options.lr,
        momentum=options.momentum,
        weight_decay=options.weight_decay,
        precision=options.precision,
        compile=options.compile,
    )
    train_set = task.batches(
        "train",
        options.batch_size,
        seed=options.seed,
        flip=options.augmentation,
        pad=4 if options.augmentation else 0,
        device=device,
        dtype=dtype,
    )
    test_set = task.batches("test", options.batch_size, device=device, dtype=dtype)
    torch_trial.rehearse(net, train_set, (3, *task.train.images.shape[1:3]), dtype)
    click.echo(f"{learner.parameters()} parameters, {options.wiring} wiring, {device}")
    name = f"{options.dataset}-{options.wiring}-k{options.growth_rate}-d{options.true_depth}"
    settings, record = RunSettings.of(options), options.record()
    with Run(settings, record, learner, data=task.data, device=device, name=name) as run:
        try:
            for epoch in run.epochs():
                lr = quarters(options.lr, epoch, options.epochs)
                learner.set_lr(lr)
                best = max((line["test_accuracy"] for line in run.history), default=-1.0)
                began = time.perf_counter()
                for images, labels in run.batches(train_set):
                    run.add(learner.train_step(images, labels))
                log_pass(options, "train", run.train_figures(), train_set, began)
                if (later := quarters(options.lr, epoch + 1, options.epochs)) != lr:
                    click.echo(f"learning rate: {later:g}")
                began = time.perf_counter()
                figures = run.evaluate("test", test_set)
                run.log(lr=lr)
                log_pass(options, "test", figures, test_set, began)
                if figures[1] > best:
                    save(net, record, options.save or run.directory / "DenseNet.pt")
        except SystemExit:  # Ctrl-C
            click.echo(f"{run.seconds / 60:.1f} minutes")
            raise
    top = max(run.history, key=lambda line: line["test_accuracy"])
    click.echo(
        f"best test accuracy {top['test_accuracy']:.2f} % in epoch {top['epoch']}, last "
        f"{run.history[-1]['test_accuracy']:.2f} %; {run.seconds / 60:.1f} minutes"
    )
    click.echo(f"Run: {run.directory}")


def network(options: TrainOptions, classes: int) -> CifarS3:
    """The network of the options, drawn from the seed. UsageError for too few outputs."""
    return CifarS3(
        options.growth_rate,
        layers_of(options.true_depth),
        options.channels,
        classes=outputs_for(classes, options.num_class, "num_class", options.dataset),
        dropout=options.true_dropout,
        drop_always=options.switches.dropout_in_test,
        wiring=options.wiring,
    )


def log_pass(
    options: TrainOptions, which: str, figures: tuple[float, ...], batches: Batches, began: float
) -> None:
    """The original's line about one pass."""
    loss, accuracy = figures[:2]
    total = batches.images
    if options.switches.report_loss_by_images:
        loss *= len(batches) / total
    right = round(accuracy * total / 100)
    click.echo(
        f"({which}) time: {time.perf_counter() - began:.1f} s loss: {loss:.4f} "
        f"accuracy: {accuracy:.2f} % {right}/{total}"
    )


def save(net: nn.Module, settings: Configuration, file: Path) -> None:
    """The original's file: settings (here a plain dict, nothing to unpickle) and the state dict."""
    write_pth(file, {"settings": dict(settings), "model": net.state_dict()})
