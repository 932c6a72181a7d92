"""newpaper: a rule of your own. What is here is direct random target projection.

As a library: `from newpaper import gradients, make_network`. The names are fetched when they are
asked for, so that `import newpaper` needs no torch.
"""

import importlib
import runpy
from pathlib import Path
from typing import Any

# By its path: a folder's own `common` may hide ours, which is what this looks for.
runpy.run_path(str(Path(__file__).parents[1] / "common" / "hidden.py"))

_HOME = {"gradients": "newpaper.rule", "make_network": "newpaper.networks"}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'newpaper' has no attribute {name!r}")
