"""What one training step of a rule costs beside backprop of the same net, in the same run.

    python -m benchmarks.steps lra_e [--json FILE] [--threads N] [--depth] [--net N] [--rule R]

Every paper has a module <paper>_steps here, which gives

    FRAMEWORKS                              which of torch, tensorflow its rules run in
    cases(framework, device, depth)         -> list of Case, backprop ("bp" or "ebp") among them
    TIMING                                  optional: arguments of `timing.interleave`
    memory()                                optional: rows of bytes a sample, for --memory

A framework is timed in a process of its own. `ratio` is to the backprop row of the same net: the
fastest backprop that we can write, with the optimiser that the rule has.
"""

import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import click

from benchmarks.timing import interleave
from common.cli import Options, argument, command, option
from common.cli.params import choice, path, positive, threads
from common.errors import UsageError, UserError

PAPERS = tuple(
    sorted(file.stem.removesuffix("_steps") for file in Path(__file__).parent.glob("*_steps.py"))
)
BASELINES = ("bp", "ebp")


class Case(NamedTuple):
    """One row of the table: a training step that can be called again and again."""

    net: str
    rule: str
    batch: int
    step: Callable[[], object]


def measure(paper: str, framework: str, options: Any) -> list[dict[str, Any]]:
    """Time a paper's cases in this process."""
    cpu = options.device == "cpu"
    if framework == "torch":
        import torch

        torch.set_num_threads(options.threads)
        wait = (lambda: None) if cpu else torch.cuda.synchronize
    else:
        from common.backends import tf_backend

        wait = (lambda: None) if cpu else tf_backend.synchronise
    clock = time.process_time if cpu and options.threads == 1 else time.perf_counter
    module = importlib.import_module(f"benchmarks.{paper}_steps")
    cases = module.cases(framework, options.device, options.depth)
    rows: list[dict[str, Any]] = []
    nets = [n for n in dict.fromkeys(c.net for c in cases) if options.net in (None, n)]
    for net in nets:
        mine = [c for c in cases if c.net == net]
        wanted = [c for c in mine if options.rule in (None, c.rule) or c.rule in BASELINES]
        times = interleave(
            {c.rule: c.step for c in wanted},
            seconds=options.seconds,
            clock=clock,
            wait=wait,
            **getattr(module, "TIMING", {}),
        )
        base = next((times[c.rule].ms for c in wanted if c.rule in BASELINES), None)
        for case in wanted:
            t = times[case.rule]
            rows.append(
                {
                    "paper": paper,
                    "framework": framework,
                    "net": net,
                    "rule": case.rule,
                    "batch": case.batch,
                    "threads": options.threads,
                    "ms": round(t.ms, 4),
                    "ratio": round(t.ms / base, 4) if base else None,
                    "n": t.n,
                    "quartiles": [round(t.low, 4), round(t.high, 4)],
                }
            )
    return rows


