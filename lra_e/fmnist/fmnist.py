"""LRA-E on Fashion-MNIST in TensorFlow, the program of 2019: `python -m lra_e.fmnist.fmnist`."""

from common.cli import command
from lra_e.fidelity import OldTFScripts
from lra_e.options import TrainOptions, options_of


@command(options_of("fmnist", OldTFScripts), paper="lra_e", name="fmnist")
def main(options: TrainOptions) -> None:
    """Train a deep tanh network on Fashion-MNIST with LRA-E or with backprop (TensorFlow)."""
    from lra_e.tf_program import train

    train(options)


if __name__ == "__main__":
    main()
