"""ASAP: activation sharing with asymmetric paths (Woo et al., NeurIPS 2021).

As a library: `from asap import FeedbackConv2d, SharedConv2d, DirectFeedback, convert, backprop`.
The names are fetched when they are asked for, so that `import asap` needs no torch.
"""

import importlib
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

# By its path: a folder's own `common` may hide ours, which is what this looks for.
runpy.run_path(str(Path(__file__).parents[1] / "common" / "hidden.py"))

if TYPE_CHECKING:  # what the names below are, for those who look without running
    from asap.conversion import convert as convert
    from asap.layers import DirectFeedback as DirectFeedback
    from asap.layers import FeedbackConv2d as FeedbackConv2d
    from asap.layers import FeedbackLinear as FeedbackLinear
    from asap.layers import SharedConv2d as SharedConv2d
    from asap.layers import backprop as backprop
    from asap.networks import make_network as make_network

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
