"""Every paper's rule beside its backprop baseline, on small data, in one page.

    python -m common.demo [--out runs/demo] [--paper NAME ...] [--only-page]

Runs the `[[demo]]` entries of every paper.toml one after another, as `python -m MODULE ARGS`, in
`OUT/<paper>/<label>`, each with a log beside it, then writes `OUT/index.html` and prints its path
last. A run whose framework is not installed is left out, and the page says so. OUT must be absent,
empty, or an earlier demo's (it holds a marker file): that one's output is replaced.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from common.cli import Options, command, option
from common.errors import UserError
from common.files.writing import write_text
from common.reports.page import Section, page, write
from common.reports.papers import Demo, Paper, choose
from common.runs.read_back import Record, Series, read_run

MARKER = ".creditlab-demo"


def folder_of(out: Path, paper: Paper, demo: Demo) -> Path:
    """Where a run of the demo goes; its log is the same path with `.log`."""
    return out / paper.name / re.sub(r"[^\w.-]+", "_", demo.label)


def claim(out: Path) -> None:
    """Make `out` an empty folder with the marker. UserError if it holds what no demo wrote."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out (={out}) is no folder")
    if out.is_dir() and any(out.iterdir()):
        if not (out / MARKER).is_file():
            raise UserError(f"--out (={out}) holds files that no demo wrote: choose another folder")
        for entry in out.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    write_text(out / MARKER, "This folder belongs to `python -m common.demo`, which empties it.\n")


def run_demo(paper: Paper, demo: Demo, out: Path) -> None:
    """One run in a process of its own, a line of progress meanwhile. UserError names its log."""
    folder = folder_of(out, paper, demo)
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name(folder.name + ".log")
    name = f"{paper.name} · {demo.label}"
    words = [sys.executable, "-m", demo.module, *demo.args, "--out", str(folder)]
    begin = time.monotonic()
    with log.open("wb") as output:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            while child.poll() is None:
                if sys.stderr.isatty():
                    line = f"{name}: {state(folder)}, {time.monotonic() - begin:.0f} s"
                    click.echo(f"\r\x1b[K{line}", nl=False, err=True)
                time.sleep(0.2)
        finally:  # Ctrl-C reaches the child too: let it write its checkpoint
            code = child.wait()
            if sys.stderr.isatty():
                click.echo("\r\x1b[K", nl=False, err=True)
    if code:
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        why = f": {last[-1].strip()}" if last else ""
        raise UserError(f"{name} failed with exit code {code}; see {log}{why}")
    click.echo(f"{name}: {state(folder)}, {time.monotonic() - begin:.1f} s")


def state(folder: Path) -> str:
    """What the run in `folder` is at, in a few words."""
    try:
        run = read_run(folder)
    except UserError:
        return "starting"
    total = run.options.get("epochs")
    words = f"epoch {run.final.get('epoch', 0)}" + (f" of {total}" if total else "")
    accuracy = run.final.get("test_accuracy")
    return words + (f", test {accuracy:.1f} %" if isinstance(accuracy, int | float) else "")


def section(paper: Paper, out: Path) -> Section:
    """The paper's part of the page, from the runs that are there."""
    runs: list[Record] = []
    series, notes = [], []
    for demo in paper.demo:
        folder = folder_of(out, paper, demo)
        if (folder / "config.json").exists():
            runs.append(read_run(folder))
            series.append(Series(demo.label, demo.rule, (runs[-1],)))
        elif missing := demo.missing():
            notes.append(f"{demo.label} was not run: {', '.join(missing)} is not installed.")
        else:
            notes.append(f"{demo.label} was not run.")
    subtitle = " — ".join(part for part in (paper.rule, paper.citation) if part)
    return Section(paper.title, subtitle, tuple(runs), tuple(series), tuple(notes))


def build_page(papers: list[Paper], out: Path) -> Path:
    """Write OUT/index.html; its absolute path."""
    intro = (
        "Each paper's rule beside backpropagation in the same network, trained just now by the "
        "paper's own program on a small data set for a short time: a demonstration, not a result."
    )
    sections = [section(paper, out) for paper in papers if paper.demo]
    return write(out / "index.html", page("creditlab demo", sections, intro))


def demo(papers: list[Paper], out: Path, only_page: bool) -> Path:
    """Run everything (unless `only_page`), write the page; its absolute path."""
    out = out.resolve()
    if only_page and not (out / MARKER).is_file():
        raise UserError(f"--out (={out}) holds no demo to make a page of")
    if not only_page:
        claim(out)
        for paper in papers:
            for entry in paper.demo:
                if missing := entry.missing():
                    click.echo(f"{paper.name} · {entry.label}: left out, no {', '.join(missing)}")
                else:
                    run_demo(paper, entry, out)
    return build_page(papers, out)


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Options):
    """What `demo` takes."""

    out: Path = option(
        type=Path, default=Path("runs/demo"), help="Folder of the demo's runs and page."
    )
    only: tuple[str, ...] = option(
        "--paper", multiple=True, metavar="NAME", help="Run this paper only (may be repeated)."
    )
    only_page: bool = option(
        is_flag=True, help="Write the page again from the runs that are there."
    )


@command(DemoOptions, paper="common", name="demo")
def main(options: DemoOptions) -> None:
    """Train every paper's rule beside its backprop baseline and write one page about it."""
    click.echo(demo(choose(options.only), options.out, options.only_page))


if __name__ == "__main__":
    main()
