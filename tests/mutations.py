"""Plants one-line defects in the rules and demands that the tests notice every one.

    python -m tests.mutations [PAPER ...] [--list] [--jobs N]

Works on temporary copies of the repository. A paper joins by adding a `Suite` to SUITES: the tests
that are fast enough to be run once per defect, and the defects as texts to replace in a source
file. Each text must occur exactly once (`tests/golden/test_mutations_apply.py` checks that without
running anything), so that a rule that is rewritten takes its defects along.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_COPIED = {".git", ".nox", ".venv", "build", "data", "dist", "runs"}
TESTS_FAILED = 1  # pytest's exit code; other codes mean that tests could not run


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
    """What to run (arguments of pytest) and what to plant."""

    tests: tuple[str, ...]
    mutations: tuple[Mutation, ...]


RULE, LEARNER = "lra_e/torch_rule.py", "lra_e/torch_learner.py"
LRA_E = (
    Mutation(
        "drop the transpose of E's update",
        RULE,
        "return self.gamma * (gW if wrong else gW.t())",
        "return self.gamma * (gW if wrong or gW.shape[0] == gW.shape[1] else gW.t())",
    ),
    Mutation(
        "drop the transpose in every layer, the top one included",
        RULE,
        "wrong = self.transposed_e and i < len(self.W) - 1",
        "wrong = self.transposed_e",
    ),
    Mutation(
        "flip the teaching signal",
        RULE,
        "torch.full_like(picked, -1)",
        "torch.full_like(picked, 1)",
    ),
    Mutation(
        "flip the displacement",
        RULE,
        "s = self.beta * d",
        "s = -self.beta * d",
    ),
    Mutation(
        "forget to divide by the batch",
        RULE,
        'scale = 1 / len(z[0]) if self.reduction == "mean" else 1.0',
        "scale = 1.0",
    ),
    Mutation(
        "divide by the batch where the sum is asked for",
        RULE,
        'scale = 1 / len(z[0]) if self.reduction == "mean" else 1.0',
        "scale = 1 / len(z[0])",
    ),
    Mutation(
        "use the forward weight where the feedback weight belongs",
        RULE,
        "d.insert(0, e[0] @ self.E[i - 1])",
        "d.insert(0, e[0] @ self.W[i].t())",
    ),
    Mutation(
        "skip the bias",
        RULE,
        "h.append(z[i] @ W if self.b is None else torch.addmm(self.b[i], z[i], W))",
        "h.append(z[i] @ W)",
    ),
    Mutation(
        "miss a detach: the update carries a graph",
        RULE,
        "    @torch.no_grad()\n    def compute_lra_update(",
        "    def compute_lra_update(",
    ),
    Mutation(
        "another rate for the hidden layers than for the output layer",
        RULE,
        "torch.addmm(g, below.t(), error, beta=0, alpha=scale, out=g)",
        "torch.addmm(g, below.t(), error, beta=0, alpha=scale * (1 + (g is out[0])), out=g)",
    ),
    Mutation(
        "forget weight decay on the error weights",
        LEARNER,
        'return 1 - group["lr"] * group["weight_decay"]',
        "return 1.0",
    ),
    Mutation(
        "the error weights get no update",
        RULE,
        "for i in range(1, last + 1)] if learn_E else None",
        "for i in range(1, last + 1)] if not learn_E else None",
    ),
    Mutation(
        "ignore gamma",
        RULE,
        "return self.gamma * (gW",
        "return 1.0 * (gW",
    ),
    Mutation(
        "displace the activity instead of the pre-activation",
        RULE,
        "y = self._phi.phi(h - s)",
        "y = self._phi.phi(z - s)",
    ),
    Mutation(
        "the cancelling form where the exact one is asked for",
        RULE,
        'if self.error_form == "exact":',
        'if self.error_form == "inexact":',
    ),
    Mutation(
        "forget the local loss",
        RULE,
        'if self.local_loss == "cauchy":',
        'if self.local_loss == "log":',
    ),
    Mutation(
        "backprop without the slope of the activation",
        RULE,
        "torch.ops.aten.tanh_backward(back, z[i])",
        "back",
    ),
    Mutation(
        "one draw too few in the original's stream",
        "lra_e/torch_seedpath.py",
        "DRAWS_PER_EPOCH * (epoch - 1) + 1",
        "(DRAWS_PER_EPOCH - 1) * (epoch - 1) + 1",
    ),
)
SUITES = {
    "lra_e": Suite(
        (
            "tests/cross/test_lra_e_oracle.py",
            "tests/cross/test_lra_e_limits.py",
            "tests/cross/test_lra_e_seedpath.py",
            "tests/golden/test_golden.py",
            "-k",
            "not tensorflow and not full_ and (lra_e or not golden)",
        ),
        LRA_E,
    ),
}


def copy_repository(root: Path, target: Path) -> None:
    """The working tree without histories, caches, data and runs."""

    def skip(folder: str, names: list[str]) -> set[str]:
        top = NOT_COPIED if Path(folder) == root else set()
        return {name for name in names if name in top or name.startswith("__pycache__")}

    shutil.copytree(root, target, ignore=skip)


def run_tests(root: Path, suite: Suite) -> tuple[int, str]:
    """Exit code of pytest, and the end of what it said."""
    # Without this, a mutated source of the same size and second would run from a stale .pyc.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *suite.tests],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.returncode, (done.stdout + done.stderr)[-2000:]


def plant(paper: str, mutation: Mutation, suite: Suite) -> str:
    """Run the tests on a copy with the defect; returns what went wrong, "" if it was noticed."""
    start = time.monotonic()
    try:
        mutated = mutation.apply(ROOT)
    except ValueError as error:
        return f"{paper}: {error}"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        copy_repository(ROOT, root)
        (root / mutation.file).write_text(mutated, encoding="utf-8")
        code, output = run_tests(root, suite)
    verdict = {TESTS_FAILED: "noticed", 0: "NOT NOTICED"}.get(code, f"pytest ended with {code}")
    seconds = time.monotonic() - start
    print(f"{paper}: {mutation.defect}: {verdict} ({seconds:.1f} s)", flush=True)
    if code == TESTS_FAILED:
        return ""
    return f"{paper}: {mutation.defect}: {verdict}" + (f"\n{output}" if code else "")


def check(paper: str, suite: Suite, jobs: int) -> list[str]:
    """Plant every defect of a paper, `jobs` at a time; returns what went wrong."""
    code, output = run_tests(ROOT, suite)
    if code != 0:
        return [f"{paper}: the tests do not pass without any defect:\n{output}"]
    with ThreadPoolExecutor(jobs) as pool:
        found = pool.map(lambda mutation: plant(paper, mutation, suite), suite.mutations)
        return [problem for problem in found if problem]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 if every defect was noticed, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("paper", nargs="*", default=list(SUITES), help="default: every paper")
    parser.add_argument("--list", action="store_true", help="only list the defects")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    problems: list[str] = []
    for paper in options.paper:
        if paper not in SUITES:
            parser.error(f"paper (={paper}) must be one of {', '.join(SUITES)}")
        if options.list:
            print(*(f"{paper}: {m.defect} ({m.file})" for m in SUITES[paper].mutations), sep="\n")
            continue
        problems += check(paper, SUITES[paper], options.jobs)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
