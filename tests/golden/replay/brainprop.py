"""Replays the BrainProp traces (brainprop, 11).

A file's name says what it is; everything else is in its keys, above all in cfg_json:

    {dense,conv,loccon,deep}_*   four steps of a narrow network, everything recorded
    unit_layer_loss*             the output layer and the loss alone
    schedule_earlystop*          learning rates, and when training stops
    fullsize_checksums*          one step of every pair at full size, statistics only
    gainmod_*                    the gain-modulation prototype
"""

import importlib
import re

from tests.golden.trace import Trace

NETWORK = re.compile(r"(dense|conv|loccon|deep)_.*")
TENSORFLOW = ("tensorflow", "keras")


def implementations(stem: str) -> dict[str, tuple[str, ...]]:
    """Which of ours replay the file, with what they need."""
    if stem.startswith("gainmod_"):
        return {"": TENSORFLOW}
    if stem.startswith("schedule_earlystop"):
        return {"": ()}
    if stem.startswith(("unit_layer_loss", "fullsize_checksums")):
        return {"tensorflow": TENSORFLOW, "torch": ("torch",)}
    if NETWORK.fullmatch(stem):
        return {"step": TENSORFLOW, "keras": TENSORFLOW, "torch": ("torch",)}
    return {}


def replay(trace: Trace, implementation: str) -> None:
    """Every number of one file. AssertionError where one differs."""
    kinds = {"gainmod": "gainmod", "schedule": "schedule", "unit": "unit", "fullsize": "fullsize"}
    kind = kinds.get(trace.stem.split("_")[0], "networks")
    kind = "torch" if implementation == "torch" else kind
    module = importlib.import_module(f"tests.golden.replay._brainprop_{kind}")
    if kind == "networks":
        module.replay(trace, implementation)
    else:
        module.replay(trace)
