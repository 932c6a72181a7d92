"""The one parser of s3net.imagenet.train and s3net.imagenet.validate_10crop."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from common.cli import argument, option
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
    together,
    workers,
)
from common.cli.switches import switch_options
from common.cli.training_options import check_data_option, training_options
from common.errors import UsageError
from s3net.imagenet.fidelity import Fidelity

DATASETS = ("imagenet",)
RETRY = "start one process a GPU with torchrun --nproc-per-node N -m s3net.imagenet.train DATA"


def imagenet_options(
    *, arch: str, epochs: int, batch: int, without: Sequence[str] = ()
) -> Callable[[Callable], Callable]:
    """A decorator: every option of the original, with a script's own defaults.

    without: common options that the script does not have.
    """
    return together(
        training_options(
            dataset="imagenet",
            datasets=DATASETS,
            original={
                name: () for name in ("seed", "epochs", "resume") if name not in without
            },
            without=without,
            epochs=epochs,
            resume_file=True,
        ),
        argument("data", required=True, optional_with=("dataset", "train", "val"), type=path),
        option("-t", "--train", type=path, default=None, show_default="DATA/train or "
               "DATA/train.lmdb", help="Training images: a folder with a folder a class, or lmdb."),
        option("-v", "--val", type=path, default=None, show_default="DATA/val or DATA/val.lmdb",
               help="Validation images."),
        option("-a", "--arch", default=arch, help="Network: of this paper (s3net_new1, "
               "s3net_new2, s3net_new_big, s3net_new_big2, s3net65, ...) or of torchvision."),
        option("-j", "--workers", type=workers, default=16, numbers=False,
               help="Processes that read images, for all training processes together; never more "
               "than there are CPUs."),
        check_data_option(),
        option("--start-epoch", type=nonnegative_int, default=0,
               help="Epoch to begin with; a resumed file knows its own."),
        option("-b", "--batch-size", type=kinds.batch, default=batch,
               help="Images a step, over all processes."),
        option("--lr", "--learning-rate", "lr", type=positive, default=0.1,
               help="Initial learning rate; a tenth after every 30 epochs."),
        option("--momentum", type=fraction, default=0.9, help="Of SGD."),
        option("--weight-decay", "--wd", "weight_decay", type=nonnegative, default=1e-4,
               help="On every parameter."),
        option("-p", "--print-freq", type=nonnegative_int, default=10, numbers=False,
               help="Steps between two lines; 0: none."),
        option("-e", "--evaluate", is_flag=True, default=False, numbers=False,
               help="Validate, and train nothing."),
        option("--pretrained", is_flag=True, default=False,
               help="Refused: no weights were published; --resume FILE takes yours."),
        option("--world-size", type=Number(int, -1), default=-1, numbers=False,
               help="Processes: torchrun's --nproc-per-node says it."),
        option("--rank", type=Number(int, -1), default=-1, numbers=False,
               help="Of this process: torchrun says it."),
        option("--dist-url", default=None, numbers=False,
               help="Only env://: torchrun's --rdzv-endpoint says where processes meet."),
        option("--dist-backend", type=("nccl", "gloo"), default=None, numbers=False,
               show_default="nccl on CUDA, gloo on the CPU", help="How processes talk."),
        option("--gpu", type=nonnegative_int, default=None, numbers=False,
               help="The only GPU: the same as --device cuda:N."),
        option("--multiprocessing-distributed", is_flag=True, default=False, numbers=False,
               help="Refused: torchrun starts the processes."),
        option("--image-size", type=side, default=224, original=False,
               help="Side of the crops."),
        option("--num-classes", type=positive_int, default=None, original=False,
               show_default="the data's", help="Outputs."),
        option("--compile", is_flag=True, default=False, original=False,
               help="torch.compile the network."),
        switch_options(Fidelity),
    )  # fmt: skip


def settle(options: Any, environment: Any = os.environ) -> None:
    """Refuse what cannot be meant, in words that say what to type; --gpu becomes a device."""
    if options.pretrained:
        raise UsageError("option --pretrained must be left out: no weights of these networks were "
                         "published; --resume FILE starts from yours")  # fmt: skip
    if options.multiprocessing_distributed:
        raise UsageError(f"option --multiprocessing-distributed must be left out: {RETRY}")
    if options.gpu is not None:
        if "device" in options.typed and str(options.device) not in (
            str(options.gpu),
            f"cuda:{options.gpu}",
        ):
            raise UsageError(f"option --gpu (={options.gpu}) contradicts --device {options.device}")
        options.device = options.gpu
    for name, variable in (("world_size", "WORLD_SIZE"), ("rank", "RANK")):
        given, known = getattr(options, name), int(environment.get(variable, -1))
        alone = known == -1 and given == {"world_size": 1, "rank": 0}[name]
        if given not in (-1, known) and not alone:
            raise UsageError(
                f"option --{name.replace('_', '-')} (={given}) must be left out: {RETRY}"
            )
    if options.dist_url not in (None, "env://"):
        raise UsageError(f"option --dist-url (={options.dist_url}) must be left out, or be env://: "
                         "torchrun's --rdzv-endpoint says where processes meet")  # fmt: skip
