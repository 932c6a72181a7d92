"""Replays the BrainProp traces (section 11 of its specification).

A file's name says what it is; everything else is in its keys, above all in cfg_json:

    {dense,conv,loccon,deep}_*   four steps of a narrow network, everything recorded
    unit_layer_loss*             the output layer and the loss alone
    schedule_earlystop*          learning rates, and when training stops
    fullsize_checksums*          one step of every pair at full size, statistics only
    gainmod_*                    the gain-modulation prototype
"""

import importlib
import importlib.util
import re
from types import ModuleType

from tests.golden.trace import Trace

NETWORK = re.compile(r"(dense|conv|loccon|deep)_.*")
HERE = "tests.golden.replay"
TENSORFLOW = ("tensorflow", "keras")


def _module(name: str) -> ModuleType | None:
    found = importlib.util.find_spec(f"{HERE}.{name}")
    return importlib.import_module(f"{HERE}.{name}") if found else None


def implementations(stem: str) -> dict[str, tuple[str, ...]]:
    """Which of ours replay the file, with what they need."""
    if stem.startswith("gainmod_"):
        gainmod = _module("_brainprop_gainmod")
        return gainmod.implementations(stem) if gainmod else {}
    if stem.startswith("schedule_earlystop"):
        return {"": ()}
    if stem.startswith(("unit_layer_loss", "fullsize_checksums")):
        return {"": TENSORFLOW}
    if not NETWORK.fullmatch(stem):
        return {}
    found = {"step": TENSORFLOW, "keras": TENSORFLOW}
    return found | ({"torch": ("torch",)} if _module("_brainprop_torch") else {})


def replay(trace: Trace, implementation: str) -> None:
    """Every number of one file. AssertionError where one differs."""
    stem = trace.stem
    if stem.startswith("gainmod_"):
        module, arguments = "_brainprop_gainmod", (implementation,)
    elif stem.startswith("schedule_earlystop"):
        module, arguments = "_brainprop_schedule", ()
    elif stem.startswith("unit_layer_loss"):
        module, arguments = "_brainprop_unit", ()
    elif stem.startswith("fullsize_checksums"):
        module, arguments = "_brainprop_fullsize", ()
    elif implementation == "torch":
        module, arguments = "_brainprop_torch", ()
    else:
        module, arguments = "_brainprop_networks", (implementation,)
    importlib.import_module(f"{HERE}.{module}").replay(trace, *arguments)
