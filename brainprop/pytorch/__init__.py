"""BrainProp's rule and networks in PyTorch.

`from brainprop.pytorch import BrainPropLoss, convert, select`: for a network of your own. The names
are fetched when they are asked for, so that a part of this package needs no other.
"""

import importlib
from typing import Any

_HOME = {
    "BrainPropLoss": "brainprop.pytorch.loss",
    "convert": "brainprop.pytorch.conversion",
    "make_network": "brainprop.pytorch.networks",
    "brainprop_loss": "brainprop.pytorch.rule",
    "select": "brainprop.pytorch.rule",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'brainprop.pytorch' has no attribute {name!r}")
