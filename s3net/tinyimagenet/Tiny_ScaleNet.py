"""ScaleNet-50 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_ScaleNet`."""

from common.cli import command
from s3net.tinyimagenet.options import TrainOptions, options_for


@command(options_for("scalenet50"), paper="s3net", name="Tiny_ScaleNet")
def main(options: TrainOptions) -> None:
    """Train ScaleNet-50 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
