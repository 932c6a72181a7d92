"""LRA-E on MNIST in PyTorch: `python -m lra_e.mnist.mnist_torch`."""

from common.cli import command
from lra_e.fidelity import MnistTorch
from lra_e.options import TrainOptions, options_of


@command(options_of("mnist_torch", MnistTorch), paper="lra_e", name="mnist_torch")
def main(options: TrainOptions) -> None:
    """Train a deep tanh network on MNIST with LRA-E or with backprop (PyTorch)."""
    from lra_e.torch_program import train

    train(options)


if __name__ == "__main__":
    main()
