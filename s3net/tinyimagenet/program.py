"""What Tiny ImageNet's trainers do once their options are read."""

from pathlib import Path
from typing import Any

import click

from common.backends import torch_backend, torch_trial
from common.backends.torch_files import write_pth
from common.data.torch_batches import TorchBatches
from common.files.writing import write_text
from common.runs.run import Run
from common.runs.schedules import steps
from s3net.data import load_task
from s3net.learner import Learner
from s3net.tinyimagenet.comparison import graphs
from s3net.tinyimagenet.data import MEAN, STD
from s3net.tinyimagenet.models import make
from s3net.tinyimagenet.options import outputs, resolve


def train(options: Any) -> None:
    """Train and validate as the options say, into a run directory."""
    options = resolve(options)
    device = torch_backend.set_up(options)
    task = load_task(options)
    floats = torch_backend.floats(options.precision)
    drawn = graphs_of(options)
    count = outputs(options, task.data.n_classes)
    how = (options.model, count, options.dropout, options.wiring, drawn)
    torch_trial.affordable(lambda: make(*how))
    net = make(*how)
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
    torch_trial.rehearse(net, train_set, (3, options.image_size, options.image_size), floats)
    click.echo(f"{options.model}: {learner.parameters()} trainable parameters")
    name = f"{task.data.name}-{options.model}{options.wiring and '-' + options.wiring or ''}"
    with Run(options, learner, data=task.data, device=device, name=name) as run:
        keep_graphs(drawn, run.directory, getattr(options, "model_dir", None))
        for epoch in run.epochs(options.epochs):
            lr = steps(options.lr, epoch, options.lr_step)
            learner.set_lr(lr)
            click.echo(f"Epoch {epoch + 1}/{options.epochs}, learning rate {lr:g}")
            for images, labels in run.batches(train_set):
                step = learner.train_step(images, labels)
                run.add(step)
                iteration(options, run.batch, len(train_set), step[0], len(labels))
            loss, accuracy = run.train_figures()[:2]
            val_loss, val_accuracy = run.evaluate("test", val_set)[:2]
            run.log(lr=lr)
            click.echo(f"Train loss {loss:.4f} accuracy {accuracy:.4f} %")
            click.echo(f"Val loss {val_loss:.4f} accuracy {val_accuracy:.4f} %")
            if options.epoch_models:
                folder = run.directory / "models" / options.model
                write_pth(folder / f"model_{epoch + 1}_epoch.pt", net.state_dict())
    best = max(run.history, key=lambda line: line["test_accuracy"])
    last = run.history[-1]["test_accuracy"]
    click.echo(f"Best validation accuracy {best['test_accuracy']:.2f} % in epoch {best['epoch']}")
    click.echo(f"Last {last:.2f} %; {run.seconds / 60:.1f} minutes of training")
    click.echo(f"Run: {run.directory}")


def iteration(options: Any, batch: int, total: int, loss: Any, images: int) -> None:
    """The original's line: the loss times the images of the batch (and, here, the loss)."""
    every = options.print_every
    if every and not options.quiet and (batch + 1) % every == 0:
        mean = float(loss)
        click.echo(f"iteration {batch + 1}/{total}: loss {mean:.4f}, x {images} images "
                   f"{mean * images:.4f}")  # fmt: skip


def graphs_of(options: Any) -> graphs.Wiring | None:
    """RandWire's graphs: those of the resumed run, else of --config; None for another network."""
    if options.model != "randwire_ws":
        return None
    kept = options.resume and options.resume / graphs.FILE
    if kept and kept.is_file():
        return graphs.read(kept)
    config = getattr(options, "config", None)
    return graphs.wiring(graphs.read_config(config) if config else graphs.Settings())


def keep_graphs(drawn: graphs.Wiring | None, run: Path, copy: Path | None) -> None:
    """Write the graphs into the run, and into --model_dir."""
    for folder in (run, copy):
        if drawn is not None and folder is not None:
            write_text(folder / graphs.FILE, drawn.text())
