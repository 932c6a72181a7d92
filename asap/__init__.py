"""ASAP: activation sharing with asymmetric paths (Woo et al., NeurIPS 2021).

As a library: `from asap import FeedbackConv2d, SharedConv2d, DirectFeedback, convert, backprop`.
The names are fetched when they are asked for, so that `import asap` needs no torch.
"""

import importlib
import runpy
from pathlib import Path
from typing import Any

# By its path: a folder's own `common` may hide ours, which is what this looks for.
runpy.run_path(str(Path(__file__).parents[1] / "common" / "hidden.py"))

_HOME = {
    "FeedbackLinear": "asap.layers",
    "FeedbackConv2d": "asap.layers",
    "SharedConv2d": "asap.layers",
    "DirectFeedback": "asap.layers",
    "backprop": "asap.layers",
    "convert": "asap.conversion",
    "make_network": "asap.networks",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'asap' has no attribute {name!r}")
