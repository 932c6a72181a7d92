"""What there is to replay: every `<paper>/<stem>.npz` below a folder, with who replays it.

`replay/<paper>.py` is a paper's replayer, found by the folder's name. It has two functions:

    def implementations(stem: str) -> dict[str, tuple[str, ...]]:
        # which of our implementations replay this file, each with the modules it needs; {} means: a
        # file this replayer does not know. A single implementation may be called "".
    def replay(trace: Trace, implementation: str) -> None:
        # compute, trace.compare(...), and read every key

Replay modules import no framework at module level: what is not installed is skipped.
"""

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

REPLAYERS = "tests.golden.replay"
OUR_DATA = Path(__file__).parent / "data"
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Case:
    """One file under one implementation. `problem` says why it cannot be replayed at all."""

    path: Path
    name: str
    implementation: str = ""
    needs: tuple[str, ...] = ()
    replayer: ModuleType | None = None
    problem: str = ""

    @property
    def id(self) -> str:
        return f"{self.name}[{self.implementation}]" if self.implementation else self.name


class NoTraces(Exception):
    """The folder of traces is missing or holds none."""


def find_cases(folder: Path) -> list[Case]:
    """Every case below `folder`, by name. NoTraces if there is nothing.

    Nothing found is left out: a file in the wrong place, an unknown paper, an unknown file each
    become a case with a problem.
    """
    if not folder.is_dir():
        raise NoTraces(f"--golden: there is no folder {folder}")
    files = sorted(folder.rglob("*.npz"))
    if not files:
        raise NoTraces(f"--golden: {folder} holds no <paper>/*.npz")
    cases: list[Case] = []
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not any(sub in file.parents for file in files):
            cases.append(Case(sub, sub.name, problem=f"{sub} holds no trace"))
    for path in files:
        cases += cases_of(path, path.relative_to(folder))
    return cases


def cases_of(path: Path, relative: Path) -> list[Case]:
    """The cases of one file, `relative` being its place below the folder of traces."""
    name = relative.with_suffix("").as_posix()
    if len(relative.parts) != 2:
        return [Case(path, name, problem=f"{relative} is not of the form <paper>/<stem>.npz")]
    replayer = find_replayer(relative.parts[0])
    if replayer is None:
        where = f"tests/golden/replay/{relative.parts[0]}.py"
        return [Case(path, name, problem=f"no replayer for {name}: there is no {where}")]
    known = replayer.implementations(path.stem)
    if not known:
        return [Case(path, name, problem=f"{replayer.__name__} knows no file called {path.stem}")]
    return [
        Case(path, name, implementation, tuple(needs), replayer)
        for implementation, needs in known.items()
    ]


def find_replayer(paper: str) -> ModuleType | None:
    """The replay module of a paper folder, or None."""
    if not paper.isidentifier() or importlib.util.find_spec(f"{REPLAYERS}.{paper}") is None:
        return None
    return importlib.import_module(f"{REPLAYERS}.{paper}")


def missing(needs: Iterable[str]) -> list[str]:
    """Those of these modules that are not installed here. ValueError for one of this repository,
    which would pass tests over when it is renamed."""
    for name in (needs := tuple(needs)):
        if (REPOSITORY / name.split(".")[0]).is_dir():
            raise ValueError(f"{name} is ours: a test must not be skipped for want of it")
    return [name for name in needs if importlib.util.find_spec(name) is None]
