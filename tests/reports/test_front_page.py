"""What the READMEs say of numbers, held against targets.csv, which is read here by hand."""

import csv
import json
import re
import tomllib
from pathlib import Path
from statistics import fmean

import pytest

from common.reports import papers
from common.reports.readme_tables import DASH, papers_table, targets_table
from tests.reports.test_verdicts import row

ROOT = papers.root()
PAPERS = sorted(path.parent for path in ROOT.glob("*/paper.toml"))


def cells(folder: Path) -> list[dict[str, str]]:
    with open(folder / "targets.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def block(path: Path, mark: str) -> str:
    match = re.search(rf"<!-- {mark} -->\n(.*?)<!-- end -->", path.read_text(), re.S)
    assert match, f"{path}: no block {mark}"
    return match[1]


def table(text: str) -> list[dict[str, str]]:
    """The lines of a Markdown table under their headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    head, _, *rest = [[cell.strip() for cell in line] for line in split]
    return [dict(zip(head, line, strict=True)) for line in rest]


@pytest.mark.parametrize("folder", PAPERS, ids=lambda path: path.name)
def test_the_front_table_compares_like_with_like_or_shows_a_dash(folder):
    """58 % of 200 classes beside 84 % of ten: the first thing that a visitor sees is false."""
    (line,) = [
        line
        for line in table(block(ROOT / "README.md", "papers"))
        if f"({folder.name}/README.md)" in line["paper"]
    ]
    chosen = tomllib.loads((folder / "paper.toml").read_text())["our_row"]
    (known,) = [each for each in cells(folder) if each["id"] == chosen]
    theirs = line["number to reach (its source)"]
    ours = line["ours: same network, data and recipe"]
    if not known["paper"]:
        assert (theirs, ours) == ("not available", DASH)
        return
    assert re.search(rf": {float(known['paper']):g}( ±| %)", theirs), theirs
    assert known["network"] in theirs and known["source"] in theirs
    assert known["dataset"].replace("_", " ") in theirs
    if known["recipe"] != "paper" or int(known["n"]) == 0:
        assert ours == DASH
    else:
        assert ours.startswith(f"{float(known['ours']):.2f}") and known["verdict"] in ours
        assert bool(known["last"]) == ("last epoch" in ours)


@pytest.mark.parametrize(
    "change",
    [
        dict(recipe="1 epoch of 200"),
        dict(recipe="10 epochs, widths x 0.2", network="mlp, widths x 0.2"),
        dict(n=0, ours=None, interval=None),
        dict(paper=None),
    ],
)
def test_a_row_that_does_not_compare_gets_a_dash(change, tmp_path):
    """Planted rows, since those of the day may all compare."""
    paper = papers.Paper("p", tmp_path, "T", "r", "PyTorch", "python -m p", our_row="a")
    whole = row(ours=96.17, verdict="no")
    planted = row(**({"ours": 96.17, "verdict": "no"} | change))
    (line,) = table(papers_table([paper], {"p": [whole]}))
    assert line["ours: same network, data and recipe"] == "96.17 ± 0.10 % (no, n = 3)"
    (line,) = table(papers_table([paper], {"p": [planted]}))
    assert line["ours: same network, data and recipe"] == DASH
    assert "96.17" not in papers_table([paper], {"p": [planted]})


@pytest.mark.parametrize("folder", PAPERS, ids=lambda path: path.name)
def test_every_results_section_says_once_which_epoch_its_values_are_of(folder):
    """The best epoch by the test set, unsaid, is a few tenths of a point for free."""
    rows = cells(folder)
    best = [each for each in rows if not each["metric"].startswith("test_")]
    text = block(folder / "README.md", f"targets: {folder.name}")
    assert text.count("by the test set") == 1
    if not best:
        assert text.startswith("Values are the last epoch's")
        return
    assert text.startswith(f"{len(best)} of {len(rows)} rows take the best epoch by the test set")
    shown = {line["row"]: line["last epoch"] for line in table(text)}
    for each in rows:
        expected = f"{float(each['last']):.2f} %" if each["last"] else DASH
        assert shown[each["id"]] == expected
        if each in best and int(each["n"]):
            assert float(each["last"]) <= float(each["ours"]), each["id"]


def test_the_tables_name_the_rules_near_a_row_that_agrees():
    """`agrees` without a word why is a match in small print."""
    rows = [row(verdict="agrees"), row("b", "fa", 98.1)]
    assert "| agrees: fa's 98.1 would too |" in targets_table(rows)


def test_a_results_section_says_in_how_many_rows_no_match_is_possible():
    """ASAP's table has kp and bp a tenth of a point apart: no run can tell them apart there."""
    far = [row("a"), row("b", "fa", 90.0), row("c", "bp", 98.1, recipe="2 epochs")]
    assert "So 1 of the 2 rows" in targets_table(far)  # c was cut short, but its number stands
    assert "can only agree" not in targets_table(far[:2])
    assert "`match`" not in targets_table([row(paper=None)])


def test_asaps_cosines_are_those_of_the_stored_runs():
    """A sentence that says 0 where the runs have 0.95, and names a cause without its control."""
    text = (ROOT / "asap" / "README.md").read_text()
    start = text.index("| layer | learns from")
    shown = table(text[start : text.index("\n\n", start)])
    assert len(shown) == 11
    places = {"ASAP": "uniform", "ASAP, scaled feedback": "scaled", "KP": "kp-uniform"}
    for column, place in places.items():
        for line in shown:
            net, _, layer = line["layer"].rpartition(": ")
            folder = ROOT / "asap/results/alignment" / f"{net or 'resnet18'}-{place}"
            lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
            audits = [one["credit"] for one in lines if one["kind"] == "audit" and one["step"] > 20]
            values = [audit[layer]["cosine"] for audit in audits]
            expected = f"{fmean(values):.2f} ({min(values):.2f} to {max(values):.2f})"
            assert line[column] == expected, (line["layer"], column)
