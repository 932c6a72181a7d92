"""Test a trained network: `python -m asap.eval --dataset D --model M --feedback F --model_path P`.

P is a checkpoint of the original program or of asap.train (.pth), a run directory, or a safetensors
file that --export wrote; the last two say themselves what they are. Without it, the small network
that lies beside this file.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asap.fidelity import Fidelity
from asap.options import DATASETS, MODELS, MODES
from common.cli import Options, command, ignored_option, option
from common.cli.params import Device, batch, choice, factor, path, positive_int
from common.cli.switches import switch_options
from common.errors import UsageError

if TYPE_CHECKING:
    import torch

    from asap.stored import Stored

STORED = Path(__file__).with_name("model.safetensors")
DEFAULTS = {"dataset": "cifar10", "model": "convnet", "feedback": "bp", "wt": False, "width": 1.0}


@dataclass(frozen=True, kw_only=True)
class EvalOptions(Options):
    """What `eval` takes."""

    dataset: str | None = option(
        "--dataset",
        "--data",
        type=choice(*DATASETS, "digits"),
        help="Data set (default: the model's, else cifar10).",
    )
    model: str | None = option(type=choice(*MODELS), help="Network (default: convnet).")
    feedback: str | None = option(type=choice(*MODES), help="Learning rule (default: bp).")
    wt: bool | None = option(
        is_flag=True, help="The network shared activations with weight transport."
    )
    width: float | None = option(type=factor, original=False, help="Factor of the widths.")
    model_path: Path | None = option(
        "--model_path",
        "--model-path",
        type=path,
        help="A .pth, a run directory or a safetensors file.",
    )
    test_batch_size: int = option(type=batch, default=100, help="Images a batch.")
    device: str | int = option(
        type=Device(), default="auto", help="Device: cpu, cuda, cuda:1 or an index."
    )
    augmentation: bool = ignored_option(
        "--augmentation",
        "--aug",
        is_flag=True,
        default=False,
        because="a test augments nothing",
    )
    optimizer: str = ignored_option(
        type=choice("sgd", "adam"), default="sgd", because="a test optimises nothing"
    )
    data_dir: Path | None = option(type=path, help="Folder of the data sets.")
    no_download: bool = option(
        "--no-download/--download", default=False, help="Fail where data are missing."
    )
    limit_test: int | None = option(type=positive_int, help="Test on so many images only.")
    export: Path | None = option(type=path, help="Also write the network to this safetensors file.")
    switches: Fidelity = switch_options(Fidelity)


@command(EvalOptions, paper="asap", name="eval")
def main(options: EvalOptions) -> None:
    """Print a network's accuracy on the test set."""
    import torch

    from asap.stored import export, read
    from common.backends import torch_backend

    stored = read(options.model_path or STORED)
    options = settled(options, stored.about)
    if {"augmentation", "optimizer"} & options.call.typed:
        click.echo("note: --aug and --optimizer have no effect on a test", err=True)
    device = torch_backend.choose_device(options.device)
    accuracy, count, dataset = measure(options, stored, device)
    if options.export:
        about = {"test_accuracy": f"{accuracy:.2f}", "tested_on": dataset}
        export(stored, about, options.export)
        click.echo(options.export)
    if stored.about:
        click.echo(stored.about)
    click.echo(f"{count} test images of {dataset}, torch {torch.__version__} on {device}")
    click.echo(f"test accuracy : {accuracy:.2f}")


def settled(options: EvalOptions, about: dict[str, Any]) -> EvalOptions:
    """The options with what the model says of itself. UsageError where a typed one contradicts it;
    the data set may be another, if the network's shapes allow."""
    values: dict[str, Any] = {}
    for name, default in DEFAULTS.items():
        known, asked = about.get(name), getattr(options, name)
        if asked is None:
            values[name] = default if known is None else known
        elif known is not None and asked != known and name != "dataset":
            raise UsageError(
                f"option --{name} (={asked}) does not match the model, whose {name} is {known}"
            )
    return replace(options, **values)


def measure(
    options: EvalOptions, stored: "Stored", device: "torch.device"
) -> tuple[float, int, str]:
    """Accuracy in percent, over how many images, and of which data set."""
    import torch

    from asap.networks import make_network
    from asap.stored import load
    from asap.tasks import load_task

    # `settled` has left none of these open.
    dataset, model, width = options.dataset or "", options.model or "", options.width or 1.0
    task = load_task(
        dataset,
        options.data_dir,
        model,
        download=not options.no_download,
        limit_test=options.limit_test,
    )
    switches = asdict(options.switches)
    names = ("fa_feedback", "shortcut_slip", "conv_bias")
    words: dict[str, Any] = {name: stored.about.get(name, switches[name]) for name in names}
    words |= task.shape
    net = make_network(model, options.feedback or "", width=width, wt=bool(options.wt), **words)
    load(net, stored, options.model_path or STORED)
    net = net.to(device).to(memory_format=torch.channels_last).eval()
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with torch.no_grad():
        for images, labels in task.batches("test", options.test_batch_size, device=device):
            correct += (net(images).argmax(1) == labels).sum()
    return 100 * int(correct) / len(task.test), len(task.test), task.data.name


if __name__ == "__main__":
    main()
