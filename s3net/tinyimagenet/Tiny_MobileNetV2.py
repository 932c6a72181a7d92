"""MobileNetV2 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_MobileNetV2`."""

from common.cli import command
from s3net.tinyimagenet.options import TrainOptions, options_for


@command(options_for("mobilenet_v2"), paper="s3net", name="Tiny_MobileNetV2")
def main(options: TrainOptions) -> None:
    """Train MobileNetV2 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
