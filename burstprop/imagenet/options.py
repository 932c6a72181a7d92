"""The command line of train_imagenet (burstprop, 3.2). Spellings as in `burstprop.options`."""

from dataclasses import replace
from pathlib import Path
from typing import Self

from burstprop.imagenet.fidelity import Fidelity
from burstprop.options import EPOCHS, BurstpropOptions, flag, number
from common.cli import argument, option
from common.cli.params import Number, batch, factor, nonnegative, path, positive, workers
from common.cli.switches import switch_options
from common.cli.training_options import check_data_option, training_options
from common.doors.bounds import LARGEST_SIDE
from common.errors import UsageError

SMALLEST = 193  # the least side of an image that the convolutions leave something of
BURSTPROP_ONLY = frozenset(
    ("hidden_lr", "p_baseline", "weight_fa_std", "weight_fa_learning", "kappa", "exact_differences")
)


@training_options(
    dataset="image_folder", datasets=("image_folder",), epochs=50, original=EPOCHS, resume_file=True
)
class ImageNetOptions(BurstpropOptions):
    """What train_imagenet takes beside what the other scripts do: the original's, then ours."""

    data_path: Path | None = argument(
        same_as="data_dir",
        optional_with=("dataset",),
        help="Folder that holds train/ and val/, one folder a class.",
    )
    batch_size: int = number("-batch_size", batch, 128, "Images a step, in all, and a test batch.")
    weight_fa_std: float = number(
        "-weight_fa_std",
        float,
        0.01,
        "Standard deviation of the initial feedback weights; 0 or less: they are drawn like the "
        "forward ones.",
    )
    weight_decay: float = number("-weight_decay", nonnegative, 1e-4, "Weight decay of SGD.")
    kappa: float = number(
        "-kappa",
        positive,
        1e-5,
        "Factor of the teaching signal at the output, undone one layer below.",
    )
    use_adam: bool = flag("-use_adam", False, "Adam in the place of SGD.")
    resume_path: Path | None = option(
        "-resume_path",
        type=path,
        numbers=False,
        help="Go on from a checkpoint.pth.tar, the original's or ours.",
    )
    workers: int = option(
        type=workers,
        default=4,
        numbers=False,
        original=False,
        help="Processes that read images; 0: none but this one.",
    )
    check_data: bool = check_data_option()
    width: float = option(
        type=factor, default=1.0, original=False, help="Factor of the convolutions' channels."
    )
    image_size: int = option(
        type=Number(int, SMALLEST, most=LARGEST_SIDE),
        default=224,
        original=False,
        help="Side of the images.",
    )
    switches: Fidelity = switch_options(Fidelity)

    def completed(self) -> Self:
        """`--resume FILE` is `-resume_path FILE`. UsageError for what does not go together."""
        chosen = super().completed()
        if self.resume is not None and self.resume.is_file():
            chosen = replace(self, resume_path=self.resume, resume=None)
        start = chosen.resume_path
        if not chosen.resume and start and not start.is_file():
            raise UsageError(
                f"option -resume_path (={start}) must be a checkpoint's file; --resume DIR goes on "
                "with a run"
            )
        exact = self.switches.exact_differences or self.use_backprop
        if self.precision == "bfloat16" and not exact:
            raise UsageError(
                "option --precision (=bfloat16) must be float32 or float64 with "
                "--no-exact-differences: nothing would be left of the differences"
            )
        return chosen

    def ineffective(self) -> list[str]:
        """Typed options that this run does not read."""
        unread = set(BURSTPROP_ONLY) if self.use_backprop else set()
        if self.use_adam:
            unread |= {"momentum", "weight_decay"}
        return sorted(unread & self.call.typed)
