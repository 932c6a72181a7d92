"""Train with any of the rules: `python -m asap.train --dataset cifar10 --feedback asap`."""

from asap.fidelity import Fidelity
from asap.options import DATASETS, network_options
from common.cli import Options, command, option
from common.cli.params import batch, choice, positive
from common.cli.switches import switch_options
from common.cli.training_options import training_options


@command(paper="asap", name="train")
@training_options(
    dataset="cifar10",
    datasets=DATASETS,
    original={"dataset": (), "epochs": (), "device": ()},
    epochs=200,
    epochs_alter_numbers=True,
)
@network_options
@option("--lr", type=positive, default=0.03, help="Initial learning rate.")
@option("--batch-size", type=batch, default=128, help="Training images a step, in all.")
@option("--test-batch-size", type=batch, default=100, help="Test images a batch.")
@option(
    "--optimizer",
    type=choice("sgd", "adam"),
    default="sgd",
    help="SGD (momentum 0.9, decay 5e-4) or Adam.",
)
@option(
    "--augmentation",
    "--aug",
    "augmentation",
    is_flag=True,
    default=False,
    help="Random crops and flips (CIFAR, Tiny ImageNet).",
)
@option("--compile", is_flag=True, default=False, original=False, help="torch.compile the network.")
@option(
    "--sync-bn",
    is_flag=True,
    default=False,
    original=False,
    help="Batch norm over all processes of torchrun (CUDA).",
)
@option(
    "--show-sharing",
    is_flag=True,
    default=False,
    original=False,
    help="Print which layer learns from which activation, and stop.",
)
@switch_options(Fidelity)
def main(options: Options) -> None:
    """Train with backprop, feedback alignment or activation sharing (Woo et al. 2021)."""
    from asap.program import train

    train(options)


if __name__ == "__main__":
    main()
