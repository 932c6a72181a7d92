"""The four TensorFlow scripts: old (mnist, fmnist) and new (…_newTF), one program, four recipes."""

from typing import Any

import click
import keras
import tensorflow as tf

from common.backends import tf_backend
from common.data.tf_batches import TFBatches
from common.runs.run import Run
from lra_e.options import describe, resolve
from lra_e.recipes import draw_weights, load_task, split_by
from lra_e.tf_learner import Learner, adamw, sgd
from lra_e.tf_rule import MLP


def train(options: Any) -> None:
    """Train, validate and test as the options say, into a run directory."""
    options = resolve(options)
    device = tf_backend.set_up(options)
    old = not options.name.endswith("newTF")
    task = load_task(options, split_by(options.hold_out, options.seed))
    with tf.device(device):
        learner = Learner(build(options), optimiser(options), options.rule)
        size, seed = options.batch_size, options.seed
        place: dict[str, Any] = {"dtype": tf_backend.DTYPES[options.precision], "layout": "flat"}
        train_set = TFBatches(task.train, size, shuffle=True, seed=seed, **place)
        seen_set, val_set, test_set = (
            TFBatches(s, 1000, **place) for s in (task.train, task.val, task.test)
        )
        click.echo(f"TensorFlow {tf.__version__}, Keras {keras.__version__} on {device}")
        click.echo(f"({len(task.train)}, {task.data.n_classes}) {options.dataset}, "
                   f"{len(task.val)} validation images, {len(task.test)} test")  # fmt: skip
        click.echo(describe(options))
        name = f"{options.name}-{options.rule}"
        with Run(
            options, learner, data=task.data, device=device, name=name, best="val_accuracy"
        ) as run:
            for epoch in run.epochs(options.epochs):
                for images, labels in run.batches(train_set):
                    run.add(learner.train_step(images, labels))
                loss, _ = run.train_figures()
                # The originals look at the whole training set again when an epoch is over.
                _, seen = run.evaluate("seen", seen_set)
                _, validation = run.evaluate("val", val_set)
                run.evaluate("test", test_set)
                run.log(lr=options.lr)
                if old:
                    click.echo(f"Epoch {epoch + 1}: Loss: {loss:.4f}")
                click.echo(f"Training Accuracy = {seen:.2f} %")
                click.echo(f"Validation Accuracy = {validation:.2f} %")
                if not old:
                    best = max([v["val_accuracy"] for v in run.history] + [validation])
                    click.echo(f"Current {validation:.2f} %, best {best:.2f} %")
    click.echo(f"Test Accuracy = {run.history[-1]['test_accuracy']:.2f} %")
    click.echo(f"Total time: {run.seconds:.1f} s")
    click.echo(f"Run: {run.directory}")


def build(options: Any) -> MLP:
    """The network of the options with its first weights."""
    switches = options.switches
    reduction = options.reduction
    if options.rule == "bp" and getattr(switches, "bp_mean", False):
        reduction = "mean"
    model = MLP(
        options.layers,
        activation=options.activation,
        beta=options.beta,
        gamma=options.gamma,
        bias=options.bias,
        local_loss=options.local_loss,
        error_form=switches.error_form,
        transposed_e=getattr(switches, "transposed_e", False),
        reduction=reduction,
        normalise=options.normalise,
        dtype=tf_backend.DTYPES[options.precision],
    )
    first = draw_weights(options.layers, options.init, options.std_w, options.std_e, options.seed)
    for variables, values in zip((model.W, model.E), first, strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(tf.cast(value, variable.dtype))
    return model


def optimiser(options: Any) -> keras.optimizers.Optimizer:
    """Plain gradient descent; or AdamW, kept or built anew at every step (lra_e, D2)."""
    if options.optimizer == "sgd":
        return sgd(options.lr)
    return adamw(
        options.lr,
        options.weight_decay,
        rebuilt=getattr(options.switches, "reset_optimizer", False),
        beta_1=options.adam_beta1,
        beta_2=options.adam_beta2,
        epsilon=options.adam_eps,
    )
