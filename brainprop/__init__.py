"""BrainProp: attention-gated, reward-based learning (Pozzi et al., NeurIPS 2020)."""

import runpy
from pathlib import Path

# By its path: a folder's own `common` may hide ours, which is what this looks for.
runpy.run_path(str(Path(__file__).parents[1] / "common" / "hidden.py"))
