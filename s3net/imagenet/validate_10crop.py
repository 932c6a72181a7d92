"""Ten crops of each image: `python -m s3net.imagenet.validate_10crop DATA --resume FILE`.

FILE is a checkpoint.pth.tar of the original or of s3net.imagenet.train, a run directory of the
latter, or a safetensors file. The options are those of the training script; those that only
training needs have no effect.
"""

from common.cli import Options, command, option
from common.cli.params import path
from s3net.imagenet.options import imagenet_options, settle


@command(paper="s3net", name="validate_10crop")
@imagenet_options(
    arch="s3net_new1",
    epochs=150,
    batch=64,
    without=("out", "resume", "allow_change", "audit", "audit_every", "checkpoint_every"),
)
@option("--resume", "weights", type=path, default=None, help="The trained network.")
def main(options: Options) -> None:
    """Print a network's accuracies, its logits averaged over ten crops of each image."""
    settle(options)
    from s3net.imagenet.validation import ten_crops

    ten_crops(options)


if __name__ == "__main__":
    main()
