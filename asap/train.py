"""Train with any of the rules: `python -m asap.train --dataset cifar10 --feedback asap`."""

from asap.options import TrainOptions
from common.cli import command


@command(TrainOptions, paper="asap", name="train")
def main(options: TrainOptions) -> None:
    """Train with backprop, feedback alignment or activation sharing (Woo et al. 2021)."""
    from asap.program import train

    train(options)


if __name__ == "__main__":
    main()
