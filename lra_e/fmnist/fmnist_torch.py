"""LRA-E on Fashion-MNIST in PyTorch: `python -m lra_e.fmnist.fmnist_torch`."""

from common.cli import Options, command
from lra_e.fidelity import FmnistTorch
from lra_e.options import lra_e_options


@command(paper="lra_e", name="fmnist_torch")
@lra_e_options("fmnist_torch", FmnistTorch)
def main(options: Options) -> None:
    """Train a deep tanh network on Fashion-MNIST with LRA-E or its backprop twin (PyTorch)."""
    from lra_e.torch_program import train

    train(options)


if __name__ == "__main__":
    main()
