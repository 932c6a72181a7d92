"""Train on CIFAR-10: `python -m burstprop.train_cifar10 RESULTS` (the options are in `options`)."""

from burstprop.options import script_options
from common.cli import Options, command


@command(paper="burstprop", name="train_cifar10")
@script_options("cifar10")
def main(options: Options) -> None:
    """Train with burstprop, backprop or node perturbation on CIFAR-10 (Payeur et al. 2021)."""
    from burstprop.program import train

    train(options, "cifar10")


if __name__ == "__main__":
    main()
