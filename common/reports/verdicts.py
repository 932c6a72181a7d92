"""Does a reproduction hold, and does it tell the rules apart? Verdicts, computed from a row.

The band around a published value is paper ± max(2 x its spread, a tenth of the paper's error):
that of an accuracy is 100 minus it, and a number that is no percentage has its spread alone. Half
a point for everybody would be half of MNIST's errors: backprop, fixed feedback and direct feedback
would each "match" the others' rows. Where another rule's published value for the same network and
data lies in the band all the same, no run of ours can tell the two apart, and the verdict says so.
"""

from collections.abc import Iterable

from common.reports.target_rows import Row, parse_metric

TINY = 1e-9  # so that a bound hit exactly is inside


def error(row: Row) -> float | None:
    """The paper's error in the metric's unit: percent; None if unknown or no percentage."""
    if row.paper is None or not row.in_percent:
        return None
    return 100 - row.paper if parse_metric(row.metric).name.endswith("accuracy") else row.paper


def band(row: Row) -> float:
    """Half width of what counts as the paper's value, in the metric's unit."""
    return max(2 * (row.paper_spread or 0.0), (error(row) or 0.0) / 10)


def indistinguishable(row: Row, rows: Iterable[Row]) -> list[Row]:
    """Rows of other rules, same network and data, whose published value lies in `row`'s band.

    Errors and accuracies of the same images compare (test_error with 100 - test_accuracy),
    whichever epoch they are of; other numbers with their own kind alone. Whether we ran the other
    rule, and how, does not matter: its published value is what a match has to be told from.
    """
    first_rows: dict[str, Row] = {}
    for other in rows:
        same = (other.dataset, other.network) == (row.dataset, row.network)
        if not same or other.rule == row.rule or _quantity(other) != _quantity(row):
            continue
        mine, theirs = (error(one) if one.in_percent else one.paper for one in (row, other))
        if mine is not None and theirs is not None and abs(mine - theirs) <= band(row) + TINY:
            first_rows.setdefault(other.rule, other)
    return list(first_rows.values())


def _quantity(row: Row) -> str:
    """What was measured, an error being 100 minus an accuracy: "test" of both."""
    name = parse_metric(row.metric).name
    return name.removesuffix("_error").removesuffix("_accuracy")


def verdict(row: Row, rows: Iterable[Row]) -> str:
    """The verdict of `row` among the `rows` of its file.

    not run         no run on disk
    no paper value  the paper's value is not known to us
    short           the recipe is not the paper's
    match           ours ± interval lies wholly inside the band, and no other rule's published
                    value does (`indistinguishable`)
    agrees          ours ± interval lies wholly inside the band, but so does another rule's
                    published value: the row does not tell the rules apart (`why` names
                    the rule)
    partial         it lies wholly outside, but the ordering of the rules holds (`ordering_holds`)
    no              it lies wholly outside, and the ordering does not hold or cannot be told
    inconclusive    everything else, fewer than three seeds included
    """
    if row.n == 0 or row.ours is None:
        return "not run"
    if row.paper is None:
        return "no paper value"
    if row.recipe != "paper":
        return "short"
    if not row.comparable or row.interval is None:
        return "inconclusive"
    rows = list(rows)
    gap = abs(row.ours - row.paper)
    if gap + row.interval <= band(row) + TINY:
        return "agrees" if indistinguishable(row, rows) else "match"
    if gap - row.interval > band(row) + TINY:
        return "partial" if ordering_holds(row, rows) else "no"
    return "inconclusive"


def why(row: Row, rows: Iterable[Row]) -> str:
    """Of a row that agrees: the rules that it is not told from, in words; else ""."""
    if row.verdict != "agrees":
        return ""
    names = [f"{other.rule}'s {other.paper:g}" for other in indistinguishable(row, rows)]
    listed = ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
    return f"{listed} would too"


def ordering_holds(row: Row, rows: Iterable[Row]) -> bool:
    """Does our ordering of the rules agree with the paper's, as far as `row` is concerned?

    Compared are the other comparable rows of the same source, data set, network and metric. The
    paper orders a pair whose values differ by more than twice the larger of the two spreads. Ours
    agrees if the means differ in the same direction and the two 95 % intervals do not overlap.
    True if the paper orders at least one pair and ours agrees with every pair that it orders.
    """
    ordered = False
    for other in rows:
        same = (other.source, other.dataset, other.network, other.metric) == (
            row.source,
            row.dataset,
            row.network,
            row.metric,
        )
        if other.id == row.id or other.rule == row.rule or not same or not other.comparable:
            continue
        assert row.paper is not None and other.paper is not None
        assert row.ours is not None and other.ours is not None
        theirs, ours = row.paper - other.paper, row.ours - other.ours
        if abs(theirs) <= 2 * max(row.paper_spread or 0.0, other.paper_spread or 0.0):
            continue
        ordered = True
        apart = abs(ours) > (row.interval or 0.0) + (other.interval or 0.0)
        if not apart or (ours > 0) != (theirs > 0):
            return False
    return ordered
