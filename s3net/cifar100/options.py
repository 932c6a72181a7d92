"""The command line of s3net.cifar100.train_S3Net; no framework."""

from dataclasses import replace
from pathlib import Path
from typing import Self

from common.cli import option
from common.cli.params import (
    Number,
    batch,
    choice,
    fraction,
    nonnegative,
    path,
    positive,
    positive_int,
)
from common.cli.switches import switch_options
from common.cli.training_options import TrainingOptions, training_options
from common.doors.bounds import DEEPEST
from common.errors import UsageError
from s3net.fidelity import Cifar
from s3net.tasks import CIFAR_DATASETS
from s3net.topology import WIRINGS

FIXED_DEPTH = 40  # of the original, whatever its --depth said


@training_options(
    dataset="cifar100",
    datasets=CIFAR_DATASETS,
    original={"seed": (), "epochs": ()},
    seed=1111,
    epochs=200,
    epochs_alter_numbers=True,
)
class TrainOptions(TrainingOptions):
    """What train_S3Net takes."""

    save: Path | None = option(
        type=path, show_default="DenseNet.pt in the run", help="File of the best network."
    )
    unuse_cuda: bool = option(is_flag=True, default=False, help="Stay on the CPU.")
    lr: float = option(type=positive, default=0.2, help="Initial learning rate.")
    batch_size: int = option(type=batch, default=64, help="Images a step, in tests too.")
    weight_decay: float = option(
        type=nonnegative, default=1e-4, help="Weight decay of every parameter."
    )
    momentum: float = option(type=fraction, default=0.9, help="Momentum of SGD.")
    augmentation: bool = option(
        "--augmentation/--no-augmentation",
        default=True,
        show_default=False,
        help="Random crops and flips (default: yes).",
    )
    dropout: float = option(
        type=fraction, default=0.0, help="Dropout's probability after each layer."
    )
    num_class: int | None = option(
        type=positive_int, show_default="the data set's", help="The network's outputs."
    )
    growth_rate: int = option(type=positive_int, default=12, help="Channels that a layer adds (k).")
    channels: int = option(type=positive_int, default=24, help="Width of the first convolution.")
    depth: int = option(
        type=Number(int, 7, most=DEEPEST),
        default=40,
        help="Weighted layers: (depth - 4) // 3 in each of the three blocks.",
    )
    wiring: str = option(
        type=choice(*WIRINGS),
        default="sparse",
        original=False,
        help="The blocks' wiring; sparse is S3.",
    )
    compile: bool = option(
        is_flag=True, default=False, original=False, help="torch.compile the network."
    )
    switches: Cifar = switch_options(Cifar)

    @property
    def true_depth(self) -> int:
        """How deep the network really is."""
        return FIXED_DEPTH if self.switches.ignore_depth else self.depth

    @property
    def true_dropout(self) -> float:
        """The dropout that the network really has."""
        asked = "augmentation" in self.call.typed and self.augmentation
        return 0.0 if self.switches.dropout_needs_augmentation and not asked else self.dropout

    def completed(self) -> Self:
        """--unuse-cuda is a device."""
        if not self.unuse_cuda:
            return self
        if "device" in self.call.typed and not str(self.device).startswith("cpu"):
            raise UsageError(f"option --unuse-cuda contradicts --device {self.device}")
        return replace(self, device="cpu")
