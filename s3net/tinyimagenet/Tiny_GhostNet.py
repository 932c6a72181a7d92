"""GhostNet on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_GhostNet`."""

from common.cli import Options, command
from s3net.tinyimagenet.options import trainer_options


@command(paper="s3net", name="Tiny_GhostNet")
@trainer_options("ghostnet")
def main(options: Options) -> None:
    """Train GhostNet on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
