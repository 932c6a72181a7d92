"""The command line of train_imagenet (burstprop, 3.2). Spellings as in `options`."""

from collections.abc import Callable

import click

from burstprop.imagenet.fidelity import Fidelity
from common.cli import Options, argument, option
from common.cli.params import (
    Number,
    batch,
    boolean,
    factor,
    fraction,
    nonnegative,
    path,
    positive,
    together,
    workers,
)
from common.cli.switches import switch_options
from common.cli.training_options import check_data_option, training_options
from common.doors.bounds import LARGEST_SIDE
from common.errors import UsageError

SMALLEST = 193  # the least side of an image that the convolutions leave something of
BURSTPROP_ONLY = ("hidden_lr", "p_baseline", "weight_fa_std", "weight_fa_learning", "kappa",
                  "exact_differences")  # fmt: skip


def imagenet_options(function: Callable) -> Callable:
    """A decorator: the common options, the original's in its order, ours, the switches."""
    return together(
        argument("directory", same_as="out", help="Results directory."),
        argument("data_path", same_as="data_dir", optional_with=("dataset",),
                 help="Folder that holds train/ and val/, one folder a class."),
        training_options(
            dataset="image_folder",
            datasets=("image_folder",),
            epochs=50,
            original={"epochs": ("-n_epochs",)},
            resume_file=True,
        ),
        option("-batch_size", type=batch, default=128,
               help="Images a step, in all, and a test batch."),
        option("-validation", type=boolean, default=False,
               help="Hold out 3.9 % of the training images and test on them."),
        option("-hidden_lr", type=positive, default=0.01,
               help="Learning rate of all layers but the last."),
        option("-output_lr", type=positive, default=0.01,
               help="Learning rate of the last layer; with backprop, of all."),
        option("-weight_fa_std", type=float, default=0.01,
               help="Standard deviation of the initial feedback weights; 0 or less: they are "
                    "drawn like the forward ones."),
        option("-momentum", type=fraction, default=0.9, help="Momentum of SGD."),
        option("-weight_decay", type=nonnegative, default=1e-4, help="Weight decay of SGD."),
        option("-p_baseline", type=fraction, default=0.2,
               help="Burst probability of the output without a teacher."),
        option("-use_backprop", type=boolean, default=False, help="Train with backprop."),
        option("-weight_fa_learning", type=boolean, default=True,
               help="Train the feedback weights; False: a wider net."),
        option("-kappa", type=positive, default=1e-5,
               help="Factor of the teaching signal at the output, undone one layer below."),
        option("-use_adam", type=boolean, default=False, help="Adam in the place of SGD."),
        option("-resume_path", type=path, default="", numbers=False,
               help="Go on from a checkpoint.pth.tar, the original's or ours."),
        option("-info", type=str, default="", numbers=False,
               help="Free text for params.txt."),
        option("--workers", type=workers, default=4, numbers=False, original=False,
               help="Processes that read images; 0: none but this one."),
        check_data_option(),
        option("--width", type=factor, default=1.0, original=False,
               help="Factor of the convolutions' channels."),
        option("--image-size", type=Number(int, SMALLEST, most=LARGEST_SIDE), default=224,
               original=False, help="Side of the images."),
        switch_options(Fidelity),
    )(function)  # fmt: skip


def resolve(options: Options) -> Options:
    """What one option means for another: UsageError for what does not go together, notes on stderr
    for what has no effect. `--resume FILE` is `-resume_path FILE`."""
    if options.resume is not None and options.resume.is_file():
        options.resume_path, options.resume = options.resume, None
    if not options.resume and options.resume_path and not options.resume_path.is_file():
        raise UsageError(
            f"option -resume_path (={options.resume_path}) must be a checkpoint's file; --resume "
            "DIR goes on with a run"
        )
    if not options.p_baseline:
        raise UsageError("option -p_baseline (=0) must be > 0: nothing would be taught")
    exact = options.switches.exact_differences
    if options.precision == "bfloat16" and not exact and not options.use_backprop:
        raise UsageError("option --precision (=bfloat16) must be float32 or float64 with "
                         "--no-exact-differences: nothing would be left of the "
                         "differences")  # fmt: skip
    for name in ineffective(options):
        click.echo(f"note: -{name} has no effect here", err=True)
    return options


def rule_of(options: Options) -> str:
    """Which rule the options ask for."""
    if options.use_backprop:
        return "backprop"
    return "burstprop" if options.weight_fa_learning else "feedback_alignment"


def ineffective(options: Options) -> list[str]:
    """Typed options that this run does not read."""
    unread = set(BURSTPROP_ONLY) if options.use_backprop else set()
    if options.use_adam:
        unread |= {"momentum", "weight_decay"}
    return sorted(unread & options.typed)
