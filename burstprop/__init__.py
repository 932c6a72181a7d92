"""Burstprop: burst-dependent plasticity (Payeur et al., Nature Neuroscience 2021).

As a library: `from burstprop import BurstNetwork, BurstLinear, BurstConv2d, BurstUpdate`.
The names are fetched when they are asked for, so that `import burstprop` needs no torch.
"""

import importlib
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

# By its path: a folder's own `common` may hide ours, which is what this looks for.
runpy.run_path(str(Path(__file__).parents[1] / "common" / "hidden.py"))

if TYPE_CHECKING:  # what the names below are, for those who look without running
    from burstprop.layers import BurstConv2d as BurstConv2d
    from burstprop.layers import BurstLinear as BurstLinear
    from burstprop.networks import BurstNetwork as BurstNetwork
    from burstprop.rule import SigmoidOutput as SigmoidOutput
    from burstprop.rule import SigmoidUnits as SigmoidUnits
    from burstprop.update import BurstUpdate as BurstUpdate

_HOME = {
    "BurstLinear": "burstprop.layers",
    "BurstConv2d": "burstprop.layers",
    "BurstNetwork": "burstprop.networks",
    "BurstUpdate": "burstprop.update",
    "SigmoidUnits": "burstprop.rule",
    "SigmoidOutput": "burstprop.rule",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'burstprop' has no attribute {name!r}")
