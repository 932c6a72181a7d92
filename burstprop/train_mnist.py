"""Train on MNIST: `python -m burstprop.train_mnist RESULTS` (the options are in `options`)."""

from burstprop.options import MnistOptions, SigmoidOptions
from common.cli import command


@command(MnistOptions, paper="burstprop", name="train_mnist")
def main(options: SigmoidOptions) -> None:
    """Train with burstprop, backprop or node perturbation on MNIST (Payeur et al. 2021)."""
    from burstprop.program import train

    train(options)


if __name__ == "__main__":
    main()
