"""Train S3 on CIFAR-100: `python -m s3net.cifar100.train_S3Net`, or this file by its path."""

from common.cli import Options, command, option
from common.cli.params import (
    Number,
    batch,
    choice,
    fraction,
    nonnegative,
    path,
    positive,
    positive_int,
)
from common.cli.switches import switch_options
from common.cli.training_options import training_options
from common.doors.bounds import DEEPEST
from s3net.fidelity import Cifar
from s3net.topology import WIRINGS

depth_of_net = Number(int, 7, most=DEEPEST)


@command(paper="s3net", name="train_S3Net")
@training_options(
    dataset="cifar100",
    datasets=("cifar100", "cifar10"),
    original={"seed": (), "epochs": ()},
    seed=1111,
    epochs=200,
    epochs_alter_numbers=True,
)
@option(
    "--save",
    type=path,
    default=None,
    show_default="DenseNet.pt in the run",
    help="File of the best network.",
)
@option("--unuse-cuda", is_flag=True, default=False, help="Stay on the CPU.")
@option("--lr", type=positive, default=0.2, help="Initial learning rate.")
@option("--batch-size", type=batch, default=64, help="Images a step, in tests too.")
@option("--weight-decay", type=nonnegative, default=1e-4, help="On every parameter.")
@option("--momentum", type=fraction, default=0.9, help="Of SGD.")
@option(
    "--augmentation/--no-augmentation",
    default=True,
    show_default=False,
    help="Random crops and flips (default: yes).",
)
@option("--dropout", type=fraction, default=0.0, help="Probability after each layer.")
@option(
    "--num-class", type=positive_int, default=None, show_default="the data set's", help="Outputs."
)
@option("--growth-rate", type=positive_int, default=12, help="k: channels that a layer adds.")
@option("--channels", type=positive_int, default=24, help="Width of the first convolution.")
@option(
    "--depth",
    type=depth_of_net,
    default=40,
    help="Weighted layers: (depth - 4) // 3 in each of the three blocks.",
)
@option(
    "--wiring",
    type=choice(*WIRINGS),
    default="sparse",
    original=False,
    help="Of the blocks: sparse is S3.",
)
@option("--compile", is_flag=True, default=False, original=False, help="torch.compile the network.")
@switch_options(Cifar)
def main(options: Options) -> None:
    """Train S3 on CIFAR-100 (Fan et al., table III)."""
    from s3net.cifar100.program import train

    train(options)


if __name__ == "__main__":
    main()
