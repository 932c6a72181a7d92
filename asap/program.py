"""What asap.train does once its options are read."""

from pathlib import Path
from typing import Any

import click
import torch
from torch import nn

from asap.learner import Learner, adam, sgd
from asap.modes import Network
from asap.networks import make_network
from asap.options import TrainOptions
from asap.sharing import SHARING, sources
from asap.stored import to_original
from asap.tasks import Task, load_task
from common.backends import torch_backend, torch_distributed, torch_trial
from common.backends.torch_files import write_pth
from common.errors import UsageError
from common.runs.run import Run
from common.runs.schedules import cosine
from common.runs.settings import RunSettings


def train(options: TrainOptions) -> None:
    """Train and test as the options say, into a run directory."""
    device = torch_backend.set_up(
        options.device, options.seed, options.threads, options.deterministic
    )
    world, device = torch_distributed.join(device)
    check(options, world, device)
    task = load_task(
        options.dataset,
        options.data_dir,
        options.model,
        download=not options.no_download,
        augmentation=options.augmentation,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )
    torch_trial.affordable(lambda: network(options, task, torch.device("meta")))
    net = network(options, task, device)
    if options.show_sharing:
        show_sharing(net, task)
        return
    if options.sync_bn:
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    make = sgd(options.lr) if options.optimizer == "sgd" else adam(options.lr)
    learner = Learner(net, make, precision=options.precision, compile=options.compile, world=world)
    tensor_options: dict[str, Any] = {
        "device": device,
        "dtype": torch_backend.floats(options.precision),
    }
    train_set = task.batches(
        "train",
        options.batch_size // world.size,
        options.augmentation,
        seed=options.seed,
        part=(world.rank, world.size),
        **tensor_options,
    )
    test_set = task.batches("test", options.test_batch_size, **tensor_options)
    channels, size = task.shape["channels"], task.shape["size"]
    torch_trial.rehearse(net, train_set, (channels, size, size), tensor_options["dtype"])
    if world.main:
        click.echo(options.record())
        click.echo(net)
    name = f"{task.data.name}_{options.model}_{variant(options)}"
    settings = RunSettings.of(options)
    with Run(
        settings, options.record(), learner, data=task.data, device=device, name=name, world=world
    ) as run:
        for epoch in run.epochs():
            lr = cosine(options.lr, epoch, options.epochs)
            learner.set_lr(lr)
            best = max((line["test_accuracy"] for line in run.history), default=-1.0)
            for images, labels in run.batches(train_set):
                run.add(learner.train_step(images, labels))
            loss, accuracy = run.train_figures()
            learner.share_statistics()
            test_loss, test_accuracy = run.evaluate("test", test_set)
            run.log(lr=lr)
            if world.main:
                click.echo(f"Epoch: {epoch}")
                click.echo(f"train Loss: {loss:.3f} | Acc: {accuracy:.3f}%")
                click.echo(f"test  Loss: {test_loss:.3f} | Acc: {test_accuracy:.3f}%")
                if test_accuracy > best:
                    click.echo("Saving..")
                    save(net, test_accuracy, epoch, run.directory / original_file(name))
                    click.echo(f"best accuracy : {test_accuracy:.2f} epoch : {epoch}")
    if world.main:
        click.echo(f"Run: {run.directory}")
    world.close()


def check(options: TrainOptions, world: Any, device: torch.device) -> None:
    """UsageError for options that do not go together."""
    if options.wt and options.feedback not in SHARING:
        raise UsageError(
            f"option --wt must not be used with --feedback {options.feedback}; it goes with "
            f"{', '.join(SHARING)}"
        )
    if options.batch_size % world.size:
        raise UsageError(
            f"option --batch-size (={options.batch_size}) must be a multiple of the "
            f"{world.size} processes"
        )
    if options.sync_bn and device.type != "cuda":
        raise UsageError("option --sync-bn needs --device cuda: torch has no other")


def network(options: TrainOptions, task: Task, device: torch.device) -> Network:
    """The network of the options, drawn from the seed."""
    switches = options.switches
    net = make_network(
        options.model,
        options.feedback,
        width=options.width,
        wt=options.wt,
        shortcut_slip=switches.shortcut_slip,
        fa_feedback=switches.fa_feedback,
        feedback_init=switches.feedback_init,
        frozen_stem=switches.frozen_stem,
        conv_bias=switches.conv_bias,
        **task.shape,
    )
    return net.to(device=device, dtype=torch_backend.floats(options.precision))


def variant(options: TrainOptions) -> str:
    """Mode and what else distinguishes a run: the original's names forgot it (asap, D14)."""
    more = [name for name in ("wt", "augmentation") if getattr(options, name)]
    more += [options.optimizer] if options.optimizer != "sgd" else []
    return "_".join([options.feedback, *("aug" if m == "augmentation" else m for m in more)])


def original_file(name: str) -> Path:
    """checkpoint/<dataset>_<model>_<feedback>.pth, as the original names it, in the run."""
    return Path("checkpoint") / f"{name}.pth"


def save(net: Network, accuracy: float, epoch: int, path: Path) -> None:
    """The original's file: net (a state dict under its names), acc (percent) and epoch."""
    write_pth(path, {"net": to_original(net), "acc": accuracy, "epoch": epoch})


def show_sharing(net: Network, task: Task) -> None:
    """The table of `sharing.sources`."""
    shape = (1, task.shape["channels"], task.shape["size"], task.shape["size"])
    images = torch.zeros(shape, device=next(net.parameters()).device, dtype=net_dtype(net))
    rows = sources(net, images)
    click.echo(f"{'layer':<24}{'reads':<16}{'learns from':<32}{'tiled':>6}{'pooled':>7}")
    for row in rows:
        reads = "x".join(map(str, row["input"]))
        click.echo(
            f"{row['layer']:<24}{reads:<16}{row['learns from']:<32}{row['tiled']:>6}"
            f"{row['pooled']:>7}"
        )


def net_dtype(net: Network) -> torch.dtype:
    """The type of the network's weights."""
    return next(net.parameters()).dtype
