"""What brainprop.main does once its options are read."""

import math
import time
from pathlib import Path
from typing import Any

import click
import tensorflow as tf

from brainprop.files import outputs, stored
from brainprop.files.inputs import note_weights
from brainprop.learner import Learner, images_dtype
from brainprop.networks import build
from brainprop.recipes import DROPOUT, input_shape, original_name, scaled, stalled
from brainprop.tasks import Task, data_name, load_task
from common.backends import tf_backend
from common.data.datasets import Split
from common.data.tf_batches import TFBatches
from common.errors import UsageError, UserError
from common.files.paths import home
from common.runs.checkpoint import of_run
from common.runs.run import Run
from common.runs.schedules import steps

EVAL_BATCH = 1024  # about: evaluation depends on no batch


def train(options: Any) -> None:
    """Train and test as the options say, into a run directory."""
    started = time.monotonic()
    strategy = devices(options)
    device = tf_backend.set_up(options)
    dataset, algorithm = original_name(data_name(options)), options.learning_algorithm
    click.echo(f"Experiment begins, training on {dataset} with {algorithm}")
    with tf.device(device):
        task = load_task(options)
        check_last_batch(options, len(task.train))
        learner = make_learner(options, len(task.classes), strategy)
        train_set = TFBatches(
            task.train,
            options.batch_size,
            shuffle=True,
            seed=options.seed,
            dtype=images_dtype(learner.net),
            layout="NHWC",
        )
        sets = {"val": task.val, "test": task.test}
        evaluated = {n: in_large(options, learner, s) for n, s in sets.items() if s is not None}
        validation = "val" if task.val is not None else "test"
        click.echo(f"Preprocessing: {time.monotonic() - started:.1f} s")
        learner.net.summary(print_fn=click.echo)
        if validation == "test":
            click.echo(f"Validation: the test set, {len(task.test)} images, as in the original "
                       "(--val-split holds out training images instead)")  # fmt: skip
        name = f"{task.data.name}_{options.architecture}_{algorithm}"
        best = f"{validation}_accuracy"
        with Run(options, learner, data=task.data, device=device, name=name, best=best) as run:
            for epoch in run.epochs(options.epochs):
                lr = steps(options.learning_rate, epoch, options.halve_every, 0.5)
                learner.set_lr(lr)
                for images, labels in run.batches(train_set):
                    run.add(learner.train_step(images, labels))
                seen = run.train_figures()
                figures = {n: run.evaluate(n, batches) for n, batches in evaluated.items()}
                run.log(lr=lr)
                told(epoch, options, seen, figures, lr, run)
                accuracies = [line[best] / 100 for line in run.history]
                accuracies.append(figures[validation][1] / 100)
                if stalled(accuracies, options.patience, options.min_delta):
                    run.stop(f"no improvement of {best} in {options.patience} epochs")
    click.echo(f"Training: {run.seconds / 60:.2f} minutes, {len(run.history)} epochs")
    save(options, task, learner, run, validation)
    click.echo(f"Run: {run.directory}")
    seconds = time.monotonic() - started
    click.echo(f"Total: {seconds:.1f} s ({seconds / 60:.2f} minutes)")


def told(
    epoch: int,
    options: Any,
    seen: tuple[float, ...],
    figures: dict[str, tuple[float, ...]],
    lr: float,
    run: Run,
) -> None:
    """The epoch's line."""
    shown = [f"loss: {seen[0]:.4f} - accuracy: {seen[1] / 100:.4f}"]
    for name, (loss, accuracy) in figures.items():
        label = "val" if name == "val" or len(figures) == 1 else name
        shown.append(f"{label}_loss: {loss:.4f} - {label}_accuracy: {accuracy / 100:.4f}")
    click.echo(f"Epoch {epoch + 1}/{options.epochs} - {' - '.join(shown)} - lr: {lr:g} - "
               f"{run.seconds:.0f} s")  # fmt: skip


def devices(options: Any) -> Any:
    """A strategy over --devices: GPUs, or as many parts of the CPU; None for one.

    UsageError where there are fewer GPUs.
    """
    if options.devices == 1:
        return None
    gpus = [] if options.device == "cpu" else tf.config.list_physical_devices("GPU")
    if gpus:
        if len(gpus) < options.devices:
            raise UsageError(f"option --devices (={options.devices}): TensorFlow sees {len(gpus)} "
                             "GPUs")  # fmt: skip
        return tf.distribute.MirroredStrategy([f"/GPU:{i}" for i in range(options.devices)])
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        parts = [tf.config.LogicalDeviceConfiguration()] * options.devices
        tf.config.set_logical_device_configuration(cpu, parts)
    except RuntimeError:  # TensorFlow has started already: what it has must do
        pass
    if len(tf.config.list_logical_devices("CPU")) < options.devices:
        raise UsageError(f"option --devices (={options.devices}): TensorFlow has started with "
                         f"{len(tf.config.list_logical_devices('CPU'))} CPU devices")  # fmt: skip
    return tf.distribute.MirroredStrategy([f"/CPU:{i}" for i in range(options.devices)])


