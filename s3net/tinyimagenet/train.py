"""Train on Tiny ImageNet: `python -m s3net.tinyimagenet.train --model s3net_new`.

The recipe is the original's (s3net, tinyimagenet 6): images enlarged to 224 x 224,
random flips, SGD with momentum 0.9 and no decay, rate divided by ten every thirty epochs. The
`Tiny_*` programs beside this one are the original's nine: this one with their network and recipe.
"""

from common.cli import command
from s3net.tinyimagenet.options import TrainOptions


@command(TrainOptions, paper="s3net", name="train")
def main(options: TrainOptions) -> None:
    """Train S3 or a comparison model on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
