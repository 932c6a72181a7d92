"""S3 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_S3Net`."""

from common.cli import command
from s3net.tinyimagenet.options import TrainOptions, options_for
from s3net.tinyimagenet.recipes import S3


@command(options_for(*S3, "s3net_small"), paper="s3net", name="Tiny_S3Net")
def main(options: TrainOptions) -> None:
    """Train S3 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
