"""Verdicts from their definition: a match excludes other rules, or says that it does not."""

import csv
from pathlib import Path
from typing import Any

import pytest

from common.reports import papers
from common.reports.measured import recompute
from common.reports.target_rows import COLUMNS, Row, read_targets
from common.reports.verdicts import band, indistinguishable, verdict, why
from tests.reports.conftest import epoch


def row(name="a", rule="lra_e", paper=98.0, ours=98.0, half=0.1, **more) -> Row:
    facts: dict[str, Any] = {"source": "Table 1", "dataset": "mnist", "network": "mlp"}
    facts |= {"metric": "test_accuracy"}
    facts |= {"paper_spread": None, "recipe": "paper", "command": "", "seeds": (1, 2, 3), "n": 3}
    known = {"id": name, "rule": rule, "paper": paper, "ours": ours, "interval": half}
    return Row(**(facts | known | more))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (dict(ours=98.1, half=0.1), "match"),  # 98.2 is the edge of 98 ± a tenth of 2
        (dict(ours=98.1, half=0.11), "inconclusive"),  # 98.21 is beyond it
        (dict(ours=97.9, half=0.1), "match"),
        (dict(ours=98.4, half=0.1), "no"),  # 98.3 .. 98.5: half a point is a quarter of the errors
        (dict(ours=98.4, half=0.2), "inconclusive"),  # touches 98.2
        (dict(ours=98.7, half=0.1, paper_spread=0.4), "match"),  # the band is 2 x 0.4
        (dict(ours=98.7, half=0.1, paper_spread=0.2), "no"),  # 2 x 0.2
        (dict(ours=98.1, half=0.1, paper_spread=0.05), "match"),  # a tenth is more than 2 x 0.05
        (dict(metric="test_error", paper=2.0, ours=2.1), "match"),  # the same band of errors
        (dict(metric="test_error", paper=2.0, ours=2.11), "inconclusive"),
        (dict(metric="min(test_error)", paper=2.0, ours=2.4), "no"),
        (dict(n=2), "inconclusive"),
        (dict(n=1, half=None), "inconclusive"),
        (dict(n=0, ours=None, half=None), "not run"),
        (dict(n=0, ours=None, half=None, paper=None), "not run"),
        (dict(paper=None), "no paper value"),
        (dict(recipe="3 epochs"), "short"),
        (dict(metric="test_loss", paper=0.1, ours=0.105, half=0.006), "inconclusive"),  # no spread
        (dict(metric="test_loss", paper=0.1, ours=0.3, half=0.05), "no"),
        (dict(metric="test_loss", paper=0.1, ours=0.12, half=0.01, paper_spread=0.02), "match"),
    ],
)
def test_verdicts_follow_their_definition(case, expected):
    """A tick that is too generous by one comparison sign sells a miss as a reproduction."""
    assert verdict(row(**case), [row(**case)]) == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (dict(paper=98.2), "agrees"),  # on the edge
        (dict(paper=97.8), "agrees"),
        (dict(paper=98.21), "match"),
        (
            dict(paper=98.1, n=0, ours=None, half=None),
            "agrees",
        ),  # ours of the other rule do not matter
        (dict(paper=98.1, recipe="2 epochs"), "agrees"),
        (dict(paper=98.1, source="Table 7"), "agrees"),
        (dict(paper=1.9, metric="test_error"), "agrees"),  # 98.1 % by another name
        (dict(paper=98.1, metric="best_test_accuracy"), "agrees"),
        (dict(paper=98.1, metric="train_accuracy"), "match"),  # of other images
        (dict(paper=98.1, rule="lra_e"), "match"),  # no other rule is near
        (dict(paper=98.1, network="conv"), "match"),
        (dict(paper=98.1, dataset="svhn"), "match"),
        (dict(paper=None), "match"),
    ],
)
def test_a_match_excludes_other_rules_published_values(other, expected):
    """Where feedback alignment's own number lies in the band, ours shows nothing of the rule."""
    ours = row()
    assert verdict(ours, [ours, row("b", **({"rule": "fa"} | other))]) == expected


def test_an_agreement_names_the_rules_that_it_does_not_exclude():
    """Without the name a reader takes `agrees` for a weaker match."""
    ours = row(verdict="agrees")
    rows = [ours, row("b", "fa", 98.15), row("c", "bp", 97.9), row("d", "kp", 99.0)]
    assert why(ours, rows) == "fa's 98.15 and bp's 97.9 would too"
    assert why(ours, rows[:2]) == "fa's 98.15 would too"
    assert why(row(verdict="match"), rows) == ""


