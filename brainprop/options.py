"""The command line of `brainprop.main`, its two interfaces made one; no framework."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from brainprop.fidelity import Fidelity
from brainprop.files import inputs
from brainprop.recipes import (
    ALGORITHMS,
    ARCHITECTURES,
    NAMES,
    PAIRS,
    configuration,
)
from common.cli import Options, argument, option
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
    seed,
    threads,
    together,
)
from common.cli.switches import switch_options
from common.cli.training_options import training_options
from common.errors import UsageError, unknown

WHAT = "DATASET ARCHITECTURE LEARNING_ALGORITHM | INPUT_FILE"
# Options that the pair decides where nobody does.
FILLED = ("batch_size", "learning_rate", "halve_every", "patience", "min_delta", "epsilon", "std",
          "l2")  # fmt: skip

# What the variables of an input file may be.
TYPES: dict[str, Any] = {
    "architecture": choice(*ARCHITECTURES),
    "learning_algorithm": choice(*ALGORITHMS),
    **dict.fromkeys(("epochs", "halve_every", "patience"), positive_int),
    "batch_size": batch,
    **dict.fromkeys(("learning_rate", "std"), positive),
    **dict.fromkeys(("min_delta", "l2"), nonnegative),
    **dict.fromkeys(("epsilon", "val_split"), fraction),
    **dict.fromkeys(("save_plots", "save_history", "save_weights"), boolean),
    "seed": seed,
}


def brainprop_options(function: Callable) -> Callable:
    """A decorator: words, the original's options, ours, the common ones and the switches."""
    return together(
        training_options(
            dataset="mnist",
            datasets=[name for name in PAIRS if name != "digits"],
            epochs=500,
            seed=1,
        ),
        argument("words", nargs=-1, type=str, required=False, metavar=WHAT),
        option("-l", "--load", type=path, default=None, bare="",
               help="Only evaluate these weights (.h5, .safetensors or a run); with an input "
               "file the name may be left out."),
        option("-s", "--save", is_flag=True, default=False,
               help="Save the plot of accuracies, history and weights in this folder."),
        option("--save-plots", is_flag=True, default=False, original=False,
               help="Of these the plot alone."),
        option("--save-history", is_flag=True, default=False, original=False,
               help="Of these the history alone."),
        option("--save-weights", is_flag=True, default=False, original=False,
               help="Of these the weights alone."),
        option("--architecture", type=choice(*ARCHITECTURES), default=None, original=False,
               show_default="conv where only --data is given", help="As the second word."),
        option("--learning-algorithm", "--algorithm", type=choice(*ALGORITHMS),
               default="BrainProp", original=False, help="As the third word."),
        option("--batch-size", type=batch, default=None, show_default="128; loccon 32",
               original=False, help="Images a step, the nominal B."),
        option("--learning-rate", "--lr", type=positive, default=None, show_default="0.1",
               original=False, help="In the first epochs."),
        option("--halve-every", type=positive_int, default=None, show_default="100",
               original=False, help="Epochs between two halvings of the rate."),
        option("--patience", type=positive_int, default=None, show_default="45",
               original=False, help="Epochs without improvement before training stops."),
        option("--min-delta", type=nonnegative, default=None, show_default="0.001",
               original=False, help="What counts as an improvement (a fraction)."),
        option("--val-split", type=fraction, default=0.0, original=False,
               help="Part of the training set held out to validate on; 0: the test set "
               "validates, as in the original (brainprop, D7)."),
        option("--epsilon", type=fraction, default=None, show_default="0.02", original=False,
               help="How often an action is drawn."),
        option("--std", type=positive, default=None, show_default="0.005; dense 0.01",
               original=False, help="Of the first weights."),
        option("--l2", type=nonnegative, default=None, show_default="0; deep 5e-4",
               original=False, help="Penalty on every kernel."),
        option("--width", type=factor, default=1.0, original=False,
               help="Factor of the hidden layers' widths."),
        option("--feedback", type=choice("shared", "separate"), default="shared",
               original=False, help="Errors go down through the forward weights, or through "
               "weights of their own that learn reciprocally."),
        option("--feedback-decay", type=nonnegative, default=1e-3, original=False,
               help="Decay of both with separate feedback."),
        option("--devices", type=threads, default=1, original=False,
               help="Divide each batch among so many (logical CPU devices without GPUs)."),
        option("--jit-compile", is_flag=True, default=False, original=False,
               help="Compile the step with XLA (slower on CPUs)."),
        option("--classes", type=path, default=None, original=False,
               help="With -l: a file that names the classes, one a line, in the order in which "
               "the weights number them."),
        switch_options(Fidelity),
    )(function)  # fmt: skip


