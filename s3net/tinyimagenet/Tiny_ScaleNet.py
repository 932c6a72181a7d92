"""ScaleNet-50 on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_ScaleNet`."""

from common.cli import Options, command
from s3net.tinyimagenet.options import trainer_options


@command(paper="s3net", name="Tiny_ScaleNet")
@trainer_options("scalenet50")
def main(options: Options) -> None:
    """Train ScaleNet-50 on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
