"""The older interface: an input file is a Python module of plain variables that says what to train.

    dataset = "MNIST"              architecture = "dense"      learning_algorithm = "BrainProp"
    epochs = 500                   batch_dim = 128             learning_rate = 0.1
    seed = 1                       save_weights = True         ...

It is looked for beside the caller, then in this package, with or without `.py`. It is run as
Python: whoever is given one by somebody else should read it first. With save_weights, training
adds the name of the weights to the file (weights_file), and `-l` evaluates those.
"""

import runpy
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from common.doors.arguments import shown
from common.errors import UsageError, UserError, unknown
from common.files.paths import home
from common.files.writing import write_text

# Variable of an input file -> the option that it sets.
OPTIONS = {"batch_dim": "batch_size"} | {
    name: name
    for name in (
        *("dataset", "architecture", "learning_algorithm", "epochs", "batch_size", "learning_rate"),
        *("halve_every", "patience", "min_delta", "epsilon", "l2", "std", "seed", "val_split"),
        *("save_plots", "save_history", "save_weights"),
    )
}
WEIGHTS = "weights_file"
PACKAGE = Path(__file__).parents[1]


def find(name: str) -> Path | None:
    """The input file that a word names, beside the caller or in the package; None if none."""
    if name.endswith((".h5", ".safetensors")):
        return None
    spellings = [name] if name.endswith(".py") else [f"{name}.py", name]
    folders = [Path()] + ([PACKAGE] if Path(name).name.startswith("inputs_") else [])
    candidates = [folder / spelling for folder in folders for spelling in spellings]
    return next((path for path in candidates if home(path).is_file()), None)


def read(path: Path) -> dict[str, Any]:
    """Run an input file; option's name -> value, and `weights_file` where it has one.

    Values are plain ones or NumPy's scalars; imports and functions of the file's own are let be.
    Raises UserError for a file that does not run, UsageError for a variable that says nothing here
    or whose value is none of those.
    """
    try:
        variables = runpy.run_path(str(home(path)))
    except KeyboardInterrupt:  # the person at the keyboard
        raise
    except BaseException as error:  # whatever a stranger's file may raise, exit() as well
        raise UserError(
            f"{path}: does not run as Python ({type(error).__name__}: {error})"
        ) from error
    values: dict[str, Any] = {}
    for name, value in variables.items():
        known = name in OPTIONS or name == WEIGHTS
        if name.startswith("_") or (
            not known and (isinstance(value, ModuleType) or callable(value))
        ):
            continue
        if not known:
            raise unknown(f"{path}: variable", name, [*OPTIONS, WEIGHTS])
        values[OPTIONS.get(name, name)] = _plain(path, name, value)
    for name in ("dataset", "architecture"):
        if name not in values:
            raise UsageError(f"{path}: variable {name} is missing")
    return values


def weights_beside(path: Path, weights: str | None) -> Path | None:
    """The weights that an input file notes: as it calls them, or beside it; None for none."""
    if not weights:
        return None
    named = home(weights)
    return named if named.exists() else path.parent / weights


def _plain(path: Path, name: str, value: Any) -> str | int | float | bool | None:
    """A variable's value without NumPy: a float32 is the number as it prints, 0.05."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.generic):
        value = value.item()
    if name == WEIGHTS and isinstance(value, Path):
        return str(value)
    wanted = str if name == WEIGHTS else str | int | float | bool
    if not isinstance(value, wanted | None):
        what = "a file's name" if name == WEIGHTS else "one number, text, True or False"
        kind = type(value).__name__
        raise UsageError(f"{path}: variable {name} (={shown(value)}, {kind}) must be {what}")
    return value


def note_weights(path: Path, weights: str) -> bool:
    """Add the name of saved weights to a caller's own input file; not to one of the package's."""
    path = home(path)
    if path.resolve().parent == PACKAGE.resolve():
        return False
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(f"{WEIGHTS} =")]
    write_text(path, "\n".join([*lines, f"{WEIGHTS} = {weights!r}"]) + "\n")
    return True
