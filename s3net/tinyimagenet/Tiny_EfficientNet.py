"""EfficientNet-B0 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_EfficientNet`."""

from common.cli import Options, command
from s3net.tinyimagenet.options import trainer_options


@command(paper="s3net", name="Tiny_EfficientNet")
@trainer_options("efficientnet_b0")
def main(options: Options) -> None:
    """Train EfficientNet-B0 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
