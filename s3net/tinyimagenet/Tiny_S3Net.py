"""S3 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_S3Net`."""

from common.cli import Options, command
from s3net.tinyimagenet.models import S3
from s3net.tinyimagenet.options import trainer_options


@command(paper="s3net", name="Tiny_S3Net")
@trainer_options(*S3, "s3net_small")
def main(options: Options) -> None:
    """Train S3 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
