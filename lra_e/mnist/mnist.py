"""LRA-E on MNIST in TensorFlow, the program of 2019: `python -m lra_e.mnist.mnist`."""

from common.cli import command
from lra_e.fidelity import OldTFScripts
from lra_e.options import TrainOptions, options_of


@command(options_of("mnist", OldTFScripts), paper="lra_e", name="mnist")
def main(options: TrainOptions) -> None:
    """Train a deep tanh network on MNIST with LRA-E or with backprop (TensorFlow)."""
    from lra_e.tf_program import train

    train(options)


if __name__ == "__main__":
    main()
