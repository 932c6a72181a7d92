"""What s3net.cifar100.train_S3Net does once its options are read."""

import time
from pathlib import Path
from typing import Any

import click
from torch import nn

from common.backends import torch_backend, torch_trial
from common.backends.torch_files import write_pth
from common.data.torch_batches import TorchBatches
from common.errors import UsageError
from common.runs.run import Run
from common.runs.schedules import quarters
from s3net.cifar100.s3model import CifarS3, layers_of
from s3net.data import load_task
from s3net.learner import Learner
from s3net.outputs import enough

MEAN = tuple(m / 255 for m in (129.3, 124.1, 112.4))
STD = tuple(s / 255 for s in (68.2, 65.4, 70.4))
FIXED_DEPTH = 40  # of the original, whatever its --depth said


def train(options: Any) -> None:
    """Train and test as the options say, into a run directory."""
    if options.unuse_cuda:
        if "device" in options.typed and not str(options.device).startswith("cpu"):
            raise UsageError(f"option --unuse-cuda contradicts --device {options.device}")
        options.device = "cpu"
    device = torch_backend.set_up(options)
    task = load_task(options)
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
    place: dict[str, Any] = {"device": device, "dtype": dtype, "layout": "NCHW"}
    place |= {"mean": MEAN, "std": STD}
    augmented: dict[str, Any] = {"flip": True, "pad": 4} if options.augmentation else {}
    size, seed = options.batch_size, options.seed
    train_set = TorchBatches(task.train, size, shuffle=True, seed=seed, **augmented, **place)
    test_set = TorchBatches(task.test, size, **place)
    torch_trial.rehearse(net, train_set, (3, *task.train.images.shape[1:3]), dtype)
    click.echo(f"{learner.parameters()} parameters, {options.wiring} wiring, "
               f"{device}")  # fmt: skip
    name = f"{options.dataset}-{options.wiring}-k{options.growth_rate}-d{depth(options)}"
    with Run(options, learner, data=task.data, device=device, name=name) as run:
        try:
            learn(run, options, learner, train_set, test_set)
        except SystemExit:  # Ctrl-C
            click.echo(f"{run.seconds / 60:.1f} minutes")
            raise
    found = max(run.history, key=lambda line: line["test_accuracy"])
    last, best = run.history[-1]["test_accuracy"], found["test_accuracy"]
    click.echo(f"best test accuracy {best:.2f} % in epoch {found['epoch']}, last {last:.2f} %; "
               f"{run.seconds / 60:.1f} minutes")  # fmt: skip
    click.echo(f"Run: {run.directory}")


def learn(run: Run, options: Any, learner: Learner, train_set: Any, test_set: Any) -> None:
    """The epochs: train, fall of the rate, test, save if better."""
    for epoch in run.epochs(options.epochs):
        lr = quarters(options.lr, epoch, options.epochs)
        learner.set_lr(lr)
        best = max((line["test_accuracy"] for line in run.history), default=-1.0)
        began = time.perf_counter()
        for images, labels in run.batches(train_set):
            run.add(learner.train_step(images, labels))
        loss, accuracy = run.train_figures()[:2]
        report(options, "train", loss, accuracy, train_set, time.perf_counter() - began)
        if (later := quarters(options.lr, epoch + 1, options.epochs)) != lr:
            click.echo(f"learning rate: {later:g}")
        began = time.perf_counter()
        loss, accuracy = run.evaluate("test", test_set)[:2]
        run.log(lr=lr)
        report(options, "test", loss, accuracy, test_set, time.perf_counter() - began)
        if accuracy > best:
            save(learner.net, options, options.save or run.directory / "DenseNet.pt")


def depth(options: Any) -> int:
    """How deep the network really is."""
    return FIXED_DEPTH if options.switches.ignore_depth else options.depth


def network(options: Any, classes: int) -> CifarS3:
    """The network of the options, drawn from the seed. UsageError for too few outputs."""
    outputs = enough(options.num_class or classes, classes, "num_class", options.dataset)
    switches = options.switches
    asked = "augmentation" in options.typed and options.augmentation
    gated = switches.dropout_needs_augmentation and not asked
    return CifarS3(
        options.growth_rate,
        layers_of(depth(options)),
        options.channels,
        classes=outputs,
        dropout=0.0 if gated else options.dropout,
        drop_always=switches.dropout_in_test,
        wiring=options.wiring,
    )


def report(
    options: Any, which: str, loss: float, accuracy: float, batches: Any, seconds: float
) -> None:
    """The original's line about one pass."""
    total = batches.images
    if options.switches.report_loss_by_images:
        loss *= len(batches) / total
    right = round(accuracy * total / 100)
    click.echo(f"({which}) time: {seconds:.1f} s loss: {loss:.4f} accuracy: {accuracy:.2f} % "
               f"{right}/{total}")  # fmt: skip


def save(net: nn.Module, options: Any, file: Path) -> None:
    """The original's file: settings (here a plain dict, nothing to unpickle) and the state dict."""
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in options.as_dict().items()}
    write_pth(file, {"settings": settings, "model": net.state_dict()})
