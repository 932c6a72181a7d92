"""LRA-E on MNIST in TensorFlow, any depth: `python -m lra_e.mnist.mnist_newTF`."""

from common.cli import command
from lra_e.fidelity import NewTFScripts
from lra_e.options import TrainOptions, options_of


@command(options_of("mnist_newTF", NewTFScripts), paper="lra_e", name="mnist_newTF")
def main(options: TrainOptions) -> None:
    """Train a deep tanh network on MNIST with LRA-E or with backprop (TensorFlow)."""
    from lra_e.tf_program import train

    train(options)


if __name__ == "__main__":
    main()
