"""SE-ResNet-50 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_SEResNet`."""

from common.cli import Options, command
from s3net.tinyimagenet.options import trainer_options


@command(paper="s3net", name="Tiny_SEResNet")
@trainer_options("se_resnet50")
def main(options: Options) -> None:
    """Train SE-ResNet-50 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
