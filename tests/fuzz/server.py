"""Runs cases, each in a fork of one process that has imported a framework once.

    python -m tests.fuzz.server torch

reads a JSON object a line (`build` makes the case of it) and answers with how it ended. Importing
torch or TensorFlow takes longer than a case.
"""

import contextlib
import importlib
import json
import os
import resource
import runpy
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.architecture.test_arrows import MODULES, imported, name_of
from tests.fuzz.case import Case, build

SEVERAL = ["matplotlib.pyplot", "sklearn.datasets", "scipy.stats", "PIL.Image", "h5py"]
FRAMEWORKS = {
    "torch": ["torch", "torchvision", "lmdb"],
    "tensorflow": ["tensorflow", "keras"],
    "jax": ["jax", "neural_tangents"],
}
ALLOWED = {"torch": {"torch", "torchvision"}, "tensorflow": {"tensorflow", "keras"}, "jax": {"jax"}}
ALL = {name for names in ALLOWED.values() for name in names} | {"neural_tangents"}
CPU_SECONDS, WALL_SECONDS = 60, 300


def main(server: str) -> None:
    """Answer until standard input ends."""
    preload(server)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def preload(server: str) -> None:
    """Everything but the programs themselves that needs no other framework."""
    for name in [*FRAMEWORKS[server], *SEVERAL]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for path in MODULES:
        text, name = path.read_text(), name_of(path)
        if name.startswith("benchmarks") or "inputs_" in name or "__main__" in text:
            continue
        if imported(path) & ALL <= ALLOWED[server] and (imported(path) & ALL or server == "torch"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def run(task: dict[str, Any]) -> dict[str, Any]:
    """How a case ended: code (None: at its limit of time), seconds, and in which step."""
    folder, begun = Path(task["folder"]), time.monotonic()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.setsid()
            code = _child(task, folder)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    descriptor = os.pidfd_open(child)
    ended = select.select([descriptor], [], [], WALL_SECONDS)[0]
    os.close(descriptor)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # its workers too
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    late = not ended or code == -signal.SIGXCPU
    return {"code": None if late else code, "seconds": time.monotonic() - begun}


def _child(task: dict[str, Any], folder: Path) -> int:
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    case = build(task)
    case.write(folder)
    os.chdir(case.folder)
    for name, value in case.environment.items():
        os.environ[name] = value
    for patch in case.patches:
        patch()
    return start(case)


def start(case: Case) -> int:
    """The program, as `python -m` starts it; its exit code."""
    sys.argv = [case.module, *case.words]
    try:
        module = importlib.import_module(case.module)
        main: Any = getattr(module, "main", None)
        if getattr(main, "script", None) == case.module:
            main.main(case.words, prog_name=f"python -m {case.module}")
        else:  # a second name of another program
            sys.modules.pop(case.module)
            runpy.run_module(case.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main(sys.argv[1])
