"""Train on ImageNet: `python -m s3net.imagenet.train DATA`, DATA with train and val.

The recipe is the original's (s3net, imagenet 6): random crops of 224, SGD with momentum
0.9 and decay 1e-4, rate divided by ten every thirty epochs. Several GPUs:
`torchrun --nproc-per-node 4 -m s3net.imagenet.train DATA`.
"""

from common.cli import command
from s3net.imagenet.options import TrainOptions


@command(TrainOptions, paper="s3net", name="train")
def main(options: TrainOptions) -> None:
    """Train S3, or any network of torchvision, on ImageNet (Fan et al., table V)."""
    if options.evaluate:
        from s3net.imagenet.evaluate import evaluate

        evaluate(options, options.resume, "centre")
    else:
        from s3net.imagenet.program import train

        train(options)


if __name__ == "__main__":
    main()
