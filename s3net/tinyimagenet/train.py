"""Train on Tiny ImageNet: `python -m s3net.tinyimagenet.train --model s3net_new`.

The recipe is the original's (s3net_tinyimagenet.md, section 6): images enlarged to 224 x 224,
random flips, SGD with momentum 0.9 and no decay, rate divided by ten every thirty epochs.
"""

from common.cli import Options, command, option, training_options
from common.options import choice, fraction, nonnegative, nonnegative_int, positive, positive_int
from s3net.tinyimagenet.data import DATASETS
from s3net.tinyimagenet.models import MODELS


@command(paper="s3net", name="train")
@training_options(dataset="tiny_imagenet", datasets=DATASETS, epochs=90, epochs_alter_numbers=True)
@option(
    "--model",
    type=choice(*MODELS),
    default="s3net_new",
    original=False,
    help="Network; the small ones have 0.31 million parameters each.",
)
@option("--lr", type=positive, default=0.1, original=False, help="Initial learning rate.")
@option(
    "--lr-step",
    type=positive_int,
    default=30,
    original=False,
    help="Epochs after which the rate is divided by ten, again and again.",
)
@option("--weight-decay", type=nonnegative, default=0.0, original=False, help="On every parameter.")
@option("--dropout", type=fraction, default=0.0, original=False, help="Probability, in training.")
@option(
    "--batch-size", type=positive_int, default=64, original=False, help="Training images a step."
)
@option(
    "--test-batch-size",
    type=positive_int,
    default=200,
    original=False,
    help="Validation images a batch.",
)
@option(
    "--image-size",
    type=positive_int,
    default=224,
    original=False,
    help="Images are enlarged to this side.",
)
@option("--augmentation/--no-augmentation", default=True, original=False, help="Random flips.")
@option(
    "--crop-border",
    type=nonnegative_int,
    default=0,
    original=False,
    help="Zero border, in pixels, for random crops as well.",
)
@option("--compile", is_flag=True, default=False, original=False, help="torch.compile the network.")
def main(options: Options) -> None:
    """Train S3 or a rival of it on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
