"""LRA-E on MNIST in TensorFlow, the program of 2019: `python -m lra_e.mnist.mnist`."""

from common.cli import Options, command
from lra_e.fidelity import OldTFScripts
from lra_e.options import lra_e_options


@command(paper="lra_e", name="mnist")
@lra_e_options("mnist", OldTFScripts)
def main(options: Options) -> None:
    """Train a deep tanh network on MNIST with LRA-E or its backprop twin (TensorFlow)."""
    from lra_e.tf_program import train

    train(options)


if __name__ == "__main__":
    main()
