"""Train on ImageNet: `python -m burstprop.train_imagenet RESULTS DATA` (see `imagenet.options`)."""

from burstprop.imagenet.options import ImageNetOptions
from common.cli import command


@command(ImageNetOptions, paper="burstprop", name="train_imagenet")
def main(options: ImageNetOptions) -> None:
    """Train with burstprop or backprop on a folder of images: ImageNet (Payeur et al. 2021)."""
    from burstprop.imagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
