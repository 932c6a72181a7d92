"""Train on ImageNet: `python -m burstprop.train_imagenet RESULTS DATA` (see `imagenet_options`)."""

from burstprop.imagenet.options import imagenet_options, resolve
from common.cli import Options, command


@command(paper="burstprop", name="train_imagenet")
@imagenet_options
def main(options: Options) -> None:
    """Train with burstprop or backprop on a folder of images: ImageNet (Payeur et al. 2021)."""
    options = resolve(options)
    from burstprop.imagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
