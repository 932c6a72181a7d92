"""Test a trained network: `python -m brainprop.evaluate [MODEL] [--data mnist]`.

MODEL is a run directory of `brainprop.main`, a safetensors file that --export wrote, or a .h5 that
-s saved; without it, the network that lies beside this file. All of them say what they are.

`main -l` tests here too: those weights need not say what they are.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from brainprop.files import outputs, stored
from brainprop.options import MainOptions
from brainprop.recipes import PAIRS, original_name, recipe, scaled
from brainprop.tasks import Task, data_name, load_task
from common.cli import Options, argument, command, option
from common.cli.params import Device, choice, path, positive_int
from common.cli.params import threads as threads_type
from common.errors import UsageError, UserError

STORED = Path(__file__).with_name("model.safetensors")
WHAT = ("dataset", "architecture", "learning_algorithm")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """What brainprop.evaluate takes."""

    model: Path | None = argument(
        type=path, required=False, help="A run directory, a .safetensors or an .h5 file."
    )
    model_file: Path | None = option(type=path, help="The model, as the seed's page named it.")
    dataset: str | None = option(
        "--dataset",
        "--data",
        "--benchmark",
        type=choice(*PAIRS),
        help="Data set (default: the one it was trained on).",
    )
    data_dir: Path | None = option(type=path, help="Folder of the data sets.")
    no_download: bool = option(
        "--no-download/--download", default=False, help="Fail where data are missing."
    )
    limit_test: int | None = option(type=positive_int, help="Test on so many images only.")
    threads: int | None = option(type=threads_type, help="CPU threads.")
    device: str | int = option(type=Device(), default="auto", help=f"Device: {Device.expected}.")
    export: Path | None = option(type=path, help="Also write the network to this safetensors file.")


@command(EvaluateOptions, paper="brainprop", name="evaluate")
def main(options: EvaluateOptions) -> None:
    """Print what a network is and its accuracy on the test set."""
    if options.model and options.model_file:
        raise UsageError(
            f"option --model-file (={options.model_file}) and argument MODEL (={options.model}) "
            "must not both be given"
        )
    where = options.model or options.model_file or STORED
    weights = read(where)
    about = {**weights.about, **({"dataset": options.dataset} if options.dataset else {})}
    if unsaid := [name for name in WHAT if name not in about]:
        raise UsageError(
            f"argument MODEL (={where}) does not say its {unsaid[0]}; use brainprop.main -l"
        )
    usual = recipe(*(about[name] for name in WHAT))
    import tensorflow as tf

    from common.backends import tf_backend

    with tf.device(tf_backend.set_up(options.device, usual.seed, options.threads)):
        task = load_task(
            usual.dataset,
            options.data_dir,
            usual.architecture,
            download=not options.no_download,
            limit_test=options.limit_test,
        )
        net, _, accuracy = measure(
            put_in_order(weights, task.classes, where),
            where,
            task,
            architecture=usual.architecture,
            algorithm=usual.learning_algorithm,
            batch_size=usual.batch_size,
            width=float(about.get("width", 1.0)),
        )
    click.echo(json.dumps({n: v for n, v in weights.about.items() if n != "classes"}))
    click.echo(f"{task.data.name}: test accuracy {accuracy:.2f} % ({len(task.test)} images)")
    if options.export:
        about |= {
            "parameters": net.count_params(),
            "test_accuracy": f"{accuracy:.2f}",
            "classes": task.classes,
        }
        stored.write_safetensors(options.export, stored.arrays_of(net), about)
        click.echo(options.export)


def evaluate(options: MainOptions) -> None:
    """What `main -l` does: one line of loss and accuracy of stored weights."""
    import tensorflow as tf

    from common.backends import tf_backend

    device = tf_backend.set_up(options.device, options.seed, options.threads, options.deterministic)
    download = not options.no_download
    name = data_name(options.dataset, options.data_dir, download=download)
    dataset, algorithm = original_name(name), options.learning_algorithm
    where = weights_of(options, dataset)
    click.echo(f"Experiment begins, evaluating on {dataset} a model trained with {algorithm}")
    weights = read(where)
    width = options.width
    if "width" not in options.call.typed:
        width = float(weights.about.get("width", 1.0))
    with tf.device(device):
        task = load_task(
            options.dataset,
            options.data_dir,
            options.architecture,
            download=download,
            limit_test=options.limit_test,
            class_order=options.switches.class_order,
        )
        click.echo(f"Loading weights {where}")
        _, loss, accuracy = measure(
            put_in_order(weights, task.classes, where, options.classes),
            where,
            task,
            architecture=options.architecture,
            algorithm=algorithm,
            batch_size=options.batch_size,
            width=width,
            l2=options.l2,
            partial_batch=options.switches.partial_batch,
            precision=options.precision,
        )
    click.echo(f"loss: {loss:.4f} - accuracy: {accuracy / 100:.4f} ({len(task.test)} images)")


def measure(
    weights: stored.Stored,
    where: Path,
    task: Task,
    *,
    architecture: str,
    algorithm: str,
    batch_size: int,
    width: float = 1.0,
    l2: float | None = None,
    partial_batch: str = "nominal",
    precision: str = "float32",
) -> tuple[Any, float, float]:
    """Stored weights in the network that they belong to: it, and its mean loss and accuracy
    (percent) on a task's test set. UserError, which calls them `where`, where they do not fit."""
    from brainprop.learner import Learner, images_dtype
    from brainprop.networks import make_network, policy
    from common.backends import tf_backend
    from common.runs.running import RunningMetrics

    net = make_network(
        architecture,
        task.test.images.shape[1:],
        len(task.classes),
        algorithm,
        l2=l2,
        widths=scaled(width),
        dtype=policy(precision),
    )
    stored.load(net, weights, where)
    learner = Learner(net, algorithm, batch_size=batch_size, partial_batch=partial_batch)
    sums = RunningMetrics(tf_backend.to_floats)
    for images, labels in task.batches("test", batch_size, dtype=images_dtype(net)):
        sums.add(learner.eval_step(images, labels), len(labels))
    return net, sums.loss, sums.accuracy


