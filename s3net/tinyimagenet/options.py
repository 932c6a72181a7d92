"""The command line of Tiny ImageNet's programs: one set of options, each script's network fixed."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from common.cli import option, variant
from common.cli.params import (
    batch,
    choice,
    fraction,
    nonnegative,
    nonnegative_int,
    positive,
    positive_int,
    side,
)
from common.cli.switches import switch_options
from common.cli.training_options import TrainingOptions, training_options
from s3net.fidelity import Tiny
from s3net.tasks import TINY_DATASETS, outputs_for
from s3net.tinyimagenet.recipes import MODELS, TABLE_LR, Recipe, recipe_of
from s3net.topology import WIRINGS

ours = partial(option, original=False)


def _model(*models: str) -> Any:
    return ours(
        type=choice(*models),
        default=models[0],
        help="Network; those called *_small have 0.31 million parameters.",
    )


@training_options(
    dataset="tiny_imagenet", datasets=TINY_DATASETS, epochs=90, epochs_alter_numbers=True
)
class TrainOptions(TrainingOptions):
    """What Tiny ImageNet's trainers take."""

    model: str = _model(*MODELS)
    num_classes: int | None = ours(
        type=positive_int, show_default="the data set's", help="The network's outputs."
    )
    batch_size: int | None = ours(
        type=batch, help="Training images a step; left out, those of the network's recipe."
    )
    lr: float | None = ours(
        type=positive, help="Initial learning rate; left out, that of the network's recipe."
    )
    lr_step: int = ours(
        type=positive_int,
        default=30,
        help="Epochs after which the rate is divided by ten, again and again.",
    )
    weight_decay: float = ours(
        type=nonnegative, default=0.0, help="Weight decay of every parameter."
    )
    dropout: float = ours(
        type=fraction, default=0.0, help="Dropout's probability, in training, in S3's layers."
    )
    wiring: str | None = ours(
        type=choice(*WIRINGS),
        show_default="the network's",
        help="Wiring of an S3 net's blocks; sparse is S3.",
    )
    test_batch_size: int = ours(type=batch, default=200, help="Validation images a batch.")
    image_size: int = ours(
        type=side, default=224, help="Images are enlarged to this side, on the device."
    )
    augmentation: bool = ours(
        "--augmentation/--no-augmentation", default=True, help="Random flips."
    )
    crop_border: int = ours(
        type=nonnegative_int, default=0, help="Zero border, in pixels, for random crops as well."
    )
    print_every: int = ours(
        type=nonnegative_int,
        default=100,
        numbers=False,
        help="Steps between two lines with the loss; 0: none.",
    )
    epoch_models: bool = ours(
        "--epoch-models/--no-epoch-models",
        default=True,
        numbers=False,
        help="Keep the network of every epoch, models/NAME/model_<e>_epoch.pt.",
    )
    compile: bool = ours(is_flag=True, default=False, help="torch.compile the network.")
    switches: Tiny = switch_options(Tiny)
    config: Path | None = None  # options of Tiny_RandomlyWired alone
    model_dir: Path | None = None

    @property
    def recipe(self) -> Recipe:
        """What was typed, else what the network's program has."""
        theirs, lr = recipe_of(self.model), self.lr
        if self.switches.table_lr and not self.resume and "lr" not in self.call.typed:
            lr = TABLE_LR.get(self.model, lr)
        return Recipe(self.batch_size or theirs.batch_size, lr or theirs.lr)

    def completed(self) -> Self:
        """The recipe is written down."""
        return replace(self, **self.recipe._asdict())

    def outputs(self, classes: int) -> int:
        """Of the network, for a data set of so many classes. ArgumentError for too few."""
        thousand = self.switches.thousand_outputs
        return outputs_for(
            classes, self.num_classes, "num_classes", self.dataset, thousand=thousand
        )


def options_for(*models: str, options: type[TrainOptions] = TrainOptions) -> type[TrainOptions]:
    """Those of a program: the choices of --model, its own first, and its recipe as defaults."""
    return variant(options, model=_model(*models), **recipe_of(models[0])._asdict())
