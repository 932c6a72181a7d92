"""The defects that `python -m tests.mutations` plants: one module a paper, named like its folder.

A paper joins with `tests/mutants/<paper>.py`, which holds `SUITE = Suite(...)`.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """One defect: `old` becomes `new` in `file` (relative to the repository)."""

    defect: str
    file: str
    old: str
    new: str

    def apply(self, root: Path) -> str:
        """The file's text with the defect. ValueError unless `old` occurs exactly once."""
        text = (root / self.file).read_text(encoding="utf-8")
        count = text.count(self.old)
        if count != 1:
            raise ValueError(
                f"{self.defect!r}: {self.file} has {count} times {self.old!r}, not once"
            )
        mutated = text.replace(self.old, self.new)
        compile(mutated, self.file, "exec")  # a defect that does not even parse proves nothing
        return mutated


@dataclass(frozen=True)
class Suite:
    """What to run (arguments of pytest), what to plant, and what is slow to import."""

    tests: tuple[str, ...]
    mutations: tuple[Mutation, ...]
    preload: tuple[str, ...] = ()


def suites() -> dict[str, Suite]:
    """Every paper's suite, by name."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in sorted(names)}
    return {name: module.SUITE for name, module in modules.items() if hasattr(module, "SUITE")}
