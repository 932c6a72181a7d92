"""What brainprop.main does to train, once its options are read."""

import time
from pathlib import Path

import click
import tensorflow as tf

from brainprop.files import outputs, stored
from brainprop.files.inputs import note_weights
from brainprop.learner import Learner, images_dtype
from brainprop.networks import make_network, policy
from brainprop.options import MainOptions
from brainprop.recipes import DROPOUT, input_shape, original_name, scaled, stalled
from brainprop.tasks import Task, data_name, load_task
from common.backends import tf_backend
from common.runs.checkpoint import of_run
from common.runs.run import Run
from common.runs.schedules import steps
from common.runs.settings import RunSettings


def train(options: MainOptions) -> None:
    """Train and test as the options say, into a run directory."""
    started, download = time.monotonic(), not options.no_download
    device = tf_backend.set_up(options.device, options.seed, options.threads, options.deterministic)
    name = data_name(options.dataset, options.data_dir, download=download)
    dataset, algorithm = original_name(name), options.learning_algorithm
    click.echo(f"Experiment begins, training on {dataset} with {algorithm}")
    with tf.device(device):
        task = load_task(
            options.dataset,
            options.data_dir,
            options.architecture,
            download=download,
            val_split=options.val_split,
            seed=options.seed,
            limit_train=options.limit_train,
            limit_test=options.limit_test,
            class_order=options.switches.class_order,
        )
        learner = make_learner(options, len(task.classes))
        size, dtype = options.batch_size, images_dtype(learner.net)
        train_set = task.batches("train", size, seed=options.seed, dtype=dtype)
        names = ("test",) if task.val is None else ("val", "test")
        test_sets = {name: task.batches(name, size, dtype=dtype) for name in names}
        click.echo(f"Preprocessing: {time.monotonic() - started:.1f} s")
        learner.net.summary(print_fn=click.echo)
        if task.val is None:
            click.echo(
                f"Validation: the test set, {len(task.test)} images, as in the original "
                "(--val-split holds out training images instead)"
            )
        best = f"{task.validation}_accuracy"
        with Run(
            RunSettings.of(options),
            options.record(),
            learner,
            data=task.data,
            device=device,
            name=f"{task.data.name}_{options.architecture}_{algorithm}",
            best=best,
        ) as run:
            for epoch in run.epochs():
                lr = steps(options.learning_rate, epoch, options.halve_every, 0.5)
                learner.set_lr(lr)
                for images, labels in run.batches(train_set):
                    run.add(learner.train_step(images, labels))
                figures = {"": run.train_figures()}
                figures |= {
                    name: run.evaluate(name, batches) for name, batches in test_sets.items()
                }
                run.log(lr=lr)
                click.echo(
                    f"Epoch {epoch + 1}/{options.epochs} - {format_figures(figures)} - lr: {lr:g} "
                    f"- {run.seconds:.0f} s"
                )
                accuracies = [line[best] / 100 for line in run.history]
                accuracies.append(figures[task.validation][1] / 100)
                if stalled(accuracies, options.patience, options.min_delta):
                    run.stop(f"no improvement of {best} in {options.patience} epochs")
    click.echo(f"Training: {run.seconds / 60:.2f} minutes, {len(run.history)} epochs")
    for path in save(options, task, learner, run):
        click.echo(f"Saved {path}")
    click.echo(f"Run: {run.directory}")
    seconds = time.monotonic() - started
    click.echo(f"Total: {seconds:.1f} s ({seconds / 60:.2f} minutes)")


def format_figures(figures: dict[str, tuple[float, ...]]) -> str:
    """Loss and accuracy of each set as Keras prints them: "" is the training set, and a test set
    that validates is called val."""
    shown = []
    for name, (loss, accuracy) in figures.items():
        prefix = "val_" if name == "test" and "val" not in figures else f"{name}_" if name else ""
        shown.append(f"{prefix}loss: {loss:.4f} - {prefix}accuracy: {accuracy / 100:.4f}")
    return " - ".join(shown)


def make_learner(options: MainOptions, classes: int) -> Learner:
    """The network of the options, its first weights drawn from the seed, and its learner."""
    switches, rates = options.switches, list(DROPOUT[options.architecture])
    if options.architecture == "deep":
        rates[2] = switches.third_dropout
    net = make_network(
        options.architecture,
        input_shape(options.dataset, options.architecture),
        classes,
        options.learning_algorithm,
        std=options.std,
        l2=options.l2,
        dropout=rates,
        widths=scaled(options.width),
        variance=switches.bn_variance,
        epsilon=options.epsilon,
        zero_is_unselected=switches.zero_is_unselected,
        shared_initialiser=switches.shared_initialiser,
        seed=options.seed,
        dtype=policy(options.precision),
    )
    return Learner(
        net,
        options.learning_algorithm,
        batch_size=options.batch_size,
        lr=options.learning_rate,
        epsilon=options.epsilon,
        feedback=options.feedback,
        feedback_decay=options.feedback_decay,
        partial_batch=switches.partial_batch,
        accuracy=switches.accuracy,
        zero_is_unselected=switches.zero_is_unselected,
        seed=options.seed,
        jit_compile=options.jit_compile,
    )


def save(options: MainOptions, task: Task, learner: Learner, run: Run) -> list[Path]:
    """What -s leaves in the current folder: its paths."""
    written: list[Path] = []
    dataset, algorithm = original_name(task.data.name), options.learning_algorithm
    paths = outputs.names(Path(), dataset, options.architecture, algorithm)
    columns = outputs.history(run.history, task.validation)
    if options.save_plots:
        outputs.draw(paths["accuracy.pdf"], dataset, algorithm, columns)
        written.append(paths["accuracy.pdf"])
    if options.save_history:
        files = paths["history.pkl"], paths["history.json"]
        outputs.write_history(*files, dataset, algorithm, columns)
        written += files
    if options.save_weights:
        first, second = ("last", "best") if options.switches.save_last else ("best", "last")
        for which, kind in ((first, "weights.h5"), (second, f"{second}_weights.h5")):
            arrays = stored.of_checkpoint(of_run(run.directory, which))
            about = {name: getattr(options, name) for name in stored.MADE_BY}
            about |= {"epoch": which, "classes": task.classes}
            ordered = {name: arrays[name] for name in stored.names_of(learner.net)}
            stored.write_h5(paths[kind], ordered, about)
            written.append(paths[kind])
        if options.input_file and note_weights(options.input_file, str(paths["weights.h5"])):
            click.echo(f"{options.input_file}: weights_file is now {paths['weights.h5']}")
    return written
