"""Test a trained network: `python -m burstprop.evaluate [MODEL]`.

MODEL is a results directory of train_mnist or train_cifar10, a model.pth, or a safetensors file of
--export. Without it, the small network that lies beside this file.
"""

from pathlib import Path
from typing import Any

import click

from common.cli import Options, argument, command, option
from common.cli.params import Device, choice, path, positive_int

STORED = Path(__file__).with_name("model.safetensors")


@command(paper="burstprop", name="evaluate")
@argument("model", type=path, required=False, help="A results directory, a .pth, a .safetensors.")
@option(
    "--dataset",
    "--data",
    "dataset",
    type=choice("mnist", "fashion_mnist", "cifar10", "digits"),
    default=None,
    help="Data set (default: the model's, else the one that its input fits).",
)
@option(
    "--revision",
    type=choice("head", "2020"),
    default=None,
    help="2020: it was trained on MNIST's pixels as they are (default: the model's).",
)
@option("--device", type=Device(), default="auto", help=f"{Device.expected}.")
@option("--data-dir", type=path, default=None, help="Folder of the data sets.")
@option("--no-download/--download", default=False, help="Fail where data are missing.")
@option("--limit-test", type=positive_int, default=None, help="Test on so many images only.")
@option("--export", type=path, default=None, help="Also write the network to this safetensors.")
def main(options: Options) -> None:
    """Print a network's accuracy on the test set, and the angles of its W and Y."""
    from burstprop import stored
    from burstprop.fidelity import REVISIONS
    from burstprop.recipes import SCRIPTS
    from common.backends import torch_backend
    from common.data.datasets import enlarge, load
    from common.data.torch_batches import TorchBatches

    where = options.model or STORED
    found = stored.read(where)
    net = stored.network(found.state, where)
    grey = "conv1.weight" not in found.state or found.state["conv1.weight"].shape[1] == 1
    script = SCRIPTS["mnist" if grey else "cifar10"]
    dataset = options.dataset or found.about.get("dataset") or script.dataset
    revision = REVISIONS[options.revision or found.about.get("revision") or "head"]
    device = torch_backend.choose_device(options.device)
    test = load(dataset, options.data_dir, download=not options.no_download).test
    test = enlarge(test.limit(options.limit_test, "limit_test"), script.size, len(script.mean))
    how: dict[str, Any] = {
        "layout": "NCHW" if "conv1.weight" in found.state else "flat",
        "device": device,
    }
    if revision.normalised or not grey:
        how |= {"mean": script.mean, "std": script.std}
    percent = stored.accuracy(net.to(device), TorchBatches(test, 100, **how), device)
    if options.export:
        more = {"test_accuracy": f"{percent:.2f}", "tested_on": dataset}
        stored.export(found, more, options.export)
        click.echo(options.export)
    for name, value in {"network": net, **found.about}.items():
        click.echo(f"{name}: {value}")
    for layer, degrees in stored.angles_of(found.state).items():
        click.echo(f"angle of W and Y in {layer}: {degrees:.2f} degrees")
    click.echo(f"{len(test)} test images of {dataset} on {device}")
    click.echo(f"test accuracy : {percent:.2f}")


if __name__ == "__main__":
    main()
