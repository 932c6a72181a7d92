"""Train on CIFAR-10: `python -m burstprop.train_cifar10 RESULTS` (the options are in `options`)."""

from burstprop.options import Cifar10Options, SigmoidOptions
from common.cli import command


@command(Cifar10Options, paper="burstprop", name="train_cifar10")
def main(options: SigmoidOptions) -> None:
    """Train with burstprop, backprop or node perturbation on CIFAR-10 (Payeur et al. 2021)."""
    from burstprop.program import train

    train(options)


if __name__ == "__main__":
    main()
