"""Test a trained network: `python -m newpaper.evaluate RUN [--data mnist]`.

RUN is a run directory of newpaper.train, or a safetensors file that --export wrote.
"""

from dataclasses import dataclass
from pathlib import Path

import click

from common.cli import Options, argument, command, option
from common.cli.params import Device, choice, path, positive_int
from common.errors import UserError
from newpaper.tasks import DATASETS


@dataclass(frozen=True, kw_only=True)
class EvalOptions(Options):
    """What newpaper.evaluate takes."""

    model: Path | None = argument(type=path, help="A run directory or a safetensors file.")
    dataset: str | None = option(
        "--dataset", "--data", type=choice(*DATASETS, "digits"), help="Data set, else the run's."
    )
    data_dir: Path | None = option(type=path, help="Folder of the data sets.")
    no_download: bool = option(
        "--no-download/--download", default=False, help="Fail where data are missing."
    )
    limit_test: int | None = option(type=positive_int, help="Test on so many images only.")
    device: str | int = option(
        type=Device(), default="auto", help="Device: cpu, cuda, cuda:1 or an index."
    )
    export: Path | None = option(type=path, help="Also write the network to this safetensors file.")


@command(EvalOptions, paper="newpaper", name="evaluate")
def main(options: EvalOptions) -> None:
    """Print a network's accuracy on the test set."""
    from common.backends import torch_backend
    from common.data.torch_batches import TorchBatches
    from newpaper.learner import Learner
    from newpaper.stored import export, network, read
    from newpaper.tasks import load_task

    assert options.model is not None
    stored = read(options.model)
    device = torch_backend.choose_device(options.device)
    dataset = options.dataset or stored.about.get("dataset", "digits")
    task = load_task(
        dataset,
        options.data_dir,
        download=not options.no_download,
        limit_test=options.limit_test,
    )
    net = network(stored, options.model)
    if (net.sizes[0], net.sizes[-1]) != (task.pixels, task.classes):
        raise UserError(
            f"{options.model}: takes {net.sizes[0]} pixels and knows {net.sizes[-1]} classes; "
            f"{dataset} has {task.pixels} and {task.classes}"
        )
    learner, correct = Learner(net.to(device)), 0.0
    for images, labels in TorchBatches(task.test, 1000, device=device, layout="flat").epoch(0):
        correct += float(learner.eval_step(images, labels)[1])
    if options.export:
        export(stored, options.export)
        click.echo(options.export)
    click.echo(f"{dataset}: test accuracy {100 * correct / len(task.test):.2f} %")


if __name__ == "__main__":
    main()
