"""What Tiny ImageNet's trainers do once their options are read."""

import click
from torch import Tensor

from common.backends import torch_backend, torch_trial
from common.backends.torch_files import write_pth
from common.files.writing import write_text
from common.runs.run import Run
from common.runs.schedules import steps
from common.runs.settings import RunSettings
from s3net.learner import Learner
from s3net.tasks import IMAGENET, load_task
from s3net.tinyimagenet.comparison import graphs
from s3net.tinyimagenet.networks import make_network
from s3net.tinyimagenet.options import TrainOptions


def train(options: TrainOptions) -> None:
    """Train and validate as the options say, into a run directory."""
    device = torch_backend.set_up(
        options.device, options.seed, options.threads, options.deterministic
    )
    task = load_task(
        options.dataset,
        options.data_dir,
        IMAGENET,
        download=not options.no_download,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )
    dtype = torch_backend.floats(options.precision)
    drawn = graphs_of(options)
    outputs = options.outputs(task.data.n_classes)
    plan = (options.model, outputs, options.dropout, options.wiring, drawn)
    torch_trial.affordable(lambda: make_network(*plan))
    net = make_network(*plan).to(device=device, dtype=dtype)
    recipe = options.recipe
    learner = Learner(
        net,
        recipe.lr,
        weight_decay=options.weight_decay,
        size=options.image_size,
        precision=options.precision,
        compile=options.compile,
    )
    train_set = task.batches(
        "train",
        recipe.batch_size,
        seed=options.seed,
        flip=options.augmentation,
        pad=options.crop_border,
        device=device,
        dtype=dtype,
    )
    test_set = task.batches("test", options.test_batch_size, device=device, dtype=dtype)
    torch_trial.rehearse(net, train_set, (3, options.image_size, options.image_size), dtype)
    click.echo(f"{options.model}: {learner.parameters()} trainable parameters")
    name = "-".join(filter(None, (task.data.name, options.model, options.wiring)))
    settings, record = RunSettings.of(options), options.record()
    with Run(settings, record, learner, data=task.data, device=device, name=name) as run:
        if drawn is not None:
            for folder in filter(None, (run.directory, options.model_dir)):
                write_text(folder / graphs.FILE, drawn.text())
        for epoch in run.epochs():
            lr = steps(recipe.lr, epoch, options.lr_step)
            learner.set_lr(lr)
            click.echo(f"Epoch {epoch + 1}/{options.epochs}, learning rate {lr:g}")
            for images, labels in run.batches(train_set):
                step = learner.train_step(images, labels)
                run.add(step)
                if is_due(options, run.batch + 1):
                    log_step(run.batch + 1, len(train_set), step[0], len(labels))
            loss, accuracy = run.train_figures()[:2]
            test_loss, test_accuracy = run.evaluate("test", test_set)[:2]
            run.log(lr=lr)
            click.echo(f"Train loss {loss:.4f} accuracy {accuracy:.4f} %")
            click.echo(f"Val loss {test_loss:.4f} accuracy {test_accuracy:.4f} %")
            if options.epoch_models:
                folder = run.directory / "models" / options.model
                write_pth(folder / f"model_{epoch + 1}_epoch.pt", net.state_dict())
    best = max(run.history, key=lambda line: line["test_accuracy"])
    last = run.history[-1]["test_accuracy"]
    click.echo(f"Best validation accuracy {best['test_accuracy']:.2f} % in epoch {best['epoch']}")
    click.echo(f"Last {last:.2f} %; {run.seconds / 60:.1f} minutes of training")
    click.echo(f"Run: {run.directory}")


def is_due(options: TrainOptions, step: int) -> bool:
    """Whether a step (from 1) gets a line."""
    return bool(options.print_every and not options.quiet and step % options.print_every == 0)


def log_step(step: int, steps: int, loss: Tensor, images: int) -> None:
    """The original's line: the loss times the images of the batch (and, here, the loss)."""
    mean = float(loss)
    click.echo(f"iteration {step}/{steps}: loss {mean:.4f}, x {images} images {mean * images:.4f}")


def graphs_of(options: TrainOptions) -> graphs.Wiring | None:
    """RandWire's graphs: those of the resumed run, else of --config; None for another network."""
    if options.model != "randwire_ws":
        return None
    kept = options.resume and options.resume / graphs.FILE
    if kept and kept.is_file():
        return graphs.read(kept)
    config = options.config
    return graphs.wiring(graphs.read_config(config) if config else graphs.Settings())
