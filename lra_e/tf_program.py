"""The four TensorFlow scripts: old (mnist, fmnist) and new (…_newTF), one program, four recipes."""

from typing import Any

import click
import keras
import tensorflow as tf

from common.backends import tf_backend
from common.data.tf_batches import TFBatches
from common.runs.run import Run
from common.runs.settings import RunSettings
from lra_e.networks import draw_weights
from lra_e.options import TrainOptions, described
from lra_e.tasks import hold_out, load_task
from lra_e.tf_learner import Learner, adamw, sgd
from lra_e.tf_rule import MLP


def train(options: TrainOptions) -> None:
    """Train, validate and test as the options say, into a run directory."""
    device = tf_backend.set_up(options.device, options.seed, options.threads, options.deterministic)
    old = not options.call.name.endswith("newTF")
    task = load_task(
        options.dataset,
        options.data_dir,
        options.layers,
        options.validation,
        download=not options.no_download,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )
    kept, held = hold_out(options.hold_out, len(task.train), task.held_out, options.seed)
    with tf.device(device):
        learner = Learner(make_network(options), make_optimiser(options), options.rule)
        dtype = tf_backend.DTYPES[options.precision]
        tensor_options: dict[str, Any] = {"dtype": dtype, "layout": "flat"}
        trained = task.train.take(kept)
        train_set = TFBatches(
            trained, options.batch_size, shuffle=True, seed=options.seed, **tensor_options
        )
        seen_set, val_set, test_set = (
            TFBatches(split, 1000, **tensor_options)
            for split in (trained, task.train.take(held), task.test)
        )
        click.echo(f"TensorFlow {tf.__version__}, Keras {keras.__version__} on {device}")
        click.echo(
            f"({len(kept)}, {task.data.n_classes}) {options.dataset}, "
            f"{len(held)} validation images, {len(task.test)} test"
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


def make_network(options: TrainOptions) -> MLP:
    """The network of the options with its first weights."""
    mean = options.rule == "bp" and options.switches.bp_mean  # (lra_e, D17)
    model = MLP(
        options.layers,
        activation=options.activation,
        beta=options.beta,
        gamma=options.gamma,
        bias=options.bias,
        local_loss=options.local_loss,
        error_form=options.switches.error_form,
        transposed_e=options.switches.transposed_e,
        reduction="mean" if mean else options.reduction,
        normalise=options.normalise,
        dtype=tf_backend.DTYPES[options.precision],
    )
    W, E = draw_weights(options.layers, options.init, options.std_w, options.std_e, options.seed)
    for variable, first in zip([*model.W, *model.E], [*W, *E], strict=True):
        variable.assign(tf.cast(first, variable.dtype))
    return model


def make_optimiser(options: TrainOptions) -> keras.optimizers.Optimizer:
    """Plain gradient descent; or AdamW, kept or built anew at every step (lra_e, D2)."""
    if options.optimizer == "sgd":
        return sgd(options.lr)
    return adamw(
        options.lr,
        options.weight_decay,
        rebuilt=options.switches.reset_optimizer,
        beta_1=options.adam_beta1,
        beta_2=options.adam_beta2,
        epsilon=options.adam_eps,
    )
