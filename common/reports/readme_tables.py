"""The tables that stand in the READMEs, as Markdown, from rows of targets.csv and from switches."""

import importlib

from common.errors import UserError
from common.reports import papers
from common.reports.target_rows import Row, parse_metric
from common.reports.verdicts import indistinguishable, why

DASH = "–"


def papers_table(known: list[papers.Paper], rows: dict[str, list[Row]]) -> str:
    """The main README's table: a line a paper, from the row that its paper.toml names.

    Both numbers are that row's, so that like stands beside like; ours is a dash where no run has
    the row's network, data and recipe.
    """
    lines, notes = [], []
    for paper in known:
        row = next((row for row in rows[paper.name] if row.id == paper.our_row), None)
        if paper.our_row and row is None:
            raise UserError(
                f"{paper.folder / 'paper.toml'}: no row {paper.our_row!r} in targets.csv"
            )
        title = f"[{paper.title}]({paper.name}/README.md)"
        cells = [title, paper.rule, paper.framework, f"`{paper.command}`"]
        lines.append([*cells, *(_compared(row, rows[paper.name]) if row else (DASH, DASH))])
    head = ["paper", "rule", "framework", "command", "number to reach (its source)"]
    table = _markdown([*head, "ours: same network, data and recipe"], lines)
    if any(line[-1] == DASH for line in lines):
        notes.append(
            f"{DASH}: no run of ours has that network, those data and the whole recipe; what was "
            "run shorter or narrower stands in the paper's README."
        )
    if any("last epoch" in line[-1] for line in lines):
        notes.append(
            "An accuracy with its last epoch's beside it is of the best epoch by the test set, as "
            "the original takes it."
        )
    return table + "".join(f"\n{note}\n" for note in notes)


def _compared(row: Row, rows: list[Row]) -> tuple[str, str]:
    """The paper's number with its source, and ours or a dash."""
    if row.paper is None:
        return "not available", DASH
    kind = "error" if parse_metric(row.metric).name.endswith("error") else ""
    data = row.dataset.replace("_", " ")
    theirs = f"{data}, {row.network}: {_paper(row)} % {kind}".strip() + f" ({row.source})"
    if not row.like_for_like:
        return theirs, DASH
    last = "" if row.last is None else f", last epoch {row.last:.2f} %"
    return theirs, f"{_ours(row)}{last} ({_verdict(row, rows)}, n = {row.n})"


def targets_table(rows: list[Row]) -> str:
    """A paper's numbers beside ours, which epoch they are of, and what ours were made with."""
    chosen = [row for row in rows if parse_metric(row.metric).chosen_by_test]
    lines = []
    for row in rows:
        cost = f" ({row.cost})" if row.verdict == "not run" and row.cost else ""
        cells = [row.id, row.source, row.dataset, row.network, row.rule, row.metric]
        cells += ["not available" if row.paper is None else _paper(row), _ours(row)]
        if chosen:
            cells.append(DASH if row.last is None else f"{row.last:.2f} %")
        cells += [str(row.n or DASH), row.recipe, _verdict(row, rows) + cost]
        lines.append(cells)
    head = ["row", "source", "data", "network", "rule", "metric", "paper", "ours (± 95 %)"]
    head += ["last epoch", "n"] if chosen else ["n"]
    made = dict.fromkeys(
        (row.hardware, commit) for row in rows if row.n for commit in row.commit.split("; ")
    )
    notes = [
        f"{hardware or 'unknown hardware'}, commit {commit or '?'}" for hardware, commit in made
    ]
    summary = " ".join(filter(None, (_epochs(rows, chosen), _bands(rows))))
    text = f"{summary}\n\n" + _markdown([*head, "recipe", "verdict"], lines)
    return text + (f"\nOurs were measured on: {'; '.join(notes)}.\n" if notes else "")


def _epochs(rows: list[Row], chosen: list[Row]) -> str:
    """Which epoch the rows' values are of."""
    if not chosen:
        return "Values are the last epoch's: no epoch is chosen by the test set."
    return (
        f"{len(chosen)} of {len(rows)} rows take the best epoch by the test set (metric "
        f"`{chosen[0].metric}`), as the original does: the images that choose the epoch also "
        "measure it, so such a value is never below the last epoch's, which stands beside it."
    )


def _bands(rows: list[Row]) -> str:
    """What a match means, and in how many rows there can be none."""
    whole = [row for row in rows if row.recipe == "paper" and row.paper is not None]
    if not whole:
        return ""
    close = [row for row in whole if indistinguishable(row, rows)]
    text = (
        "`match`: ours ± 95 % lies within paper ± max(2 × spread, a tenth of the paper's error), "
        "and no other rule's published value for that network and those data does; `agrees`: "
        "another's does too."
    )
    if close:
        text += (
            f" So {len(close)} of the {len(whole)} rows with the paper's recipe can only agree: "
            "the paper's own values are too close there to tell the rules apart."
        )
    return text


def _paper(row: Row) -> str:
    return f"{row.paper:g}" + (f" ± {row.paper_spread:g}" if row.paper_spread else "")


def _verdict(row: Row, rows: list[Row]) -> str:
    """The verdict, with the rules that an `agrees` does not exclude."""
    return f"agrees: {why(row, rows)}" if row.verdict == "agrees" else row.verdict


def _ours(row: Row) -> str:
    if row.ours is None:
        return DASH
    unit = " %" if row.in_percent else ""
    width = "" if row.interval is None else f" ± {row.interval:.2f}"
    return f"{row.ours:.2f}{width}{unit}"


def switches_table(name: str) -> str:
    """Defect, switch, effect, evidence and both presets of `Fidelity` in a paper's `fidelity`, or
    in the module that the name says."""
    from common.cli import switches

    module = name if "." in name else f"{name}.fidelity"
    return switches.table(importlib.import_module(module).Fidelity).strip() + "\n"


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    table = [head, ["---"] * len(head), *lines]
    clean = [[" ".join(cell.replace("|", "\\|").split()) for cell in line] for line in table]
    return "".join(f"| {' | '.join(line)} |\n" for line in clean)
