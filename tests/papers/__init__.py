"""What a paper that moved in tells the tests of all papers, in a module of its name here:

    META    name -> () -> (a learner on the current device, shape of an image), for the meta device
    LABELS  name of a public function -> labels -> what it computes from them, for tests/doors

The first five papers stand in those tests themselves.
"""

import importlib
from pathlib import Path
from typing import Any

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")


def from_papers(kind: str) -> dict[str, Any]:
    """What the papers tell of this kind, together."""
    modules = [importlib.import_module(f"tests.papers.{name}") for name in NAMES]
    return {name: what for module in modules for name, what in getattr(module, kind).items()}
