"""Plants one-line defects in the rules and demands that the tests notice every one.

    python -m tests.mutations [PAPER ...] [--list] [--jobs N]

Works on temporary copies of the repository. A paper joins with `tests/mutants/<paper>.py`: tests
that are fast enough to be run once per defect, and the defects as texts to replace in a source
file. Each text must occur exactly once (`tests/golden/test_mutations_apply.py` checks that without
running anything), so that a rule that is rewritten takes its defects along.
"""

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants import Mutation, Suite, suites

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = {".git", ".nox", ".venv", "build", "data", "dist", "runs"}
TESTS_FAILED = 1  # pytest's exit code; other codes mean that tests could not run


def copy_repository(root: Path, target: Path) -> None:
    """The working tree without histories, caches, data and runs."""

    def skip(folder: str, names: list[str]) -> set[str]:
        top = NOT_COPIED if Path(folder) == root else set()
        return {name for name in names if name in top or name.startswith("__pycache__")}

    shutil.copytree(root, target, ignore=skip)


class Worker:
    """A warm process (`warm_pytest.py`) that runs a suite's tests in copies of the repository.

    Nothing of this repository is imported in it, and it writes no `.pyc`: a mutated source of the
    same size and second would otherwise run from a stale one.
    """

    def __init__(self, suite: Suite):
        self._arguments = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", *suite.tests]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-B",
                str(ROOT / "tests/mutants/warm_pytest.py"),
                *suite.preload,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            text=True,
        )

    def run(self, mutation: Mutation | None) -> tuple[int, str]:
        """Exit code of pytest, and the end of what it said, with a defect or without any."""
        assert self._process.stdin and self._process.stdout
        with tempfile.TemporaryDirectory() as folder:
            root, output = Path(folder) / "repository", Path(folder) / "output.txt"
            copy_repository(ROOT, root)
            if mutation:
                (root / mutation.file).write_text(mutation.apply(ROOT), encoding="utf-8")
            task = {"folder": str(root), "arguments": self._arguments, "output": str(output)}
            print(json.dumps(task), file=self._process.stdin, flush=True)
            code = int(self._process.stdout.readline() or -1)
            return code, output.read_text(encoding="utf-8")[-2000:] if output.exists() else ""

    def close(self) -> None:
        self._process.communicate()


def check(paper: str, suite: Suite, jobs: int) -> list[str]:
    """Plant every defect of a paper, `jobs` at a time; returns what went wrong."""
    workers = [Worker(suite) for _ in range(jobs)]
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        free.put(worker)

    def plant(mutation: Mutation | None) -> str:
        worker = free.get()
        try:
            return verdict_on(paper, mutation, worker)
        finally:
            free.put(worker)

    try:
        if problem := plant(None):
            return [problem]
        with ThreadPoolExecutor(jobs) as pool:
            return [problem for problem in pool.map(plant, suite.mutations) if problem]
    finally:
        for worker in workers:
            worker.close()


def verdict_on(paper: str, mutation: Mutation | None, worker: Worker) -> str:
    """Run the tests with a defect (None: without); returns what is wrong, "" if nothing is."""
    what = f"{paper}: {mutation.defect if mutation else 'no defect'}"
    start = time.monotonic()
    try:
        code, output = worker.run(mutation)
    except ValueError as error:
        return f"{paper}: {error}"
    verdict = {TESTS_FAILED: "noticed", 0: "NOT NOTICED"}.get(code, f"pytest ended with {code}")
    if not mutation:
        verdict = "tests pass" if code == 0 else "TESTS DO NOT PASS"
    print(f"{what}: {verdict} ({time.monotonic() - start:.1f} s)", flush=True)
    if code == (TESTS_FAILED if mutation else 0):
        return ""
    return f"{what}: {verdict}\n{output}"


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    made.add_argument("paper", nargs="*", default=list(suites()), help="default: every paper")
    made.add_argument("--list", action="store_true", help="only list the defects")
    made.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 if every defect was noticed, 1 otherwise."""
    every = suites()
    options = parser().parse_args(arguments)
    problems: list[str] = []
    for paper in options.paper:
        if paper not in every:
            parser().error(f"paper (={paper}) must be one of {', '.join(every)}")
        if options.list:
            print(*(f"{paper}: {m.defect} ({m.file})" for m in every[paper].mutations), sep="\n")
            continue
        problems += check(paper, every[paper], options.jobs)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
