"""LRA-E on MNIST in PyTorch: `python -m lra_e.mnist.mnist_torch`."""

from common.cli import Options, command
from lra_e.fidelity import MnistTorch
from lra_e.options import lra_e_options


@command(paper="lra_e", name="mnist_torch")
@lra_e_options("mnist_torch", MnistTorch)
def main(options: Options) -> None:
    """Train a deep tanh network on MNIST with LRA-E or its backprop twin (PyTorch)."""
    from lra_e.torch_program import train

    train(options)


if __name__ == "__main__":
    main()
