"""Oct-ResNet-50 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_OctResNet`."""

from common.cli import Options, command
from s3net.tinyimagenet.options import trainer_options


@command(paper="s3net", name="Tiny_OctResNet")
@trainer_options("oct_resnet50")
def main(options: Options) -> None:
    """Train Oct-ResNet-50 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