def resolve(options: Options) -> Options:
    """Both interfaces to one configuration: words and input file become options.

    What is typed as an option overrides an input file and a word. UsageError for words that say
    nothing, a pair that the original does not have, or an option's value in an input file.
    """
    words = list(options.words or ())
    options.input_file = inputs.find(words[0]) if len(words) == 1 else None
    options.input_weights = None
    if options.resume:
        return options
    if options.load is not None and not words and inputs.find(str(options.load)):
        words, options.load = [str(options.load)], None  # `-l inputs_MNIST.py`
        options.input_file = inputs.find(words[0])
    if options.input_file:
        _take_file(options, options.input_file)
    else:
        _take_words(options, words)
        if "load" in options.typed and options.load is None:
            raise UsageError("option -l needs a value: a file of weights (only an input file knows "
                             "the name itself)")  # fmt: skip
    chosen = configuration(options.dataset, options.architecture, options.learning_algorithm)
    for name in FILLED:
        if getattr(options, name) is None:
            setattr(options, name, getattr(chosen, name))
    for name in ("save_plots", "save_history", "save_weights"):
        setattr(options, name, options.save or getattr(options, name))
    return _checked(options)


def _take_words(options: Options, words: list[str]) -> None:
    if "dataset" in options.typed and len(words) == 2:
        words = [options.dataset, *words]
    if not words and options.typed & {"dataset", "architecture"}:
        options.architecture = options.architecture or "conv"
        return
    if len(words) != 3:
        given = f" (={' '.join(words)})" if words else ""
        if len(words) == 1:
            raise UsageError(f"argument{given} must be an input file, here or in the package, "
                             "or be followed by ARCHITECTURE LEARNING_ALGORITHM")  # fmt: skip
        raise UsageError(f"arguments{given} must be {WHAT}")
    kinds = (("dataset", {NAMES[name]: name for name in PAIRS}),
             ("architecture", {name: name for name in ARCHITECTURES}),
             ("learning_algorithm", {name: name for name in ALGORITHMS}))  # fmt: skip
    for (name, allowed), word in zip(kinds, words, strict=True):
        value = _matching(f"argument {name.upper()}", word, allowed)
        if name not in options.typed:
            setattr(options, name, value)


def _matching(what: str, word: str, allowed: dict[str, str]) -> str:
    """The value that a word means, whatever its case, dashes and underscores."""

    def fold(text: str) -> str:
        return text.lower().replace("_", "").replace("-", "")

    found = {fold(n): value for shown, value in allowed.items() for n in (shown, value)}
    if fold(word) not in found:
        raise unknown(what, word, allowed)
    return found[fold(word)]


def _take_file(options: Options, file: Path) -> None:
    values = inputs.read(file)
    options.input_weights = values.pop(inputs.WEIGHTS, None)
    known = {NAMES[name]: name for name in PAIRS}
    for name, value in values.items():
        if name in options.typed:
            continue
        if name == "dataset":
            value = _matching(f"{file}: variable dataset", str(value), known)
        else:
            value = _converted(name, value, file)
        setattr(options, name, value)


def _converted(name: str, value: Any, file: Path) -> Any:
    try:
        return TYPES[name].convert(value, None, None)
    except UsageError as error:
        variable = next(v for v, option in inputs.OPTIONS.items() if option == name)
        message = str(error).removeprefix("value ")
        raise UsageError(f"{file}: variable {variable} {message}") from None


def _checked(options: Options) -> Options:
    if options.learning_algorithm == "EBP" and options.feedback == "separate":
        raise UsageError("option --feedback (=separate) must be shared with EBP: it is backprop")
    if options.val_split >= 1:
        raise UsageError(f"option --val-split (={options.val_split}) must be below 1")
    if options.devices > 1 and options.jit_compile:
        raise UsageError("option --jit-compile must not be used with --devices: it compiles one")
    if options.classes is not None and options.load is None:
        raise UsageError("option --classes goes with -l only")
    return options
