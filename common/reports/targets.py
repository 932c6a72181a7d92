"""Published numbers beside ours: runs that reproduce them, and the tables in the READMEs.

    python -m common.targets reproduce PAPER ROW [--seeds "1 2 3"]   run, collect, update
    python -m common.targets collect [RUNS_DIR]   copy finished runs' small files, update
    python -m common.targets update [PAPER ...]   recompute targets.csv, then the tables
    python -m common.targets tables [--check]     the generated blocks of the README files
    python -m common.targets columns              what the columns of targets.csv are

`common.reports.target_rows` documents targets.csv, `common.reports.verdicts` the verdicts. Runs
are made in `runs/reproduce/<paper>/<id>/seed-<s>`; of each finished one four small files are kept
in `<paper>/results/<id>/seed-<s>`. Generated blocks stand between `<!-- papers -->`,
`<!-- targets: PAPER -->` or `<!-- switches: PAPER -->` and `<!-- end -->`, in README.md and in
every paper's README.md. Of a paper whose scripts have switches of their own,
`<!-- switches: PAPER.MODULE -->` shows those of that module instead of `fidelity`.
"""

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from common.cli import Options, argument, command, option
from common.errors import UsageError, UserError, unknown
from common.files.paths import home
from common.files.reading import read
from common.files.writing import write_text
from common.reports import papers
from common.reports.measured import recompute
from common.reports.readme_tables import papers_table, switches_table, targets_table
from common.reports.target_rows import COMPUTED, EXPLAINED, Row, format_targets, read_targets
from common.runs.read_back import read_run

FILES = ("config.json", "environment.json", "metrics.jsonl", "summary.json")
RUNS = Path("runs/reproduce")
_MARK = r"<!-- (papers|targets: \w+|switches: [\w.]+) -->\n"
_BLOCK = re.compile(rf"({_MARK})(.*?)(<!-- end -->|\Z)", re.S)


def rows_of(paper: papers.Paper) -> list[Row]:
    """The paper's targets; none if it has no targets.csv yet."""
    path = paper.folder / "targets.csv"
    return read_targets(path) if path.exists() else []


def expected_files(root: Path, names: tuple[str, ...] = ()) -> dict[Path, str]:
    """Path → what its content should be, for every targets.csv and README with generated blocks."""
    chosen = papers.choose(names, root)
    rows, files = {}, {}
    for paper in papers.find_papers(root):
        rows[paper.name] = rows_of(paper)
        if paper in chosen and rows[paper.name]:
            rows[paper.name] = recompute(rows[paper.name], paper.folder / "results")
            files[paper.folder / "targets.csv"] = format_targets(rows[paper.name])
    for readme in [root / "README.md", *(paper.folder / "README.md" for paper in chosen)]:
        if readme.exists():
            files[readme] = fill_blocks(readme, papers.find_papers(root), rows)
    return files


def fill_blocks(path: Path, known: list[papers.Paper], rows: dict[str, list[Row]]) -> str:
    """The README's text with its blocks filled. UserError for a block without end or paper."""

    def fill(block: re.Match[str]) -> str:
        kind, _, name = block[2].partition(": ")
        if block[4] != "<!-- end -->":
            raise UserError(f"{path}: the block <!-- {block[2]} --> has no <!-- end -->")
        if kind == "papers":
            return f"{block[1]}{papers_table(known, rows)}{block[4]}"
        if name.partition(".")[0] not in rows:
            raise UserError(f"{path}: {unknown('paper', name, rows)}")
        table = targets_table(rows[name]) if kind == "targets" else switches_table(name)
        return f"{block[1]}{table}{block[4]}"

    return _BLOCK.sub(fill, path.read_text(encoding="utf-8"))


def write(files: dict[Path, str]) -> list[Path]:
    """Write those files whose content differs; which ones they were."""
    stale = stale_files(files)
    for path in stale:
        write_text(path, files[path])
    return stale


def stale_files(files: dict[Path, str]) -> list[Path]:
    """The paths whose content on disk is not what it should be."""
    return [path for path, text in files.items() if path.read_text(encoding="utf-8") != text]


