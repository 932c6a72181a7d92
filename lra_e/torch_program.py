"""mnist_torch and fmnist_torch: the same program with two recipes."""

from typing import Any

import click
import torch

from common.backends import torch_backend
from common.data.torch_batches import TorchBatches
from common.runs.run import Run
from lra_e.options import describe, resolve
from lra_e.recipes import Task, draw_weights, load_task, split_by
from lra_e.torch_learner import Learner, MakeOptimiser, adamw, sgd
from lra_e.torch_rule import MLP
from lra_e.torch_seedpath import SeedPath


def train(options: Any) -> None:
    """Train, validate and test as the options say, into a run directory."""
    options = resolve(options)
    device = torch_backend.set_up(options)
    task, W, E, order = start(options)
    model = build(options, W, E, device)
    after = getattr(options.switches, "report_after_update", False)
    learner = Learner(model, optimiser(options), options.rule, report_after_update=after)

    dtype = torch_backend.DTYPES[options.precision]
    place: dict[str, Any] = {"device": device, "dtype": dtype, "layout": "flat"}
    size, seed = options.batch_size, options.seed
    train_set = TorchBatches(task.train, size, shuffle=True, seed=seed, order=order, **place)
    val_set, test_set = (TorchBatches(s, 1000, **place) for s in (task.val, task.test))

    click.echo(f"PyTorch {torch.__version__} on {device}, {torch.get_num_threads()} threads")
    click.echo(f"{options.dataset}: {len(task.train)} train, {len(task.val)} validation images, "
               f"{len(task.test)} test")  # fmt: skip
    click.echo(describe(options))
    name = f"{options.name}-{options.rule}"
    with Run(
        options, learner, data=task.data, device=device, name=name, best="val_accuracy"
    ) as run:
        for epoch in run.epochs(options.epochs):
            for images, labels in run.batches(train_set):
                run.add(learner.train_step(images, labels))
            loss, accuracy = run.train_figures()
            _, validation = run.evaluate("val", val_set)
            run.evaluate("test", test_set)
            run.log(lr=options.lr)
            if getattr(options.switches, "report_sum", False):
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


def start(options: Any) -> tuple[Task, list[Any], list[Any], Any]:
    """Data, first weights, and the order of the epochs (None: the common one)."""
    if not options.switches.torch_stream:
        task = load_task(options, split_by(options.hold_out, options.seed))
        W, E = draw_weights(
            options.layers, options.init, options.std_w, options.std_e, options.seed
        )
        return task, W, E, None
    paths = []

    def split(n: int, n_val: int) -> tuple[Any, Any]:
        paths.append(
            SeedPath(
                options.layers,
                init=options.init,
                n=n,
                n_val=n_val,
                seed=options.seed,
                std_w=options.std_w,
                std_e=options.std_e,
            )
        )
        return paths[0].train_indices, paths[0].val_indices

    task = load_task(options, split)
    path = paths[0]
    return task, path.W, path.E, lambda epoch: path.epoch_order(epoch + 1)


def build(options: Any, W: list[Any], E: list[Any], device: torch.device) -> MLP:
    """The network of the options with the first weights W and E (arrays or tensors)."""
    switches = options.switches
    model = MLP(
        options.layers,
        activation=options.activation,
        beta=options.beta,
        gamma=1.0 if getattr(switches, "ignore_gamma", False) else options.gamma,
        bias=options.bias,
        local_loss=options.local_loss,
        error_form=switches.error_form,
        reduction=options.reduction,
        normalise=options.normalise,
        dtype=torch_backend.DTYPES[options.precision],
        device=device,
    )
    with torch.no_grad():
        for parameter, first in zip([*model.W, *model.E], [*W, *E], strict=True):
            parameter.copy_(torch.as_tensor(first))
    return model


def optimiser(options: Any) -> MakeOptimiser:
    """AdamW or plain gradient descent."""
    if options.optimizer == "sgd":
        return sgd(options.lr)
    betas = (options.adam_beta1, options.adam_beta2)
    return adamw(options.lr, options.weight_decay, betas=betas, eps=options.adam_eps)
