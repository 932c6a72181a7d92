"""GhostNet on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_GhostNet`."""

from common.cli import command
from s3net.tinyimagenet.options import TrainOptions, options_for


@command(options_for("ghostnet"), paper="s3net", name="Tiny_GhostNet")
def main(options: TrainOptions) -> None:
    """Train GhostNet on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
