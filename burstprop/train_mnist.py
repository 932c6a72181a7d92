"""Train on MNIST: `python -m burstprop.train_mnist RESULTS` (the options are in `options`)."""

from burstprop.options import script_options
from common.cli import Options, command


@command(paper="burstprop", name="train_mnist")
@script_options("mnist")
def main(options: Options) -> None:
    """Train with burstprop, backprop or node perturbation on MNIST (Payeur et al. 2021)."""
    from burstprop.program import train

    train(options, "mnist")


if __name__ == "__main__":
    main()
