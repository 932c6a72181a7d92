"""Oct-ResNet-50 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_OctResNet`."""

from common.cli import command
from s3net.tinyimagenet.options import TrainOptions, options_for


@command(options_for("oct_resnet50"), paper="s3net", name="Tiny_OctResNet")
def main(options: TrainOptions) -> None:
    """Train Oct-ResNet-50 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
