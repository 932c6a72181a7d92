"""Test a trained network: `python -m burstprop.evaluate [MODEL]`.

MODEL is a results directory of train_mnist or train_cifar10, a model.pth, or a safetensors file of
--export. Without it, the small network that lies beside this file.
"""

from dataclasses import dataclass
from pathlib import Path

import click

from common.cli import Options, argument, command, option
from common.cli.params import Device, choice, path, positive_int

STORED = Path(__file__).with_name("model.safetensors")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """What evaluate takes."""

    model: Path | None = argument(
        type=path, required=False, help="A results directory, a .pth or a .safetensors file."
    )
    dataset: str | None = option(
        "--dataset",
        "--data",
        type=choice("mnist", "fashion_mnist", "cifar10", "digits"),
        help="Data set (default: the model's, else the one that its input fits).",
    )
    revision: str | None = option(
        type=choice("head", "2020"),
        help="Revision of the rule; 2020: MNIST's pixels as they are (default: the model's).",
    )
    device: str | int = option(type=Device(), default="auto", help=f"Device: {Device.expected}.")
    data_dir: Path | None = option(type=path, help="Folder of the data sets.")
    no_download: bool = option(
        "--no-download/--download", default=False, help="Fail where data are missing."
    )
    limit_test: int | None = option(type=positive_int, help="Test on so many images only.")
    export: Path | None = option(type=path, help="Also write the network to this safetensors file.")


@command(EvaluateOptions, paper="burstprop", name="evaluate")
def main(options: EvaluateOptions) -> None:
    """Print a network's accuracy on the test set, and the angles of its W and Y."""
    from burstprop import stored
    from burstprop.fidelity import REVISIONS
    from burstprop.tasks import INPUTS, TEST_BATCH, batches
    from common.backends import torch_backend
    from common.data.datasets import enlarge, load

    where = options.model or STORED
    state, about = stored.read(where)
    net = stored.network(state, where)
    first = state.get("conv1.weight")
    name = "mnist" if first is None or first.shape[1] == 1 else "cifar10"
    dataset, inputs = options.dataset or about.get("dataset") or name, INPUTS[name]
    revision = REVISIONS[options.revision or about.get("revision") or "head"]
    device = torch_backend.choose_device(options.device)
    test = load(dataset, options.data_dir, download=not options.no_download).test
    test = enlarge(test.limit(options.limit_test, "limit_test"), inputs.size, len(inputs.mean))
    test_set = batches(
        test,
        TEST_BATCH,
        inputs,
        normalised=name != "mnist" or revision.normalised,
        layout="flat" if first is None else "NCHW",
        device=device,
    )
    percent = stored.accuracy(net.to(device), test_set, device)
    if options.export:
        more = {"test_accuracy": f"{percent:.2f}", "tested_on": dataset}
        stored.export(stored.Stored(state, about), more, options.export)
        click.echo(options.export)
    for what, value in {"network": net, **about}.items():
        click.echo(f"{what}: {value}")
    for layer, degrees in stored.angles_of(state).items():
        click.echo(f"angle of W and Y in {layer}: {degrees:.2f} degrees")
    click.echo(f"{len(test)} test images of {dataset} on {device}")
    click.echo(f"test accuracy : {percent:.2f}")


if __name__ == "__main__":
    main()
