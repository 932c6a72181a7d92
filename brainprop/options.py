"""The command line of `brainprop.main`, its two interfaces made one; no framework."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from brainprop.fidelity import Fidelity
from brainprop.files import inputs
from brainprop.recipes import ALGORITHMS, ARCHITECTURES, NAMES, PAIRS, recipe
from common.cli import argument, option
from common.cli.params import (
    batch,
    boolean,
    choice,
    factor,
    fraction,
    nonnegative,
    path,
    positive,
    positive_int,
)
from common.cli.params import seed as seed_type
from common.cli.switches import switch_options
from common.cli.training_options import TrainingOptions, training_options
from common.errors import UsageError, unknown

WHAT = "DATASET ARCHITECTURE LEARNING_ALGORITHM | INPUT_FILE"
SAVES = ("save_plots", "save_history", "save_weights")
ours = partial(option, original=False)
DATASETS = {NAMES[name]: name for name in PAIRS}

# What the variables of an input file may be.
TYPES: dict[str, Any] = {
    "architecture": choice(*ARCHITECTURES),
    "learning_algorithm": choice(*ALGORITHMS),
    **dict.fromkeys(("epochs", "halve_every", "patience"), positive_int),
    "batch_size": batch,
    **dict.fromkeys(("learning_rate", "std"), positive),
    **dict.fromkeys(("min_delta", "l2"), nonnegative),
    **dict.fromkeys(("epsilon", "val_split"), fraction),
    **dict.fromkeys(SAVES, boolean),
    "seed": seed_type,
}


@training_options(
    dataset="mnist", datasets=[name for name in PAIRS if name != "digits"], epochs=500, seed=1
)
class MainOptions(TrainingOptions):
    """What brainprop.main takes.

    The architecture and what the recipe decides are None until `completed` fills them in.
    """

    RETIRED: ClassVar[Mapping[str, Any]] = {"devices": 1}

    words: tuple[str, ...] = argument(
        nargs=-1,
        type=str,
        required=False,
        metavar=WHAT,
        help="Data set, network and learning rule, or an input file.",
    )
    load: Path | None = option(
        "-l",
        "--load",
        type=path,
        bare="",
        help="Only evaluate these weights (.h5, .safetensors or a run); with an input file the "
        "name may be left out.",
    )
    save: bool = option(
        "-s",
        "--save",
        is_flag=True,
        default=False,
        help="Save the plot of accuracies, history and weights in this folder.",
    )
    save_plots: bool = ours(is_flag=True, default=False, help="Save the plot of accuracies alone.")
    save_history: bool = ours(is_flag=True, default=False, help="Save the history alone.")
    save_weights: bool = ours(is_flag=True, default=False, help="Save the weights alone.")
    architecture: str = ours(
        type=choice(*ARCHITECTURES),
        show_default="conv where only --data is given",
        help="Network, as the second word.",
    )
    learning_algorithm: str = ours(
        "--learning-algorithm",
        "--algorithm",
        type=choice(*ALGORITHMS),
        default="BrainProp",
        help="Learning rule, as the third word.",
    )
    batch_size: int = ours(
        type=batch, show_default="128; loccon 32", help="Images a step, the nominal B."
    )
    learning_rate: float = ours(
        "--learning-rate",
        "--lr",
        type=positive,
        show_default="0.1",
        help="Learning rate of the first epochs.",
    )
    halve_every: int = ours(
        type=positive_int, show_default="100", help="Epochs between two halvings of the rate."
    )
    patience: int = ours(
        type=positive_int,
        show_default="45",
        help="Epochs without improvement before training stops.",
    )
    min_delta: float = ours(
        type=nonnegative, show_default="0.001", help="What counts as an improvement (a fraction)."
    )
    val_split: float = ours(
        type=fraction,
        default=0.0,
        help="Part of the training set held out to validate on; 0: the test set validates, as in "
        "the original (brainprop, D7).",
    )
    epsilon: float = ours(type=fraction, show_default="0.02", help="How often an action is drawn.")
    std: float = ours(
        type=positive,
        show_default="0.005; dense 0.01",
        help="Standard deviation of the first weights.",
    )
    l2: float = ours(type=nonnegative, show_default="0; deep 5e-4", help="Penalty on every kernel.")
    width: float = ours(type=factor, default=1.0, help="Factor of the hidden layers' widths.")
    feedback: str = ours(
        type=choice("shared", "separate"),
        default="shared",
        help="Errors go down through the forward weights, or through weights of their own that "
        "learn reciprocally.",
    )
    feedback_decay: float = ours(
        type=nonnegative,
        default=1e-3,
        help="Decay of forward and feedback weights with separate feedback.",
    )
    jit_compile: bool = ours(
        is_flag=True, default=False, help="Compile the step with XLA (slower on CPUs)."
    )
    classes: Path | None = ours(
        type=path,
        help="File that names the classes, one a line, in the order in which the "
        "weights number them.",
    )
    switches: Fidelity = switch_options(Fidelity)
    input_file: Path | None = None
    input_weights: Path | None = None  # those that the input file noted

    @property
    def evaluates(self) -> bool:
        """Whether -l asks for a test instead of training."""
        return self.load is not None or "load" in self.call.typed

    def completed(self) -> Self:
        """Both interfaces to one configuration: words and input file become options.

        What is typed as an option overrides an input file and a word. UsageError for words that say
        nothing, a pair that the original does not have, or an option's value in an input file.
        """
        load, typed = self.load, self.call.typed
        file = inputs.find(self.words[0]) if len(self.words) == 1 else None
        if self.resume:
            return replace(self, input_file=file).checked()
        if load is not None and not self.words and (file := inputs.find(str(load))):
            load = None  # `-l inputs_MNIST.py`
        values = from_file(file, typed) if file else self._from_words()
        if not file and load is None and "load" in typed:
            raise UsageError(
                "option -l needs a value: a file of weights (only an input file knows the name "
                "itself)"
            )
        settled = replace(self, load=load, input_file=file, **values)
        usual = recipe(settled.dataset, settled.architecture, settled.learning_algorithm)
        filled = {n: value for n, value in asdict(usual).items() if getattr(settled, n) is None}
        filled |= {name: settled.save or getattr(settled, name) for name in SAVES}
        return replace(settled, **filled).checked()

    def _from_words(self) -> dict[str, str]:
        """The options that DATASET ARCHITECTURE LEARNING_ALGORITHM stand for."""
        words: Sequence[str] = self.words
        if "dataset" in self.call.typed and len(words) == 2:
            words = [self.dataset, *words]
        if not words and (self.call.typed & {"dataset", "data_dir"} or self.architecture):
            return {"architecture": self.architecture or "conv"}
        if len(words) != 3:
            given = f" (={' '.join(words)})" if words else ""
            if len(words) == 1:
                raise UsageError(
                    f"argument{given} must be an input file, here or in the package, or be "
                    "followed by ARCHITECTURE LEARNING_ALGORITHM"
                )
            raise UsageError(f"arguments{given} must be {WHAT}")
        meanings = {
            "dataset": DATASETS,
            "architecture": {name: name for name in ARCHITECTURES},
            "learning_algorithm": {name: name for name in ALGORITHMS},
        }
        chosen = {
            name: matching(f"argument {name.upper()}", word, meanings[name])
            for name, word in zip(meanings, words, strict=True)
        }
        return {name: value for name, value in chosen.items() if name not in self.call.typed}

    def checked(self) -> Self:
        """Itself. UsageError for values that do not go together."""
        if self.learning_algorithm == "EBP" and self.feedback == "separate":
            raise UsageError(
                "option --feedback (=separate) must be shared with EBP: it is backprop"
            )
        if self.val_split >= 1:
            raise UsageError(f"option --val-split (={self.val_split}) must be below 1")
        if not 0 <= self.switches.third_dropout < 1:
            rate = self.switches.third_dropout
            raise UsageError(f"option --third-dropout (={rate}) must be from 0 to below 1")
        if self.classes is not None and self.load is None:
            raise UsageError("option --classes goes with -l only")
        return self


def matching(what: str, word: str, allowed: Mapping[str, str]) -> str:
    """The value that a word means, whatever its case, dashes and underscores."""

    def fold(text: str) -> str:
        return text.lower().replace("_", "").replace("-", "")

    spellings = {fold(n): value for shown, value in allowed.items() for n in (shown, value)}
    if fold(word) not in spellings:
        raise unknown(what, word, allowed)
    return spellings[fold(word)]


def from_file(file: Path, typed: Collection[str]) -> dict[str, Any]:
    """The options that an input file sets, but for those that are typed, and its `input_weights`.

    UsageError for a variable whose value its option cannot have.
    """
    values = inputs.read(file)
    weights = inputs.weights_beside(file, values.pop(inputs.WEIGHTS, None))
    kept = {name: value for name, value in values.items() if name not in typed}
    return {"input_weights": weights} | {
        name: matching(f"{file}: variable dataset", str(value), DATASETS)
        if name == "dataset"
        else converted(name, value, file)
        for name, value in kept.items()
    }


def converted(name: str, value: Any, file: Path) -> Any:
    """The value of an option's variable in an input file, as the option has it."""
    try:
        return TYPES[name].convert(value, None, None)
    except UsageError as error:
        variable = next(v for v, option in inputs.OPTIONS.items() if option == name)
        message = str(error).removeprefix("value ")
        raise UsageError(f"{file}: variable {variable} {message}") from None
