"""Train S3 on CIFAR-100: `python -m s3net.cifar100.train_S3Net`, or this file by its path."""

from common.cli import command
from s3net.cifar100.options import TrainOptions


@command(TrainOptions, paper="s3net", name="train_S3Net")
def main(options: TrainOptions) -> None:
    """Train S3 on CIFAR-100 (Fan et al., table III)."""
    from s3net.cifar100.program import train

    train(options)


if __name__ == "__main__":
    main()
