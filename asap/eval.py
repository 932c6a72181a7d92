"""Test a trained network: `python -m asap.eval --dataset D --model M --feedback F --model_path P`.

P is a checkpoint of the original program or of asap.train (.pth), a run directory, or a safetensors
file that --export wrote; the last two say themselves what they are. Without it, the small network
that lies beside this file.
"""

from pathlib import Path
from typing import Any

import click

from asap.fidelity import Fidelity
from asap.options import DATASETS, MODELS, MODES
from common.cli import Options, command, option
from common.cli.params import Device, batch, choice, factor, path, positive_int
from common.cli.switches import switch_options
from common.errors import UsageError

STORED = Path(__file__).with_name("model.safetensors")
DEFAULTS = {"dataset": "cifar10", "model": "convnet", "feedback": "bp", "wt": False, "width": 1.0}


@command(paper="asap", name="eval")
@option(
    "--dataset",
    "--data",
    "dataset",
    type=choice(*DATASETS, "digits"),
    default=None,
    help="Data set (default: the model's, else cifar10).",
)
@option("--model", type=choice(*MODELS), default=None, help="Network (default: convnet).")
@option("--feedback", type=choice(*MODES), default=None, help="Learning rule (default: bp).")
@option("--wt", is_flag=True, default=None, help="It shared activations with weight transport.")
@option("--width", type=factor, default=None, original=False, help="Factor of the widths.")
@option(
    "--model_path",
    "--model-path",
    "model_path",
    type=path,
    default=None,
    help="A .pth, a run directory or a safetensors file.",
)
@option("--test-batch-size", type=batch, default=100, help="Images a batch.")
@option("--device", type=Device(), default="auto", help="cpu, cuda, cuda:1 or an index.")
@option(
    "--augmentation",
    "--aug",
    "augmentation",
    is_flag=True,
    default=False,
    help="Accepted as the original did; testing augments nothing.",
)
@option(
    "--optimizer",
    type=choice("sgd", "adam"),
    default="sgd",
    help="Accepted as the original did; testing optimises nothing.",
)
@option("--data-dir", type=path, default=None, help="Folder of the data sets.")
@option("--no-download/--download", default=False, help="Fail where data are missing.")
@option("--limit-test", type=positive_int, default=None, help="Test on so many images only.")
@option("--export", type=path, default=None, help="Also write the network to this safetensors.")
@switch_options(Fidelity)
def main(options: Options) -> None:
    """Print a network's accuracy on the test set."""
    import torch

    from asap.stored import export, load, read
    from common.backends import torch_backend

    stored = read(options.model_path or STORED)
    settle(options, stored.about)
    if {"augmentation", "optimizer"} & set(options.typed):
        click.echo("note: --aug and --optimizer have no effect on a test", err=True)
    options.augmentation = False
    device = torch_backend.choose_device(options.device)
    accuracy, count, dataset = measure(options, stored, device, load)
    if options.export:
        export(stored, {"test_accuracy": f"{accuracy:.2f}", "tested_on": dataset},
               options.export)  # fmt: skip
        click.echo(options.export)
    if stored.about:
        click.echo(stored.about)
    click.echo(f"{count} test images of {dataset}, torch {torch.__version__} on {device}")
    click.echo(f"test accuracy : {accuracy:.2f}")


def settle(options: Options, about: dict[str, Any]) -> None:
    """Fill in what the model says of itself. UsageError where a typed option contradicts it; the
    data set may be another, if the network's shapes allow."""
    for name, default in DEFAULTS.items():
        known, asked = about.get(name), getattr(options, name)
        if asked is None:
            setattr(options, name, default if known is None else known)
        elif known is not None and asked != known and name != "dataset":
            raise UsageError(f"option --{name} (={asked}) does not match the model, whose {name} "
                             f"is {known}")  # fmt: skip


def measure(options: Options, stored: Any, device: Any, load: Any) -> tuple[float, int, str]:
    """Accuracy in percent, over how many images, and of which data set."""
    import torch

    from asap.networks import build
    from asap.recipes import load_task

    task = load_task(options)
    switches = options.switches
    names = ("fa_feedback", "shortcut_slip", "conv_bias")
    words: dict[str, Any] = {
        name: stored.about.get(name, getattr(switches, name)) for name in names
    }
    net = build(
        options.model,
        options.feedback,
        width=options.width,
        wt=options.wt,
        **(words | task.shape),
    )
    load(net, stored, options.model_path or STORED)
    net = net.to(device).to(memory_format=torch.channels_last).eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with torch.no_grad():
        for images, labels in task.batches("test", options.test_batch_size, device=device):
            correct += (net(images).argmax(1) == labels).sum()
    return 100 * int(correct) / len(task.test), len(task.test), task.data.name


if __name__ == "__main__":
    main()
