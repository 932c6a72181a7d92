"""The command line: makes the cases, prints a line a fault, and exits 1 if there is one."""

import argparse
import json
import os
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from tests.architecture.test_arrows import ROOT
from tests.fuzz import __doc__ as ABOUT
from tests.fuzz.case import KINDS, faults, plan
from tests.fuzz.programs import PROGRAMS
from tests.fuzz.stock import images, needed, runs

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "MPLBACKEND": "agg",
    "PYTHONHASHSEED": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
    "CREDITLAB_MIRROR": "http://127.0.0.1:9",
    "PYTHONPATH": str(ROOT),
}


class Server:
    """A `tests.fuzz.server` of a framework."""

    def __init__(self, name: str) -> None:
        environment = os.environ | ENVIRONMENT
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.server", name],
            stdin=subprocess.PIPE,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment,
        )

    def ask(self, task: dict[str, Any]) -> dict[str, Any]:
        """Run a task; how it ended."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        while True:  # a library may print as it is imported
            line = self.process.stdout.readline()
            if not line or line.startswith('{"code"'):
                return json.loads(line or '{"code": -1, "seconds": 0}')

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


class Fuzz:
    """All cases of a command line; `faults` are what they did wrong."""

    def __init__(self, seed: int, folder: Path, keep: bool, show: bool) -> None:
        self.seed, self.keep, self.show = seed, keep, show
        self.stock = folder / "stock"
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self.skipped: set[str] = set()

    def run(self, tasks: list[dict[str, Any]]) -> None:
        """Each framework's tasks in one thread."""
        queues: dict[str, queue.SimpleQueue] = {}
        for task in tasks:
            server = PROGRAMS[task["module"]].server
            queues.setdefault(server, queue.SimpleQueue()).put(task)
        threads = [
            threading.Thread(target=self._serve, args=item, daemon=True) for item in queues.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _serve(self, name: str, tasks: "queue.SimpleQueue[dict[str, Any]]") -> None:
        server = Server(name)
        while not tasks.empty():
            task = tasks.get()
            Path(task["folder"]).mkdir(parents=True)
            self._check(task, server.ask(task))
        server.close()

    def _check(self, task: dict[str, Any], ended: dict[str, Any]) -> None:
        folder = Path(task["folder"])
        out, err = (
            (folder / n).read_text(errors="replace") if (folder / n).exists() else ""
            for n in ("out", "err")
        )
        if not (folder / "case.json").exists():
            self._say(task, {"words": [], "note": ""}, "the fuzz itself: " + err[-600:])
            return
        case = json.loads((folder / "case.json").read_text())
        if case["skipped"]:
            self.skipped.add(case["skipped"])
        else:
            self.counts[f"{case['kind']}: {case['expect']}"] += 1
            self.counts["refused" if ended["code"] else "taken"] += 1
            for fault in faults(case, ended, out, err):
                self._say(task, case, fault)
        if self.show:
            line = {**ended, **{n: case[n] for n in ("module", "expect", "note")}}
            print(task.get("number"), line, err.strip().splitlines()[-1:], flush=True)
        if not self.keep and "words" not in task:
            shutil.rmtree(folder, ignore_errors=True)

    def _say(self, task: dict[str, Any], case: dict[str, Any], fault: str) -> None:
        number = task.get("number", "stock")
        self.faults.append(fault)
        command = shlex.join(["python", "-m", task["module"], *case["words"]])
        line = f"[{task.get('kind', 'stock')}] {fault}; {case['note']}; {command}"
        line = ascii(" ".join(line.split()))[1:-1]  # names may be any bytes
        print(f"FAULT --seed {self.seed} --case {number}", line, flush=True)


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=ABOUT)
    parser.add_argument("--cases", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--case", type=int, action="append", help="only this number")
    parser.add_argument("--kind", choices=KINDS, action="append", help="only of this kind")
    parser.add_argument("--folder", type=Path, help="keep everything here (default: a temporary)")
    parser.add_argument("--show", action="store_true", help="a line a case")
    return parser


def main(words: list[str] | None = None) -> int:
    """1 if there is a fault."""
    options = parser().parse_args(words)
    numbers = options.case or range(options.first, options.first + options.cases)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="creditlab-fuzz-"))
    try:
        fuzz = Fuzz(options.seed, folder, options.folder is not None, options.show)
        tasks = []
        for number in numbers:
            kind, module = plan(options.seed, number)
            if not options.kind or kind in options.kind:
                tasks.append(
                    {
                        "seed": options.seed,
                        "number": number,
                        "kind": kind,
                        "module": module,
                        "folder": str(folder / f"case-{number}"),
                        "stock": str(fuzz.stock),
                    }
                )
        images(fuzz.stock)
        fuzz.run(runs(needed(tasks), fuzz.stock, folder))
        fuzz.run(tasks)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    for sentence in sorted(fuzz.skipped):
        print(f"left out: {sentence}")
    kinds = ", ".join(f"{name} {count}" for name, count in sorted(fuzz.counts.items()))
    print(f"{len(tasks)} cases, seed {options.seed}: {len(fuzz.faults)} faults ({kinds})")
    return int(bool(fuzz.faults))


if __name__ == "__main__":
    sys.exit(main())
