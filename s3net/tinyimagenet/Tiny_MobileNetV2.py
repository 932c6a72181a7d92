"""MobileNetV2 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_MobileNetV2`."""

from common.cli import Options, command
from s3net.tinyimagenet.options import trainer_options


@command(paper="s3net", name="Tiny_MobileNetV2")
@trainer_options("mobilenet_v2")
def main(options: Options) -> None:
    """Train MobileNetV2 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