def collect(runs: Path, root: Path) -> list[Path]:
    """Copy the small files of `runs/<paper>/<id>/seed-<s>`, finished runs only; the folders made.

    Runs that did not finish are named on stderr: a row must not lose its bad seeds in silence.
    """
    made = []
    for paper in papers.find_papers(root):
        for row in rows_of(paper):
            for source in sorted((runs / paper.name / row.id).glob("seed-*")):
                if (status := read_run(source).status) != "finished":
                    click.echo(f"{source}: {status}, not collected", err=True)
                    continue
                target = paper.folder / "results" / row.id / source.name
                for name in FILES:
                    text = read(source / name).decode()
                    write_text(target / name, _portable(text))
                made.append(target)
    return made


def _portable(text: str) -> str:
    """JSON text without the folders of the machine that it was written on: "/a/b/c" → ".../c"."""
    return re.sub(r'"/[^"\\\n]*/([^"/\\\n]*)"', r'".../\1"', text)


def run_row(row: Row, seed: int, out: Path) -> None:
    """Run the row's command with one seed; a run begun earlier is resumed, a finished one kept."""
    words = shlex.split(row.command)
    if len(words) < 3 or words[:2] != ["python", "-m"]:
        raise UserError(
            f"row {row.id}: the command must start with python -m MODULE: {row.command}"
        )
    if (out / "config.json").exists() and read_run(out).status == "finished":
        click.echo(f"{out}: finished already")
        return
    begun = (out / "checkpoints" / "last").exists()
    args = [words[2], "--resume", str(out)] if begun else [*words[2:], "--seed", str(seed)]
    args += [] if begun else ["--out", str(out)]
    click.echo(f"python -m {shlex.join(args)}")
    code = subprocess.run([sys.executable, "-m", *args]).returncode
    if code:
        raise UserError(f"row {row.id}, seed {seed}: the run in {out} ended with exit code {code}")


def reproduce(paper: papers.Paper, row_id: str, seeds: str) -> None:
    """Run one row with its seeds (or those given), under `runs/reproduce`."""
    rows = {row.id: row for row in rows_of(paper)}
    if row_id not in rows:
        raise unknown("argument ROW", row_id, rows)
    row = rows[row_id]
    try:
        chosen = [int(seed) for seed in seeds.replace(",", " ").split()] or list(row.seeds)
    except ValueError:
        raise UsageError(f'option --seeds (={seeds}) must be seeds such as "1 2 3"') from None
    for seed in chosen:
        if seed not in row.seeds:
            raise unknown("option --seeds", seed, row.seeds)
    for seed in chosen:
        run_row(row, seed, RUNS / paper.name / row.id / f"seed-{seed}")


@dataclass(frozen=True, kw_only=True)
class TargetsOptions(Options):
    """What `targets` takes."""

    action: str | None = argument(
        type=["reproduce", "collect", "update", "tables", "columns"], help="What to do."
    )
    which: str | None = argument(
        metavar="PAPER",
        required=False,
        help="A paper's folder (for collect: the folder of the runs).",
    )
    row: str | None = argument(
        required=False, help="Id of a row in the paper's targets.csv (for reproduce)."
    )
    seeds: str = option(default="", help="Seeds to run (for reproduce).", show_default="the row's")
    check: bool = option(
        is_flag=True, help="Change nothing, and fail if a file is out of date (for tables)."
    )


@command(TargetsOptions, paper="common", name="targets")
def main(options: TargetsOptions) -> None:
    """Published numbers beside ours: reproduce a row, collect runs, update targets and tables."""
    root, action = papers.root(), options.action
    if action == "columns":
        for column, what in EXPLAINED.items():
            click.echo(f"{column:<14}{'(from runs) ' if column in COMPUTED else ''}{what}")
        return
    if options.check and action != "tables":
        raise UsageError("option --check goes with tables only")
    names = (options.which,) if options.which and action != "collect" else ()
    if action == "reproduce":
        if not options.row:
            raise UsageError("argument PAPER ROW: reproduce needs both")
        reproduce(papers.choose(names, root)[0], options.row, options.seeds)
    if action in ("reproduce", "collect"):
        folder = home(options.which) if action == "collect" and options.which else RUNS
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder of runs")
        for path in collect(folder, root):
            click.echo(f"collected {path}")
        names = ()
    files = expected_files(root, names)
    if options.check:
        for path in stale_files(files):
            raise UserError(f"{path} is out of date: run python -m common.targets update")
        return
    for path in write(files):
        click.echo(f"wrote {path}")


if __name__ == "__main__":
    main()
