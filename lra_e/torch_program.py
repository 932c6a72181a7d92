"""mnist_torch and fmnist_torch: the same program with two recipes."""

from collections.abc import Callable, Sequence
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from common.backends import torch_backend
from common.data.torch_batches import TorchBatches
from common.runs.run import Run
from common.runs.settings import RunSettings
from lra_e.networks import draw_weights
from lra_e.options import TrainOptions, described
from lra_e.tasks import Task, hold_out, load_task
from lra_e.torch_learner import Learner, MakeOptimiser, adamw, sgd
from lra_e.torch_rule import MLP
from lra_e.torch_seedpath import SeedPath

Weights = Sequence[np.ndarray | Tensor]  # in canonical layout
Order = Callable[[int], np.ndarray]  # epoch from 0 -> positions among the images to train on


def train(options: TrainOptions) -> None:
    """Train, validate and test as the options say, into a run directory."""
    device = torch_backend.set_up(
        options.device, options.seed, options.threads, options.deterministic
    )
    task = load_task(
        options.dataset,
        options.data_dir,
        options.layers,
        options.validation,
        download=not options.no_download,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )
    kept, held, W, E, order = draw(options, task)
    learner = Learner(
        make_network(options, W, E, device),
        make_optimiser(options),
        options.rule,
        report_after_update=options.switches.report_after_update,
    )
    dtype = torch_backend.DTYPES[options.precision]
    tensor_options: dict[str, Any] = {"device": device, "dtype": dtype, "layout": "flat"}
    train_set = TorchBatches(
        task.train.take(kept),
        options.batch_size,
        shuffle=True,
        seed=options.seed,
        order=order,
        **tensor_options,
    )
    val_set = TorchBatches(task.train.take(held), 1000, **tensor_options)
    test_set = TorchBatches(task.test, 1000, **tensor_options)

    click.echo(f"PyTorch {torch.__version__} on {device}, {torch.get_num_threads()} threads")
    click.echo(
        f"{options.dataset}: {len(kept)} train, {len(held)} validation images, "
        f"{len(task.test)} test"
    )
    click.echo(described(options))
    run = Run(
        RunSettings.of(options),
        options.record(),
        learner,
        data=task.data,
        device=device,
        name=f"{options.call.name}-{options.rule}",
        best="val_accuracy",
    )
    with run:
        for epoch in run.epochs():
            for images, labels in run.batches(train_set):
                run.add(learner.train_step(images, labels))
            loss, accuracy = run.train_figures()
            _, validation = run.evaluate("val", val_set)
            run.evaluate("test", test_set)
            run.log(lr=options.lr)
            if options.switches.report_sum:
                loss *= len(train_set)
            click.echo(
                f"Epoch {epoch + 1}: Loss: {loss:.4f} Training Accuracy: {accuracy:.2f} % "
                f"Validation Accuracy: {validation:.2f} %"
            )
    best = max(line["val_accuracy"] for line in run.history)
    click.echo(f"Best Validation Accuracy: {best:.2f} %")
    click.echo(f"Test Accuracy: {run.history[-1]['test_accuracy']:.2f} %")
    click.echo(f"Total time: {run.seconds:.1f} s")
    click.echo(f"Run: {run.directory}")


def draw(options: TrainOptions, task: Task) -> tuple[Any, Any, Weights, Weights, Order | None]:
    """What comes from the seed before the first step: indices of the images to train on and of
    those that validate; first W and E; epoch -> order of the images (None: the batches' own).

    Drawn by numpy's generator, or by torch's as the originals did (lra_e, D16).
    """
    layers, init, count, seed = options.layers, options.init, len(task.train), options.seed
    stds = {"std_w": options.std_w, "std_e": options.std_e}
    if not options.switches.torch_stream:
        indices = hold_out(options.hold_out, count, task.held_out, seed)
        return *indices, *draw_weights(layers, init, seed=seed, **stds), None
    path = SeedPath(layers, init=init, n=count, n_val=task.held_out, seed=seed, **stds)
    drawn = path.train_indices, path.val_indices, path.W, path.E
    return *drawn, lambda epoch: path.epoch_order(epoch + 1)


def make_network(options: TrainOptions, W: Weights, E: Weights, device: torch.device) -> MLP:
    """The network of the options with the first weights W and E."""
    model = MLP(
        options.layers,
        activation=options.activation,
        beta=options.beta,
        gamma=1.0 if options.switches.ignore_gamma else options.gamma,
        bias=options.bias,
        local_loss=options.local_loss,
        error_form=options.switches.error_form,
        reduction=options.reduction,
        normalise=options.normalise,
        dtype=torch_backend.DTYPES[options.precision],
        device=device,
    )
    with torch.no_grad():
        for parameter, first in zip([*model.W, *model.E], [*W, *E], strict=True):
            parameter.copy_(torch.as_tensor(first))
    return model


def make_optimiser(options: TrainOptions) -> MakeOptimiser:
    """AdamW or plain gradient descent."""
    if options.optimizer == "sgd":
        return sgd(options.lr)
    betas = (options.adam_beta1, options.adam_beta2)
    return adamw(options.lr, options.weight_decay, betas=betas, eps=options.adam_eps)
