"""The command line of Tiny ImageNet's programs: one set of options, each script's network fixed."""

from collections.abc import Callable

from common.cli import Options, option
from common.cli.params import (
    batch,
    choice,
    fraction,
    nonnegative,
    nonnegative_int,
    positive,
    positive_int,
    side,
    together,
)
from common.cli.switches import switch_options
from common.cli.training_options import training_options
from s3net.fidelity import Tiny
from s3net.outputs import enough
from s3net.tinyimagenet.data import DATASETS
from s3net.tinyimagenet.models import MODELS, TABLE_LR, recipe
from s3net.topology import WIRINGS


def trainer_options(*models: str) -> Callable:
    """A decorator: the common options, the recipe's and the switches.

    models   choices of --model, the default first; none: every network, s3net_new the default
    """
    first = models[0] if models else "s3net_new"
    theirs = recipe(first) if models else None
    return together(
        training_options(
            dataset="tiny_imagenet", datasets=DATASETS, epochs=90, epochs_alter_numbers=True
        ),
        option("--model", type=choice(*(models or MODELS)), default=first, original=False,
               help="Network; *_small have 0.31 million parameters."),
        option("--num-classes", type=positive_int, default=None, original=False,
               show_default="the data set's", help="Outputs."),
        option("--batch-size", type=batch, default=theirs and theirs.batch_size,
               original=False, help="Training images a step.", show_default=_shown(theirs)),
        option("--lr", type=positive, default=theirs and theirs.lr, original=False,
               help="Initial learning rate.", show_default=_shown(theirs)),
        option("--lr-step", type=positive_int, default=30, original=False,
               help="Epochs after which the rate is divided by ten, again and again."),
        option("--weight-decay", type=nonnegative, default=0.0, original=False,
               help="On every parameter."),
        option("--dropout", type=fraction, default=0.0, original=False,
               help="Probability, in training, of S3's layers."),
        option("--wiring", type=choice(*WIRINGS), default=None, original=False,
               show_default="the network's", help="Of an S3 net's blocks; sparse is S3."),
        option("--test-batch-size", type=batch, default=200, original=False,
               help="Validation images a batch."),
        option("--image-size", type=side, default=224, original=False,
               help="Images are enlarged to this side, on the device."),
        option("--augmentation/--no-augmentation", default=True, original=False,
               help="Random flips."),
        option("--crop-border", type=nonnegative_int, default=0, original=False,
               help="Zero border, in pixels, for random crops as well."),
        option("--print-every", type=nonnegative_int, default=100, original=False, numbers=False,
               help="Steps between two lines with the loss; 0: none."),
        option("--epoch-models/--no-epoch-models", default=True, original=False, numbers=False,
               help="Keep the network of every epoch, models/NAME/model_<e>_epoch.pt."),
        option("--compile", is_flag=True, default=False, original=False,
               help="torch.compile the network."),
        switch_options(Tiny),
    )  # fmt: skip


def _shown(theirs: object) -> str | bool:
    return True if theirs else "the network's recipe"


def resolve(options: Options) -> Options:
    """Fill in the network's recipe where nothing was typed."""
    theirs = recipe(options.model)
    if options.batch_size is None:
        options.batch_size = theirs.batch_size
    if options.lr is None:
        options.lr = theirs.lr
    if options.switches.table_lr and not options.resume and "lr" not in options.typed:
        options.lr = TABLE_LR.get(options.model, options.lr)
    return options


def outputs(options: Options, classes: int) -> int:
    """Of the network, for a data set of so many classes. UsageError for too few."""
    count = options.num_classes or (1000 if options.switches.thousand_outputs else classes)
    return enough(count, classes, "num_classes", options.dataset)