def read(where: Path) -> stored.Stored:
    """`stored.read`, with a word on weights that hold no MD5 of themselves."""
    weights = stored.read(where)
    if not weights.verified and not where.is_dir():
        click.echo(f"note: {where} is unverified: it holds no MD5 of its weights", err=True)
    return weights


def weights_of(options: MainOptions, dataset: str) -> Path:
    """The weights that -l names; without a name those that the input file noted, else the newest of
    a data set (by the original's name).

    UserError where there are none.
    """
    if weights := options.load or options.input_weights:
        return weights
    names = dataset, options.architecture, options.learning_algorithm
    newest = outputs.newest_weights(Path(), *names)
    if newest is None:
        raise UserError(
            f"{options.input_file}: no weights are saved yet: it has no weights_file, and "
            f"{'_'.join(names)}_weights.h5 is not here"
        )
    return newest


def put_in_order(
    weights: stored.Stored, ours: list[str], where: Path, names: Path | None = None
) -> stored.Stored:
    """Weights whose classes are numbered otherwise, as they or the file `names` say, put right.
    UserError for a file that says nothing, and for classes that are not ours."""
    theirs = weights.about.get("classes")
    if names is not None:
        try:
            theirs = [line.split()[0] for line in names.read_text().splitlines() if line]
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise UserError(f"option --classes (={names}): {error}") from error
    if theirs is None or list(theirs) == ours:
        return weights
    if len(theirs) != len(ours):
        raise UserError(f"{where}: weights of {len(theirs)} classes, the data set has {len(ours)}")
    click.echo(f"{where}: its classes are numbered in another order; its outputs are put in ours")
    return stored.reorder(weights, theirs, ours, where)


if __name__ == "__main__":
    main()
