"""LRA-E on Fashion-MNIST in TensorFlow, any depth: `python -m lra_e.fmnist.fmnist_newTF`."""

from common.cli import Options, command
from lra_e.fidelity import NewTFScripts
from lra_e.options import lra_e_options


@command(paper="lra_e", name="fmnist_newTF")
@lra_e_options("fmnist_newTF", NewTFScripts)
def main(options: Options) -> None:
    """Train a deep tanh network on Fashion-MNIST with LRA-E or its backprop twin (TensorFlow)."""
    from lra_e.tf_program import train

    train(options)


if __name__ == "__main__":
    main()
