"""Train with the rule or with backprop: `python -m newpaper.train --data digits --rule drtp`."""

from common.cli import command
from newpaper.options import TrainOptions


@command(TrainOptions, paper="newpaper", name="train")
def main(options: TrainOptions) -> None:
    """Train with direct random target projection or backprop."""
    from newpaper.program import train

    train(options)


if __name__ == "__main__":
    main()
