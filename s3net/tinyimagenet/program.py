"""What s3net.tinyimagenet.train does once its options are read."""

from typing import Any

import click

from common import torch_backend
from common.run import Run
from common.torch_batches import TorchBatches
from s3net.data import load_task
from s3net.learner import Learner
from s3net.optim import step_rate
from s3net.tinyimagenet.data import MEAN, STD
from s3net.tinyimagenet.models import make


def train(options: Any) -> None:
    """Train and validate as the options say, into a run directory."""
    device = torch_backend.set_up(options)
    task = load_task(options)
    floats = torch_backend.floats(options.precision)
    net = make(options.model, task.data.n_classes, options.dropout)
    learner = Learner(
        net.to(device=device, dtype=floats),
        options.lr,
        weight_decay=options.weight_decay,
        size=options.image_size,
        precision=options.precision,
        compile=options.compile,
    )
    place: dict[str, Any] = {"device": device, "dtype": floats, "layout": "NCHW"}
    place |= {"mean": MEAN, "std": STD}
    augmented = {"flip": options.augmentation, "pad": options.crop_border}
    train_set = TorchBatches(
        task.train, options.batch_size, shuffle=True, seed=options.seed, **augmented, **place
    )
    val_set = TorchBatches(task.test, options.test_batch_size, **place)
    click.echo(f"{options.model}: {learner.parameters()} trainable parameters")
    name = f"{options.dataset}-{options.model}"
    with Run(options, learner, data=task.data, device=device, name=name) as run:
        for epoch in run.epochs(options.epochs):
            lr = step_rate(options.lr, epoch, options.lr_step)
            learner.set_lr(lr)
            click.echo(f"Epoch {epoch + 1}/{options.epochs}, learning rate {lr:g}")
            for images, labels in run.batches(train_set):
                run.add(learner.train_step(images, labels))
            loss, accuracy = run.train_figures()
            val_loss, val_accuracy = run.evaluate("test", val_set)
            run.log(lr=lr)
            click.echo(f"Train loss {loss:.4f} accuracy {accuracy:.2f} %")
            click.echo(f"Val loss {val_loss:.4f} accuracy {val_accuracy:.2f} %")
    best = max(run.history, key=lambda line: line["test_accuracy"])
    last = run.history[-1]["test_accuracy"]
    click.echo(f"Best validation accuracy {best['test_accuracy']:.2f} % in epoch {best['epoch']}")
    click.echo(f"Last {last:.2f} %; {run.seconds / 60:.1f} minutes of training")
    click.echo(f"Run: {run.directory}")