def in_process(paper: str, framework: str, options: Any) -> list[dict[str, Any]]:
    """`measure` in a process of its own, with the threads set before the framework is imported."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "rows.json"
        words = [sys.executable, "-m", "benchmarks.steps", paper, "--framework", framework]
        words += ["--threads", str(options.threads), "--seconds", str(options.seconds)]
        words += ["--device", options.device, "--json", str(answer)]
        words += ["--depth"] if options.depth else []
        for name in ("net", "rule"):
            if getattr(options, name):
                words += [f"--{name}", getattr(options, name)]
        threads = str(options.threads)
        environment = os.environ | {"OMP_NUM_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads}
        environment |= {"TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        done = subprocess.run(words, env=environment, check=False, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise UserError(f"the {framework} benchmark of {paper} failed (code {done.returncode})")
        return json.loads(answer.read_text())


def table(rows: list[dict[str, Any]]) -> str:
    """Rows for people."""
    head = f"{'framework':<11}{'net':<20}{'rule':<18}{'batch':>5}{'ms':>10}{'quartiles':>20}"
    lines = [head + f"{'ratio':>8}{'n':>6}"]
    for r in rows:
        low, high = r["quartiles"]
        ratio = f"{r['ratio']:.3f}" if r["ratio"] else "-"
        lines.append(
            f"{r['framework']:<11}{r['net']:<20}{r['rule']:<18}{r['batch']:>5}{r['ms']:>10.3f}"
            f"{f'{low:.3f}-{high:.3f}':>20}{ratio:>8}{r['n']:>6}"
        )
    return "\n".join(lines)


def conditions(threads: int, device: str) -> str:
    """Hardware, versions, threads and clock, as every figure that we print must state."""
    names = ("torch", "tensorflow", "keras", "jax", "numpy")
    versions = ", ".join(f"{n} {metadata.version(n)}" for n in names if find_spec(n))
    from common.runs.environment import processor

    clock = "CPU time" if device == "cpu" and threads == 1 else "wall time"
    return (
        f"{processor()}, {threads} thread(s), {device}; Python "
        f"{platform.python_version()}, {versions}; {clock}, "
        "medians over n steps in interleaved blocks (of 8 after 24 for warm-up unless the paper's "
        "module says otherwise)"
    )


def show_memory(options: Any) -> None:
    """The rows of each paper's `memory`, and their shares of backprop's."""
    measured = []
    for paper in options.papers or PAPERS:
        module = importlib.import_module(f"benchmarks.{paper}_steps")
        if not hasattr(module, "memory"):
            click.echo(f"{paper}: counts no memory", err=True)
            continue
        rows = [r for r in module.memory() if not options.net or r["net"] == options.net]
        if not rows:
            raise UsageError(f"option --net (={options.net}): {paper} counts no such net's memory")
        counts = [name for name in rows[0] if name not in ("net", "rule")]
        click.echo(
            f"{paper}: kilobytes a sample that a step keeps, float32, and other counts in "
            "thousands (% of backprop's)"
        )
        click.echo(f"{'net':<12}{'rule':<10}" + "".join(f"{name:>22}" for name in counts))
        for row in rows:
            base = next(r for r in rows if r["net"] == row["net"] and r["rule"] in BASELINES)
            cells = [
                f"{row[n] / 1000:.0f} ({100 * row[n] / max(base[n], 1):.0f} %)" for n in counts
            ]
            line = f"{row['net']:<12}{row['rule']:<10}" + "".join(f"{c:>22}" for c in cells)
            click.echo(line)
        measured += [{"paper": paper, **row} for row in rows]
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n")


@dataclass(frozen=True, kw_only=True)
class StepsOptions(Options):
    """What `steps` takes."""

    papers: tuple[str, ...] = argument(
        type=choice(*PAPERS), nargs=-1, help="Papers; all of them if none is named."
    )
    framework: str | None = option(
        type=choice("torch", "tensorflow"), help="Time this framework only, in this process."
    )
    net: str | None = option(help="Time this net only.")
    rule: str | None = option(help="Time this rule only, beside backprop.")
    threads: int = option(type=threads, default=1, help="CPU threads.")
    seconds: float = option(
        type=positive, default=15.0, help="Seconds for each net in each framework."
    )
    depth: bool = option("--depth/--no-depth", default=False, help="Time deeper nets too.")
    device: str = option(default="cpu", help="Device: cpu or cuda.")
    memory: bool = option(
        "--memory/--no-memory", default=False, help="Count what a step keeps instead of timing."
    )
    json: Path | None = option(type=path, help="Write the rows to this file.")


@command(StepsOptions, paper="benchmarks", name="steps")
def main(options: StepsOptions) -> None:
    """Time every rule's training step beside backprop of the same net."""
    rows: list[dict[str, Any]] = []
    if options.memory:
        return show_memory(options)
    if not options.framework:
        click.echo(conditions(options.threads, options.device))
    for paper in options.papers or PAPERS:
        for framework in importlib.import_module(f"benchmarks.{paper}_steps").FRAMEWORKS:
            if options.framework and framework != options.framework:
                continue
            if find_spec(framework) is None:
                click.echo(f"{paper}: {framework} is not installed, left out", err=True)
            elif options.framework:
                rows += measure(paper, framework, options)
            else:
                rows += in_process(paper, framework, options)
    if not rows:
        raise UsageError("nothing to time: no such framework, net or rule here")
    click.echo(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
