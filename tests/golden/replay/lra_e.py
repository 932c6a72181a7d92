"""Replays the LRA-E traces (lra_e, 11) by every implementation that we have.

A file's name says which program it comes from; sizes, rates, optimiser and layouts are in its keys:

    torch_* tfnew_* tfold_*     small nets in float64, everything recorded
    full_torch* full_tfnew* full_tfold*   full size in float32, weights from a seed, statistics only
    seedpath_torch*             what the PyTorch programs draw from their seed
"""

import re

from tests.golden.replay import _lra_e_full, _lra_e_seedpath, _lra_e_small
from tests.golden.trace import Trace
from tests.oracles.lra_e_learners import NEEDS

SMALL = re.compile(r"(torch|tfnew|tfold)_.*")
FULL = re.compile(r"full_(torch|tfnew|tfold)(_.*)?")
SEEDPATH = re.compile(r"seedpath_torch(_.*)?")


# Name in the test's id -> implementation and form of the error ("difference": the originals').
IMPLEMENTATIONS = {
    "numpy": ("numpy", "difference"),
    "torch": ("torch", "exact"),
    "torch-difference": ("torch", "difference"),
    "torch-learner": ("torch-learner", "exact"),
    "tensorflow": ("tensorflow", "exact"),
    "tensorflow-difference": ("tensorflow", "difference"),
    "tensorflow-learner": ("tensorflow-learner", "exact"),
}
# A training loop has its own framework's optimisers only.
NOT_OF_FAMILY = {"torch-learner": ("tfnew",), "tensorflow-learner": ("torch",)}


def implementations(stem: str) -> dict[str, tuple[str, ...]]:
    """Those of IMPLEMENTATIONS that can replay the file, with what they need."""
    if SEEDPATH.fullmatch(stem):
        return {"": ("torch",)}
    match = FULL.fullmatch(stem) or SMALL.fullmatch(stem)
    if not match:
        return {}
    names = [name for name in IMPLEMENTATIONS if match[1] not in NOT_OF_FAMILY.get(name, ())]
    return {name: NEEDS[IMPLEMENTATIONS[name][0]] for name in names}


def replay(trace: Trace, implementation: str) -> None:
    """Every step of one file. AssertionError where a number differs."""
    if SEEDPATH.fullmatch(trace.stem):
        _lra_e_seedpath.replay(trace)
    elif match := FULL.fullmatch(trace.stem):
        _lra_e_full.replay(trace, match[1], *IMPLEMENTATIONS[implementation])
    elif match := SMALL.fullmatch(trace.stem):
        _lra_e_small.replay(trace, match[1], *IMPLEMENTATIONS[implementation])