def check_last_batch(options: Any, images: int) -> None:
    """UsageError where some device would get nothing of the epoch's last batch."""
    last = images % options.batch_size or options.batch_size
    if last < options.devices:
        raise UsageError(f"option --devices (={options.devices}): the last of {images} images' "
                         f"batches has {last}; choose another --batch-size")  # fmt: skip


def make_learner(options: Any, classes: int, strategy: Any = None) -> Learner:
    """The network of the options, its first weights drawn from the seed, and its learner."""
    switches = options.switches
    rates = list(DROPOUT[options.architecture])
    if options.architecture == "deep":
        rates[2] = checked_rate(switches.third_dropout)
    policy = {"bfloat16": "mixed_bfloat16"}.get(options.precision, options.precision)
    with strategy.scope() if strategy else tf.name_scope("net"):
        net = build(
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
            dtype=policy,
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
        strategy=strategy,
    )


def checked_rate(value: float) -> float:
    """A rate of dropout. UsageError unless it is in [0, 1)."""
    if not (math.isfinite(value) and 0 <= value < 1):
        raise UsageError(f"option --third-dropout (={value}) must be from 0 to below 1")
    return value


def save(options: Any, task: Task, learner: Learner, run: Run, validation: str) -> None:
    """What -s leaves in the current folder."""
    if not (options.save_plots or options.save_history or options.save_weights):
        return
    dataset, algorithm = original_name(task.data.name), options.learning_algorithm
    paths = outputs.names(Path(), dataset, options.architecture, algorithm)
    columns = outputs.history(run.history, validation)
    written = []
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
            about = {"dataset": options.dataset, "architecture": options.architecture,
                     "learning_algorithm": algorithm, "width": options.width, "epoch": which,
                     "classes": task.classes}  # fmt: skip
            ordered = {name: arrays[name] for name in stored.names_of(learner.net)}
            stored.write_h5(paths[kind], ordered, about)
            written.append(paths[kind])
        if options.input_file and note_weights(options.input_file, str(paths["weights.h5"])):
            click.echo(f"{options.input_file}: weights_file is now {paths['weights.h5']}")
    for path in written:
        click.echo(f"Saved {path}")


def evaluate(options: Any) -> None:
    """Test stored weights: one line of loss and accuracy."""
    device = tf_backend.set_up(options)
    dataset, algorithm = original_name(data_name(options)), options.learning_algorithm
    where = weights_of(options, dataset)
    click.echo(f"Experiment begins, evaluating on {dataset} a model trained with {algorithm}")
    found = stored.read(where)
    if not found.verified and not where.is_dir():
        click.echo(f"note: {where} is unverified: it holds no MD5 of its weights", err=True)
    if "width" not in options.typed:
        options.width = float(found.about.get("width", 1.0))
    with tf.device(device):
        task = load_task(options)
        learner = make_learner(options, len(task.classes))
        click.echo(f"Loading weights {where}")
        found = in_our_order(options, found, task.classes, where)
        stored.load(learner.net, found, where)
        loss, accuracy = tested(learner, in_large(options, learner, task.test))
    click.echo(f"loss: {loss:.4f} - accuracy: {accuracy / 100:.4f} ({len(task.test)} images)")


def in_large(options: Any, learner: Learner, split: Split) -> TFBatches:
    """Images to evaluate in large batches, each a multiple of the nominal one, so that a smaller
    one is the set's last."""
    size = options.batch_size * max(1, EVAL_BATCH // options.batch_size)
    return TFBatches(split, size, dtype=images_dtype(learner.net), layout="NHWC")


def tested(learner: Learner, batches: TFBatches) -> tuple[float, float]:
    """Mean loss and accuracy (percent) over all batches."""
    from common.runs.running import Sums

    sums = Sums(tf_backend.to_floats)
    for images, labels in batches:
        sums.add(learner.eval_step(images, labels), len(labels))
    return sums.loss, sums.accuracy


def weights_of(options: Any, dataset: str) -> Path:
    """The weights that -l names; without a name those that the input file noted, else the newest of
    a data set (by the original's name).

    UserError where there are none.
    """
    if options.load is not None:
        return options.load
    if options.input_weights:
        beside = options.input_file.parent / options.input_weights
        given = home(options.input_weights)
        return given if given.exists() else beside
    names = dataset, options.architecture, options.learning_algorithm
    found = outputs.newest_weights(Path(), *names)
    if found is None:
        raise UserError(f"{options.input_file}: no weights are saved yet: it has no weights_file, "
                        f"and {'_'.join(names)}_weights.h5 is not here")  # fmt: skip
    return found


def in_our_order(options: Any, found: stored.Stored, ours: list[str], where: Path) -> stored.Stored:
    """Weights whose classes are numbered otherwise, as they say or --classes does, put right."""
    theirs = found.about.get("classes")
    if options.classes is not None:
        try:
            theirs = [line.split()[0] for line in options.classes.read_text().splitlines() if line]
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise UserError(f"option --classes (={options.classes}): {error}") from error
    if theirs is None or list(theirs) == ours:
        return found
    if len(theirs) != len(ours):
        raise UserError(f"{where}: weights of {len(theirs)} classes, the data set has "
                        f"{len(ours)}")  # fmt: skip
    click.echo(f"{where}: its classes are numbered in another order; its outputs are put in ours")
    return stored.reorder(found, theirs, ours, where)
