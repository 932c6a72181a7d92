"""Train on ImageNet: `python -m s3net.imagenet.train DATA`, DATA with train and val.

The recipe is the original's (s3net, imagenet 6): random crops of 224, SGD with momentum
0.9 and decay 1e-4, rate divided by ten every thirty epochs. Several GPUs:
`torchrun --nproc-per-node 4 -m s3net.imagenet.train DATA`.
"""

from common.cli import Options, command
from s3net.imagenet.options import imagenet_options, settle


@command(paper="s3net", name="train")
@imagenet_options(arch="s3net_new_big2", epochs=180, batch=156)
def main(options: Options) -> None:
    """Train S3, or any network of torchvision, on ImageNet (Fan et al., table V)."""
    settle(options)
    if options.evaluate:
        from s3net.imagenet.validation import centre

        centre(options)
    else:
        from s3net.imagenet.program import train

        train(options)


if __name__ == "__main__":
    main()
