"""What newpaper.train does once its options are read."""

from typing import Any

import click

from common.backends import torch_backend, torch_trial
from common.data.torch_batches import TorchBatches
from common.runs.run import Run
from common.runs.settings import RunSettings
from newpaper import recipes
from newpaper.learner import Learner
from newpaper.networks import make_network
from newpaper.options import TrainOptions
from newpaper.tasks import load_task


def train(options: TrainOptions) -> None:
    """Train and test as the options say, into a run directory."""
    device = torch_backend.set_up(
        options.device, options.seed, options.threads, options.deterministic
    )
    task = load_task(
        options.dataset,
        options.data_dir,
        download=not options.no_download,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )
    sizes = [task.pixels, *[options.hidden] * options.layers, task.classes]
    torch_trial.affordable(lambda: make_network(sizes))
    dtype = torch_backend.DTYPES[options.precision]
    net = make_network(sizes).to(device=device, dtype=dtype)
    learner = Learner(
        net,
        options.rule,
        lr=options.lr,
        momentum=recipes.MOMENTUM,
        sum_over_batch=options.switches.sum_over_batch,
    )
    tensor_options: dict[str, Any] = {"device": device, "dtype": dtype, "layout": "flat"}
    train_set = TorchBatches(
        task.train, options.batch_size, shuffle=True, seed=options.seed, **tensor_options
    )
    test_set = TorchBatches(task.test, 1000, **tensor_options)
    name = f"{task.data.name}_{options.rule}"
    with Run(
        RunSettings.of(options), options.record(), learner, data=task.data, device=device, name=name
    ) as run:
        for epoch in run.epochs():
            for images, labels in run.batches(train_set):
                run.add(learner.train_step(images, labels))
            _, train_accuracy = run.train_figures()
            _, test_accuracy = run.evaluate("test", test_set)
            click.echo(
                f"Epoch {epoch + 1}: train {train_accuracy:.2f} %, test {test_accuracy:.2f} %"
            )
    click.echo(f"Run: {run.directory}")
