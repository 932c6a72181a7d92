"""The command line of newpaper.train; no framework."""

from common.cli import option
from common.cli.params import batch, choice, positive, positive_int
from common.cli.switches import switch_options
from common.cli.training_options import TrainingOptions, training_options
from newpaper import recipes
from newpaper.fidelity import Fidelity
from newpaper.tasks import DATASETS


@training_options(dataset="mnist", datasets=DATASETS, epochs=recipes.EPOCHS)
class TrainOptions(TrainingOptions):
    """What newpaper.train takes, beside what every training script does."""

    rule: str = option(type=choice("drtp", "bp"), default="drtp", help="Learning rule.")
    hidden: int = option(type=positive_int, default=recipes.HIDDEN, help="Units a hidden layer.")
    layers: int = option(type=positive_int, default=recipes.LAYERS, help="Hidden layers.")
    lr: float = option(type=positive, default=recipes.LR, help="Learning rate.")
    batch_size: int = option(type=batch, default=recipes.BATCH_SIZE, help="Images a step.")
    switches: Fidelity = switch_options(Fidelity)
