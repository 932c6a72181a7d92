"""The options that every training script has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common.cli.params import Choice, Device, option, path, positive_int
from common.cli.params import seed as seed_type
from common.cli.params import threads as threads_type
from common.files.paths import data_root

PRECISIONS = ("float32", "float64", "bfloat16")
ALIASES = {"fmnist": "fashion_mnist"}


def training_options(
    *,
    dataset: str = "digits",
    datasets: Sequence[str] = ("digits",),
    without: Sequence[str] = (),
    original: Mapping[str, Sequence[str]] | None = None,
    epochs_alter_numbers: bool = False,
    resume_file: bool = False,
    **defaults: Any,
) -> Callable:
    """A decorator that adds the common options, in the order below.

    datasets: the choices of --dataset; `digits` is added to them.
    without: names (`limit_train`) of options that the script does not have or declares itself.
    original: which of these options the paper's program had, each with its own further spellings
        ({"epochs": ("-n_epochs",), "device": ()}).
    epochs_alter_numbers: the schedule depends on the number of epochs: more of them are a change.
    resume_file: --resume may also name an original's checkpoint file; `options.resume` is then
        that file and everything else comes from the command line.
    defaults: default values of the other options by name (epochs=100, seed=1234).
    """
    table: dict[str, dict[str, Any]] = {}

    def add(name: str, help: str, *, numbers: bool = False, **attrs: Any) -> None:
        table[name] = {"help": help, "numbers": numbers, **attrs}

    choices = Choice(*datasets, *({"digits"} - set(datasets)), aliases=ALIASES)
    from_file = "a checkpoint file of the original program, or " if resume_file else ""
    once = "once an epoch"
    add("dataset", "Data set; digits needs no download.", numbers=True, type=choices)
    add("data_dir", "Folder of the data sets.", type=path, show_default="$CREDITLAB_DATA or ./data")
    add("no_download", "Fail where data are missing instead of fetching them.")
    add("out", "Directory of this run.", type=path, show_default="runs/PAPER/NAME-SEED")
    add("resume", f"Go on with {from_file}the run in this directory.", type=path)
    add("allow_change", "With --resume: let this option alter the numbers.", multiple=True)
    add("seed", "Seed of everything random.", numbers=True, type=seed_type)
    add("epochs", "Passes through the training set.", numbers=epochs_alter_numbers)
    add("limit_train", "Train on so many images only.", numbers=True, type=positive_int)
    add("limit_test", "Test on so many images only.", numbers=True, type=positive_int)
    add("device", f"{Device.expected}.", type=Device())
    add("threads", "CPU threads.", type=threads_type, show_default="the framework's")
    add("precision", "Number format.", numbers=True, type=Choice(*PRECISIONS))
    add("deterministic", "Use only kernels that repeat bit for bit.")
    add("audit", f"Compare the rule's updates with backprop's gradients, {once}.")
    add("audit_every", "Audit every so many steps (implies --audit).", type=positive_int)
    add("audit_images", "Audit on so many training images, the same every time.", type=positive_int)
    add("checkpoint_every", "Steps between checkpoints.", type=positive_int, show_default=once)
    add("quiet", "No progress bars.")
    table["epochs"]["type"] = positive_int
    table["allow_change"]["metavar"] = "NAME"
    values = {"dataset": dataset, "data_dir": data_root, "seed": 0, "device": "auto"}
    values |= {"precision": "float32", "audit_images": 512, **defaults}
    spellings = {"dataset": "--dataset --data", "no_download": "--no-download/--download"}
    for name in ("deterministic", "audit", "quiet"):
        spellings[name] = f"--{name}/--no-{name}"
    for name in ("no_download", "deterministic", "audit", "quiet"):
        table[name]["show_default"] = False
    theirs = original or {}
    without = (*without, *(["audit_images"] if "audit" in without else []))
    for asked in (*without, *theirs, *values):
        if asked not in table:
            raise TypeError(f"training_options has no {asked!r}; it has {', '.join(table)}")

    def decorate(function: Callable) -> Callable:
        for name in reversed([name for name in table if name not in without]):
            spelled = spellings.get(name, f"--{name.replace('_', '-')}").split()
            attrs = {**table[name], "group": "Common options", "original": name in theirs}
            if name in values:
                attrs["default"] = values[name]
            function = option(*spelled, *theirs.get(name, ()), name, **attrs)(function)
        function.resume_file = resume_file  # type: ignore[attr-defined]
        return function

    return decorate


def check_data_option() -> Callable[[Any], Any]:
    """The option, for scripts that decode images as they need them; the others decode all of them
    before they train."""
    return option(
        "--check-data/--no-check-data",
        default=False,
        show_default=False,
        numbers=False,
        original=False,
        help="Decode every image before the first step, and name those that do not decode.",
    )