def test_the_papers_own_mnist_row_of_asap_tells_its_rules_apart():
    """The old half point: bp, kp, fa and dfa would all have matched ASAP's row (99.32)."""
    published = {"bp": 99.59, "kp": 99.55, "fa": 99.14, "dfa": 99.28, "asap": 99.32}
    rows = [row(rule, rule, value, value, 0.01) for rule, value in published.items()]
    asap = rows[-1]
    assert band(asap) == pytest.approx(0.068)
    assert [row.rule for row in indistinguishable(asap, rows)] == ["dfa"]
    for value, expected in ((99.59, "no"), (99.55, "no"), (99.14, "no"), (99.28, "agrees")):
        tried = row("asap", "asap", 99.32, value, 0.01)
        assert verdict(tried, rows).replace("partial", "no") == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (dict(paper=98.6, ours=97.0), "partial"),  # bp better in the paper, and here
        (dict(paper=98.6, ours=95.0), "no"),  # here it is worse
        (dict(paper=98.6, ours=96.1, half=0.1), "no"),  # 96.0 .. 96.2 overlaps 95.9 .. 96.1
        (dict(paper=98.6, ours=97.0, n=2), "no"),  # two seeds order nothing
        (dict(paper=98.6, ours=97.0, recipe="short"), "no"),
        (dict(paper=98.6, ours=97.0, network="conv"), "no"),  # another table
        (dict(paper=98.6, ours=97.0, rule="lra_e"), "no"),  # the same rule twice is no order
        (dict(paper=98.6, ours=97.0, paper_spread=0.3), "no"),  # the paper does not order the two
        (dict(paper=98.6, ours=97.0, paper_spread=0.29), "partial"),
    ],
)
def test_partial_needs_the_papers_order_to_hold(other, expected):
    """`partial` for a single row, or within the noise, makes every failure look half right."""
    ours = row(ours=96.0, half=0.1)
    assert verdict(ours, [ours, row("b", **({"rule": "bp"} | other))]) == expected


@pytest.mark.parametrize(
    ("metric", "ours", "last"),
    [
        ("best_test_accuracy", 94.0, 91.0),
        ("min(test_error)", 6.0, 9.0),
        ("test_accuracy", 91.0, None),  # is the last epoch's already
    ],
)
def test_the_last_epochs_value_comes_from_the_same_runs(tmp_path, make_run, metric, ours, last):
    """The best epoch by the test set alone hides what the training ended with."""
    for seed, (best, end) in {1: (93.0, 90.0), 2: (95.0, 92.0)}.items():
        lines = [epoch(1, 80.0), epoch(2, best), epoch(3, end)]
        make_run(tmp_path / "a" / f"seed-{seed}", lines, seed=seed)
    empty: dict[str, Any] = {"ours": None, "half": None, "n": 0}
    (filled,) = recompute([row(metric=metric, dataset="digits", **empty)], tmp_path)
    assert (filled.ours, filled.last, filled.n) == (ours, last, 2)


ALL = [paper for paper in papers.find_papers() if (paper.folder / "targets.csv").exists()]
SMALLER = ("--limit-train", "--limit-test", "--width", "--image-size")


@pytest.mark.parametrize("paper", ALL, ids=lambda paper: paper.name)
def test_no_other_rule_is_inside_the_band_of_a_stored_match(paper):
    """The definition once more, by hand, over every row of the repository."""
    with open(paper.folder / "targets.csv", newline="") as file:
        cells = list(csv.DictReader(file))
    for one in cells:
        if one["verdict"] not in ("match", "agrees"):
            continue
        value, kind = float(one["paper"]), one["metric"]
        half = max(2 * float(one["paper_spread"] or 0), (_error(kind, value)) / 10) + 1e-9
        assert abs(float(one["ours"]) - value) + float(one["interval"]) <= half, one["id"]
        inside = [
            other["id"]
            for other in cells
            if (other["dataset"], other["network"]) == (one["dataset"], one["network"])
            and other["rule"] != one["rule"]
            and other["paper"]
            and abs(_error(other["metric"], float(other["paper"])) - _error(kind, value)) <= half
        ]
        assert bool(inside) == (one["verdict"] == "agrees"), (one["id"], inside)


def _error(metric: str, value: float) -> float:
    assert "accuracy" in metric or "error" in metric, metric
    return 100 - value if "accuracy" in metric else value


@pytest.mark.parametrize("paper", ALL, ids=lambda paper: paper.name)
def test_the_papers_recipe_has_no_option_that_makes_it_smaller(paper):
    """A network a fifth as wide under the recipe "paper" would earn the paper's verdict."""
    for one in read_targets(paper.folder / "targets.csv"):
        words = [word.partition("=")[0] for word in one.command.split()]
        assert one.recipe != "paper" or not {*words} & {*SMALLER}, one.id


def test_the_columns_are_documented():
    """A column that the module does not explain is read in two ways."""
    from common.reports import target_rows

    assert tuple(target_rows.EXPLAINED) == COLUMNS
    assert all(target_rows.EXPLAINED.values())
    assert (Path(target_rows.__file__).parent / "verdicts.py").exists()
