"""BrainProp's input files: variables that are no plain values, that are missing, or no Python."""

import random
from pathlib import Path

from tests.fuzz.case import EITHER, REFUSED, TAKEN, Case

GOOD = {
    "dataset": '"MNIST"',
    "architecture": '"dense"',
    "learning_algorithm": '"BrainProp"',
    "epochs": "1",
    "batch_dim": "10",
    "learning_rate": "0.1",
    "halve_every": "100",
    "patience": "45",
    "min_delta": "0.001",
    "epsilon": "0.02",
    "std": "0.01",
    "l2": "0.0",
    "seed": "1",
    "save_plots": "False",
    "save_history": "False",
    "save_weights": "False",
}
BAD = (
    "[7]",
    "{}",
    "object()",
    "(1, 2)",
    '"x"',
    "-1",
    "float('nan')",
    "b'a'",
    "1j",
    "10**40",
    "float('inf')",
    "lambda: 1",
    "set()",
    "range(3)",
    "...",
    "type",
)
FLAGS = {"save_plots", "save_history", "save_weights"}
FINE = {
    "epochs": ("np.int64(1)", "np.array(1)", "True and 1"),
    "learning_rate": ("np.float32(0.05)", "1"),
    "seed": ("np.uint8(3)", "0"),
    "save_plots": ("np.bool_(False)",),
    "epsilon": ("1", "0"),
}
BROKEN = (
    "dataset = ",
    "import no_such_package",
    "1/0",
    "raise SystemExit(3)",
    "\x00",
    "exit()",
    "raise KeyboardInterrupt",
    "def f(:",
    "x" * 50,
    "import sys; sys.exit('bye')",
    "batch_sise = 10",
    "import os; os.no_such",
    "raise BaseException('b')",
)


def programs() -> list[str]:
    """The programs that take input files."""
    return ["brainprop.main", "brainprop.train"]


def make(chance: random.Random, module: str, work: Path, stock: Path) -> Case:
    """An input file with one line that is wrong, odd or fine."""
    values, more, expect = dict(GOOD), "", REFUSED
    what = chance.choice(("bad", "bad", "bad", "fine", "broken", "missing", "weights"))
    if what == "bad":
        name = chance.choice(sorted(values))
        values[name] = chance.choice(BAD)
        note = f"{name} = {values[name]}"
    elif what == "fine":
        name = chance.choice(sorted(FINE))
        values[name], expect = chance.choice(FINE[name]), TAKEN
        note = f"{name} = {values[name]}"
    elif what == "broken":
        note = more = chance.choice(BROKEN)
    elif what == "missing":
        name = chance.choice(sorted(values))
        del values[name]
        expect, note = (REFUSED if name in ("dataset", "architecture") else EITHER), f"no {name}"
    else:
        more, expect = f"weights_file = {chance.choice(BAD)}", EITHER
        note = more
    lines = ["import numpy as np", *(f"{n} = {v}" for n, v in values.items()), more]
    file = work / "inputs.py"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    given = [str(file)] if module == "brainprop.main" else ["--input-data", str(file)]
    words = [
        *given,
        "--data",
        "digits",
        "--limit-train",
        "20",
        "--limit-test",
        "10",
        "--epochs",
        "1",
        "--width",
        "0.02",
        "--quiet",
        "--out",
        str(work / "run"),
    ]
    if what == "bad" and name in ("dataset", "epochs"):
        expect = EITHER  # what is typed as an option overrides it
    return Case("inputs", module, words, expect, note, work)
