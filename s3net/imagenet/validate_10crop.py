"""Ten crops of each image: `python -m s3net.imagenet.validate_10crop DATA --resume FILE`.

FILE is a checkpoint.pth.tar of the original or of s3net.imagenet.train, a run directory of the
latter, or a safetensors file. The options are those of the training script; those that only
training needs have no effect.
"""

from common.cli import command
from s3net.imagenet.options import ImageNetOptions, TenCropsOptions


@command(TenCropsOptions, paper="s3net", name="validate_10crop")
def main(options: ImageNetOptions) -> None:
    """Print a network's accuracies, its logits averaged over ten crops of each image."""
    from s3net.imagenet.evaluate import evaluate

    evaluate(options, options.weights, "ten")


if __name__ == "__main__":
    main()
