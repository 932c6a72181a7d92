"""The command line of s3net.imagenet.train and s3net.imagenet.validate_10crop; no framework."""

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

from common.cli import argument, option, variant
from common.cli import params as kinds
from common.cli.params import (
    Number,
    fraction,
    nonnegative,
    nonnegative_int,
    path,
    positive,
    positive_int,
    side,
)
from common.cli.switches import switch_options
from common.cli.training_options import TrainingOptions, check_data_option, training_options
from common.errors import UsageError
from s3net.imagenet.fidelity import Fidelity
from s3net.tasks import outputs_for

same_run = partial(option, numbers=False)  # with another value too
flag = partial(option, is_flag=True, default=False)
process = Number(int, -1)
RETRY = "start one process a GPU with torchrun --nproc-per-node N -m s3net.imagenet.train DATA"


@dataclass(frozen=True, kw_only=True)
class ImageNetOptions(TrainingOptions):
    """What both scripts take, beside the common options."""

    data: Path | None = argument(
        optional_with=("dataset", "train", "val"),
        type=path,
        help="Folder that holds train and val, as folders or lmdb.",
    )
    train: Path | None = option(
        "-t",
        "--train",
        type=path,
        show_default="DATA/train or DATA/train.lmdb",
        help="Training images: a folder with a folder a class, or lmdb.",
    )
    val: Path | None = option(
        "-v",
        "--val",
        type=path,
        show_default="DATA/val or DATA/val.lmdb",
        help="Validation images.",
    )
    arch: str = option(
        "-a",
        "--arch",
        default="s3net_new_big2",
        help="Network: of this paper (s3net_new1, s3net_new2, s3net_new_big, s3net_new_big2, "
        "s3net65, ...) or of torchvision.",
    )
    workers: int = same_run(
        "-j",
        "--workers",
        type=kinds.workers,
        default=16,
        help="Processes that read images, for all training processes together; at most one a CPU.",
    )
    check_data: bool = check_data_option()
    start_epoch: int = option(
        type=nonnegative_int, default=0, help="Epoch to begin with; a resumed file knows its own."
    )
    batch_size: int = option(
        "-b", "--batch-size", type=kinds.batch, default=156, help="Images a step, of all processes."
    )
    lr: float = option(
        "--lr",
        "--learning-rate",
        type=positive,
        default=0.1,
        help="Initial learning rate; a tenth after every 30 epochs.",
    )
    momentum: float = option(type=fraction, default=0.9, help="Momentum of SGD.")
    weight_decay: float = option(
        "--weight-decay",
        "--wd",
        type=nonnegative,
        default=1e-4,
        help="Every parameter's weight decay.",
    )
    print_freq: int = same_run(
        "-p", "--print-freq", type=nonnegative_int, default=10, help="Steps between lines; 0: none."
    )
    evaluate: bool = flag("-e", "--evaluate", numbers=False, help="Validate, and train nothing.")
    pretrained: bool = flag(help="Refused: no weights were published; --resume FILE takes yours.")
    world_size: int = same_run(
        type=process, default=-1, help="Number of processes: torchrun's --nproc-per-node says it."
    )
    rank: int = same_run(type=process, default=-1, help="Number of this process: torchrun says it.")
    dist_url: str | None = same_run(
        help="Accepts env:// alone: torchrun's --rdzv-endpoint says where processes meet."
    )
    dist_backend: str | None = same_run(
        type=("nccl", "gloo"),
        show_default="nccl on CUDA, gloo on the CPU",
        help="How processes talk.",
    )
    gpu: int | None = same_run(
        type=nonnegative_int, help="Number of the only GPU: the same as --device cuda:N."
    )
    multiprocessing_distributed: bool = flag(
        numbers=False, help="Refused: torchrun starts the processes."
    )
    image_size: int = option(type=side, default=224, original=False, help="Side of the crops.")
    num_classes: int | None = option(
        type=positive_int, original=False, show_default="the data's", help="The network's outputs."
    )
    compile: bool = flag(original=False, help="torch.compile the network.")
    switches: Fidelity = switch_options(Fidelity)
    weights: Path | None = None  # validate_10crop's --resume

    @property
    def network(self) -> str:
        """The name of the network: the original's --arch is a label, whatever it says."""
        return type(self).arch if self.switches.ignore_arch else self.arch

    def outputs(self, classes: int) -> int:
        """Of the network, for images of so many classes. ArgumentError for too few."""
        thousand = self.switches.thousand_outputs
        return outputs_for(
            classes, self.num_classes, "num_classes", "the images", thousand=thousand
        )

    def completed(self) -> Self:
        """Refuse what cannot be meant, in words that say what to type; --gpu is a device."""
        if self.pretrained:
            raise UsageError(
                "option --pretrained must be left out: no weights of these networks were "
                "published; --resume FILE starts from yours"
            )
        if self.multiprocessing_distributed:
            raise UsageError(f"option --multiprocessing-distributed must be left out: {RETRY}")
        same = (str(self.gpu), f"cuda:{self.gpu}")
        if self.gpu is not None and "device" in self.call.typed and str(self.device) not in same:
            raise UsageError(f"option --gpu (={self.gpu}) contradicts --device {self.device}")
        for name, given, single in (("world-size", self.world_size, 1), ("rank", self.rank, 0)):
            known = int(os.environ.get(name.upper().replace("-", "_"), -1))
            if given not in (-1, known) and not (known == -1 and given == single):
                raise UsageError(f"option --{name} (={given}) must be left out: {RETRY}")
        if self.dist_url not in (None, "env://"):
            raise UsageError(
                f"option --dist-url (={self.dist_url}) must be left out, or be env://: "
                "torchrun's --rdzv-endpoint says where processes meet"
            )
        return self if self.gpu is None else replace(self, device=self.gpu)


@training_options(
    dataset="imagenet",
    datasets=("imagenet",),
    original={"seed": (), "epochs": (), "resume": ()},
    epochs=180,
    resume_file=True,
)
class TrainOptions(ImageNetOptions):
    """What train takes."""


@training_options(
    dataset="imagenet",
    datasets=("imagenet",),
    original={"seed": (), "epochs": ()},
    without=("out", "resume", "allow_change", "audit", "audit_every", "checkpoint_every"),
    epochs=150,
    resume_file=True,
)
class _TenCropsOptions(ImageNetOptions):
    """What validate_10crop takes."""

    weights: Path | None = option("--resume", type=path, help="The trained network.")


TenCropsOptions = variant(_TenCropsOptions, arch="s3net_new1", batch_size=64)
