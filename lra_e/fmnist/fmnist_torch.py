"""LRA-E on Fashion-MNIST in PyTorch: `python -m lra_e.fmnist.fmnist_torch`."""

from common.cli import command
from lra_e.fidelity import FmnistTorch
from lra_e.options import TrainOptions, options_of


@command(options_of("fmnist_torch", FmnistTorch), paper="lra_e", name="fmnist_torch")
def main(options: TrainOptions) -> None:
    """Train a deep tanh network on Fashion-MNIST with LRA-E or with backprop (PyTorch)."""
    from lra_e.torch_program import train

    train(options)


if __name__ == "__main__":
    main()
