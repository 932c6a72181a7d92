"""Curves of run directories: a line is a recipe, n counts its seeds, and no number is hidden."""

import numpy as np
import pytest

from common.errors import UserError
from common.reports import curves
from common.reports.grouping import group, tell_apart
from common.runs.read_back import read_run, read_runs
from tests.reports.conftest import epoch


def drawn(axes) -> list[list[float]]:
    return [np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()]


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def lines(*accuracies: float) -> list[dict]:
    return [epoch(i, value) for i, value in enumerate(accuracies, start=1)]


def test_error_curves_are_of_every_seed_and_their_mean_by_rule_and_data_set(tmp_path, make_run):
    """Accuracy drawn as error, a seed lost, or two rules averaged into one line."""
    paths = [
        make_run(tmp_path / "a", lines(90.0, 92.0, 93.0), options={"dataset": "mnist"}),
        make_run(tmp_path / "b", lines(94.0, 100.0), seed=2, options={"dataset": "mnist"}),
        make_run(tmp_path / "c", lines(95.0), rule="bp", options={"dataset": "mnist"}),
        make_run(tmp_path / "d", lines(80.0, 81.0), rule="bp"),
    ]
    for path in paths[:3]:  # the summary says digits
        (path / "summary.json").unlink()
    panels = curves.panels_of(read_runs(paths))
    figure = curves.errors(panels, {"bp": "backprop"})
    mnist, digits = figure.axes
    expected = [[10, 8, 7], [6, curves.LEAST], [8, pytest.approx(4.005)], [5], [5]]
    assert drawn(mnist) == expected and drawn(digits) == [[20, 19], [20, 19]]
    assert np.asarray(mnist.get_lines()[2].get_xdata()).tolist() == [1, 2]
    assert legend(mnist) == ["lra_e (n = 2)", "backprop (n = 1)"]
    assert (mnist.get_title(), digits.get_title()) == ("mnist", "digits")
    assert mnist.get_lines()[4].get_marker() == "."  # one epoch is a point, not a line of no length
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        curves.save(panels, tmp_path / "file" / "curves.png")


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"width": 0.2}},
        {"options": {"lr": 0.01}},
        {"options": {"layers": [784, 10]}},
        {"paper": "asap"},
    ],
)
def test_runs_of_other_recipes_are_not_seeds_of_one_line(tmp_path, make_run, change):
    """ "n = 2" over a network and one a fifth as wide: a mean of what nobody ran."""
    paths = [
        make_run(tmp_path / "a", lines(90.0)),
        make_run(tmp_path / "b", lines(50.0), seed=2, **change),
    ]
    figure = curves.errors(curves.panels_of(read_runs(paths)))
    names = [name for axes in figure.axes for name in legend(axes)]
    assert all(name.endswith("(n = 1)") for name in names) and len(names) == 2
    titles = [axes.get_title() for axes in figure.axes]
    assert len({*zip(titles * 2, names, strict=False)}) == 2
    if "options" in change:
        ((option, value),) = change["options"].items()
        assert names == [f"lra_e, {option}=None (n = 1)", f"lra_e, {option}={value} (n = 1)"]
    else:
        assert titles == ["lra_e: digits", "asap: digits"]


def test_a_run_given_twice_is_drawn_once(tmp_path, make_run):
    """A shell pattern that matches a run twice made a second seed of it."""
    path = make_run(tmp_path / "a", lines(90.0))
    (tmp_path / "link").symlink_to(path)
    again = [path, tmp_path / "a" / ".." / "a", tmp_path / "link"]
    assert [run.path for run in read_runs(again)] == [path]
    other = make_run(tmp_path / "b", lines(91.0), seed=2)
    assert [run.path for run in read_runs([other, path, other])] == [other, path]
    (one,) = curves.panels_of(read_runs([*again, other]))["digits"]
    assert len(one.runs) == 2


def test_where_a_run_lies_and_what_an_older_program_had_not_are_no_recipes(tmp_path, make_run):
    """Burstprop's RESULTS argument made every seed a recipe of its own: no mean, no interval."""
    more = [{"directory": "x/1", "workers": 2}, {"directory": "x/2", "new": None}]
    for paper, alike in (("burstprop", True), ("lra_e", False)):  # who has no such options
        paths = [
            make_run(tmp_path / paper / str(i), lines(90.0), seed=i, options=each, paper=paper)
            for i, each in enumerate(more)
        ]
        groups = group(read_runs(paths))
        assert len(groups) == (1 if alike else 2)
        assert (groups[0].label == "lra_e") == alike


def test_curves_of_run_directories(tmp_path, make_run, capsys):
    """The command reads what a run wrote, leaving out the line from before training."""
    before = epoch(1, 10.0) | {"epoch": 0}
    gap = epoch(2, 0.0) | {"test_accuracy": None}
    folder = make_run(tmp_path / "run", [before, epoch(1, 90.0), gap, epoch(3, 92.0)])
    assert curves.accuracies(read_run(folder)) == [(1, 90.0), (3, 92.0)]  # not at epoch 2
    curves.main.main(
        [str(folder), str(folder), "--out", str(tmp_path / "c.png")], standalone_mode=False
    )
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"


def test_titles_of_different_runs_differ(tmp_path, make_run):
    """Three panels with one title: the reader cannot know which run is which."""
    paths = [
        make_run(tmp_path / "a", lines(90.0), options={"lr": 0.1}),
        make_run(tmp_path / "b", lines(90.0), options={"lr": 0.2}),
        make_run(tmp_path / "c", lines(90.0), options={"lr": 0.2}, seed=2),
        make_run(tmp_path / "d", lines(90.0), options={"lr": 0.2}, seed=2),
        make_run(tmp_path / "e", lines(90.0), rule="bp"),
    ]
    titles = tell_apart(read_runs(paths), ["lra_e"] * 4 + ["bp"])
    assert titles == [
        f"lra_e, lr=0.1, seed 1, {tmp_path / 'a'}",
        f"lra_e, lr=0.2, seed 1, {tmp_path / 'b'}",
        f"lra_e, lr=0.2, seed 2, {tmp_path / 'c'}",
        f"lra_e, lr=0.2, seed 2, {tmp_path / 'd'}",
        "bp",
    ]
    assert tell_apart(read_runs(paths[:2]), ["t", "t"]) == ["t, lr=0.1", "t, lr=0.2"]
    assert tell_apart(read_runs(paths[1:3]), ["t", "t"]) == ["t, seed 1", "t, seed 2"]
    assert tell_apart(read_runs(paths[:2]), ["t", "u"]) == ["t", "u"]
