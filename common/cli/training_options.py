"""The options that every training script has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar, dataclass_transform

from common.cli.options import (
    Declared,
    Options,
    declare,
    declared,
    option,
    usual,
    with_default,
)
from common.cli.params import Choice, Device, path, positive_int
from common.cli.params import seed as seed_type
from common.cli.params import threads as threads_type
from common.files.paths import data_root

PRECISIONS = ("float32", "float64", "bfloat16")
ALIASES = {"fmnist": "fashion_mnist"}
T = TypeVar("T")

# How a run is written and watched; what alters its numbers says so.
_common = partial(option, group="Common options", original=False, numbers=False)
_flag = partial(_common, default=False, show_default=False)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options):
    """The common options; `training_options` fits them to a script."""

    RESUME_FILE: ClassVar[bool] = False  # whether --resume may name an original's checkpoint
    # Options that are no more -> the value with which a run that recorded them can go on.
    RETIRED: ClassVar[Mapping[str, Any]] = {}

    dataset: str = _common(
        "--dataset",
        "--data",
        type=Choice("digits"),
        default="digits",
        numbers=True,
        help="Data set; digits needs no download.",
    )
    data_dir: Path = _common(
        type=path,
        default=data_root,
        show_default="$CREDITLAB_DATA or ./data",
        help="Folder of the data sets.",
    )
    no_download: bool = _flag(
        "--no-download/--download", help="Fail where data are missing instead of fetching them."
    )
    out: Path | None = _common(
        type=path, show_default="runs/PAPER/NAME-SEED", help="Directory of this run."
    )
    resume: Path | None = _common(type=path, help="Go on with the run in this directory.")
    allow_change: tuple[str, ...] = _common(
        multiple=True, metavar="NAME", help="Let this option alter the numbers (with --resume)."
    )
    seed: int = _common(type=seed_type, default=0, numbers=True, help="Seed of everything random.")
    epochs: int = _common(type=positive_int, default=1, help="Passes through the training set.")
    limit_train: int | None = _common(
        type=positive_int, numbers=True, help="Train on so many images only."
    )
    limit_test: int | None = _common(
        type=positive_int, numbers=True, help="Test on so many images only."
    )
    device: str | int = _common(type=Device(), default="auto", help=f"Device: {Device.expected}.")
    threads: int | None = _common(
        type=threads_type, show_default="the framework's", help="CPU threads."
    )
    precision: str = _common(
        type=Choice(*PRECISIONS), default="float32", numbers=True, help="Number format."
    )
    deterministic: bool = _flag(
        "--deterministic/--no-deterministic", help="Use only kernels that repeat bit for bit."
    )
    audit: bool = _flag(
        "--audit/--no-audit",
        help="Compare the rule's updates with backprop's gradients, once an epoch.",
    )
    audit_every: int | None = _common(
        type=positive_int, help="Audit every so many steps (implies --audit)."
    )
    audit_images: int = _common(
        type=positive_int,
        default=512,
        help="Audit on so many training images, the same every time.",
    )
    checkpoint_every: int | None = _common(
        type=positive_int, show_default="once an epoch", help="Steps between checkpoints."
    )
    quiet: bool = _flag("--quiet/--no-quiet", help="Show no progress bars.")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def training_options(
    *,
    datasets: Sequence[str] = ("digits",),
    without: Sequence[str] = (),
    original: Mapping[str, Sequence[str]] | None = None,
    epochs_alter_numbers: bool = False,
    resume_file: bool = False,
    **defaults: Any,
) -> Callable[[type[T]], type[T]]:
    """A class decorator: makes a subclass of TrainingOptions the frozen dataclass of a script.

    datasets: the choices of --dataset; `digits` is added to them.
    without: names (`limit_train`) of options that the script does not have; the fields stay, with
        the value that they have where nobody says otherwise.
    original: which of these options the paper's program had, each with its own further spellings
        ({"epochs": ("-n_epochs",), "device": ()}).
    epochs_alter_numbers: the schedule depends on the number of epochs: more of them are a change.
    resume_file: --resume may also name an original's checkpoint file; `options.resume` is then
        that file and everything else comes from the command line.
    defaults: default values of the other options by name (epochs=100, seed=1234).
    """
    theirs, fixed = original or {}, {*without, *(["audit_images"] if "audit" in without else [])}
    known = declared(TrainingOptions)
    for asked in (*fixed, *theirs, *defaults):
        if asked not in known:
            raise TypeError(f"training_options has no {asked!r}; it has {', '.join(known)}")

    def fitted(name: str, about: Declared) -> Any:
        if name in fixed:
            return with_default(usual(about.attrs), {})
        attrs = {**about.attrs, "original": name in theirs}
        if name in defaults:
            attrs["default"] = defaults[name]
        if name == "dataset":
            attrs["type"] = Choice(*datasets, *({"digits"} - set(datasets)), aliases=ALIASES)
        if name == "epochs":
            attrs["numbers"] = epochs_alter_numbers
        if name == "resume" and resume_file:
            attrs["help"] = (
                "Go on with a checkpoint file of the original program, or the run in "
                "this directory."
            )
        spellings = about.spellings or (f"--{name.replace('_', '-')}",)
        return declare(about._replace(spellings=(*spellings, *theirs.get(name, ())), attrs=attrs))

    def decorate(cls: type[T]) -> type[T]:
        for name, about in known.items():
            if name not in cls.__dict__:  # else the script declares it itself
                setattr(cls, name, fitted(name, about))
                cls.__annotations__[name] = TrainingOptions.__annotations__[name]
        cls.RESUME_FILE = resume_file  # type: ignore[attr-defined]
        return dataclass(frozen=True, kw_only=True)(cls)

    return decorate


def check_data_option() -> Any:
    """The field, for scripts that decode images as they need them; the others decode all of them
    before they train."""
    return option(
        "--check-data/--no-check-data",
        default=False,
        show_default=False,
        numbers=False,
        original=False,
        help="Decode every image before the first step, and name those that do not decode.",
    )
