"""Test a trained network: `python -m brainprop.evaluate [MODEL] [--data mnist]`.

MODEL is a run directory of `brainprop.main`, a safetensors file that --export wrote, or a .h5 that
-s saved; without it, the network that lies beside this file. All of them say what they are.
"""

import json
from pathlib import Path

import click

from brainprop.fidelity import Fidelity
from brainprop.recipes import PAIRS, configuration
from common.cli import Options, argument, command, option
from common.cli.params import Device, choice, path, positive_int, threads
from common.cli.switches import preset
from common.errors import UsageError

STORED = Path(__file__).with_name("model.safetensors")


@command(paper="brainprop", name="evaluate")
@argument("model", type=path, required=False, help="a run directory, .safetensors or .h5")
@option("--model-file", type=path, default=None, help="As MODEL: the seed's page had it so.")
@option("--dataset", "--data", "--benchmark", "dataset", type=choice(*PAIRS), default=None,
        help="Default: the one it was trained on.")  # fmt: skip
@option("--data-dir", type=path, default=None, help="Folder of the data sets.")
@option("--no-download/--download", default=False, help="Fail where data are missing.")
@option("--limit-test", type=positive_int, default=None, help="Test on so many images only.")
@option("--threads", type=threads, default=None, help="CPU threads.")
@option("--device", type=Device(), default="auto", help=f"{Device.expected}.")
@option("--export", type=path, default=None, help="Also write the network to this safetensors.")
def main(options: Options) -> None:
    """Print what a network is and its accuracy on the test set."""
    from brainprop.files import stored

    if options.model and options.model_file:
        raise UsageError(f"option --model-file (={options.model_file}) and argument MODEL "
                         f"(={options.model}) must not both be given")  # fmt: skip
    where = options.model or options.model_file or STORED
    found = stored.read(where)
    if not found.verified and not where.is_dir():
        click.echo(f"note: {where} is unverified: it holds no MD5 of its weights", err=True)
    settings = {**found.about, **({"dataset": options.dataset} if options.dataset else {})}
    names = ("dataset", "architecture", "learning_algorithm")
    for name in names:
        if name not in settings:
            raise UsageError(
                f"argument MODEL (={where}) does not say its {name}; use brainprop.main -l"
            )
    import tensorflow as tf

    from brainprop.program import in_large, in_our_order, make_learner, tested
    from brainprop.tasks import load_task
    from common.backends import tf_backend

    chosen = configuration(*(settings[name] for name in names))
    given = vars(chosen) | {"width": float(settings.get("width", 1.0)), "val_split": 0.0}
    given |= {"limit_train": None, "feedback": "shared", "feedback_decay": 0.0, "classes": None}
    given |= {"precision": "float32", "deterministic": False, "jit_compile": False, "devices": 1}
    given["switches"] = preset(Fidelity, "corrected")
    for name, value in given.items():
        setattr(options, name, value)
    with tf.device(tf_backend.set_up(options)):
        task = load_task(options)
        learner = make_learner(options, len(task.classes))
        stored.load(learner.net, in_our_order(options, found, task.classes, where), where)
        _, accuracy = tested(learner, in_large(options, learner, task.test))
    click.echo(json.dumps({n: v for n, v in found.about.items() if n != "classes"}))
    click.echo(f"{task.data.name}: test accuracy {accuracy:.2f} % ({len(task.test)} images)")
    if options.export:
        about = {n: v for n, v in settings.items() if n != "classes"} | {
            "parameters": learner.net.count_params(),
            "test_accuracy": f"{accuracy:.2f}",
            "classes": task.classes,
        }
        arrays = {n: v.numpy() for n, v in learner.state().items() if n != "steps"}
        stored.write_safetensors(options.export, arrays, about)
        click.echo(options.export)


if __name__ == "__main__":
    main()
