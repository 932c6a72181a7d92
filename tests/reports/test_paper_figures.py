"""The papers' own figures: every number of the runs is inside the axes, every title is one run's.

None of them needs a framework; runs are written by hand.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from asap import alignment
from burstprop import fig5
from common.errors import UserError
from common.runs.read_back import read_runs
from lra_e.deep import figure as depth_figure
from lra_e.deep import study
from s3net.interpretability import plots
from tests.reports.conftest import epoch

ASAP = {"model": "convnet", "feedback": "asap", "feedback_init": "uniform"}


def cosines(step: int, value: float | None, small: bool = False) -> dict:
    one = {"convs.1": {"cosine": value, "too_small": small}, "head": {"cosine": 1.0}}
    return {"kind": "audit", "epoch": 0, "step": step, "credit": one, "feedback": one}


def hidden(axes) -> list[tuple[float, float]]:
    """Points of the lines (not of the reference lines) that lie outside the axes' limits."""
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    points = [
        (float(x), float(y))
        for line in axes.get_lines()
        if len(line.get_xdata()) and not line.get_label().startswith("_child")
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
    inside = [left <= x <= right and low <= y <= high for x, y in points if y == y]
    return [point for point, seen in zip(points, inside, strict=False) if not seen]


def test_alignment_shows_cosines_down_to_minus_one(tmp_path, make_run):
    """Updates that point against the gradient, cut away at -0.3: the story's other half."""
    lines = [cosines(0, -0.94), cosines(1, 0.95)]
    runs = read_runs([make_run(tmp_path / "a", lines, paper="asap", options=ASAP)])
    figure = alignment.draw(runs)
    assert all(axes.get_ylim()[0] < -0.94 and not hidden(axes) for axes in figure.axes)
    mild = read_runs([make_run(tmp_path / "b", [cosines(0, 0.1)], paper="asap", options=ASAP)])
    assert alignment.draw(mild).axes[0].get_ylim()[0] == alignment.LOWEST


def test_alignment_has_a_gap_where_the_gradient_is_too_small(tmp_path, make_run):
    """The direction of rounding noise, drawn as if it were learnt or unlearnt."""
    lines = [cosines(0, 0.1), cosines(1, -0.9, small=True), cosines(2, None), cosines(3, 0.2)]
    (run,) = read_runs([make_run(tmp_path / "a", lines, paper="asap", options=ASAP)])
    for what in ("credit", "feedback"):
        points = alignment.curves(run.audits, what)["convs.1"]
        assert [step for step, _ in points] == [0, 1, 2, 3]
        assert [y for _, y in points if y == y] == [0.1, 0.2]
    line = alignment.draw([run]).axes[0].get_lines()[0]
    assert np.isnan(np.asarray(line.get_ydata(), float)).tolist() == [False, True, True, False]


def test_alignment_titles_tell_runs_apart(tmp_path, make_run):
    """Three runs of other widths and seeds under one title."""
    lines = [cosines(0, 0.1)]
    changes = [{"width": 0.2}, {"width": 1.0}, {"width": 1.0}]
    runs = read_runs(
        make_run(tmp_path / str(i), lines, paper="asap", seed=max(i, 1), options=ASAP | change)
        for i, change in enumerate(changes)
    )
    titles = [axes.get_title() for axes in alignment.draw(runs).axes[:3]]
    assert len(set(titles)) == 3 and "width=0.2" in titles[0] and "seed 2" in titles[2]


def test_another_papers_run_is_named(tmp_path, make_run):
    """A KeyError where one line says which run is of another program."""
    runs = read_runs([make_run(tmp_path / "a", [cosines(0, 0.1), epoch(1, 90.0)])])
    with pytest.raises(UserError, match=r"/a: a run of lra_e, not of asap"):
        alignment.draw(runs)
    with pytest.raises(UserError, match=r"/a: a run of lra_e, not of burstprop"):
        fig5.draw(runs)


BURST = {"weight_fa_learning": True, "recurrent_input": False}


def angles(number: int, weight: float, delta: float | None) -> dict:
    return epoch(number, 90.0, **{"weight_angle/0": weight, "delta_angle/0": delta})


def test_fig5_shows_angles_beyond_90_degrees_and_gaps(tmp_path, make_run):
    """Deltas that point away from backprop's (up to 180°), above the panel's edge of 105."""
    lines = [angles(1, 90.0, 170.0), angles(2, 80.0, None), angles(3, 70.0, 30.0)]
    runs = read_runs([make_run(tmp_path / "a", lines, paper="burstprop", options=BURST)])
    figure = fig5.draw(runs)
    assert [hidden(axes) for axes in figure.axes] == [[], []]
    assert figure.axes[1].get_ylim()[1] > 170
    line = np.asarray(figure.axes[1].get_lines()[0].get_ydata(), float)
    assert np.isnan(line).tolist() == [False, True, False]


def test_fig5_joins_seeds_of_one_recipe_alone(tmp_path, make_run):
    """Networks of other sizes averaged as seeds; a shorter run that cuts the others in silence."""
    long, short = [angles(i, 90.0, 80.0) for i in (1, 2, 3)], [angles(1, 60.0, 40.0)]
    paths = [
        make_run(tmp_path / "a", long, paper="burstprop", options=BURST),
        make_run(tmp_path / "b", long, paper="burstprop", seed=2, options=BURST),
        make_run(tmp_path / "c", short, paper="burstprop", options=BURST | {"n_hidden_layers": 5}),
    ]
    figure = fig5.draw(read_runs([*paths, paths[0]]))
    drawn = {
        str(line.get_label()): np.asarray(line.get_ydata()).tolist()
        for line in figure.axes[0].get_lines()
        if not str(line.get_label()).startswith("_")
    }
    assert drawn == {
        "learned feedback, n_hidden_layers=None": [90.0] * 3,
        "learned feedback, n_hidden_layers=5": [60.0],
    }


def record(angle: float | None, **more) -> dict:
    facts = {"dataset": "digits", "depth": 2, "rule": "lra_e", "test_accuracy": [90.0]}
    return facts | {"credit_angle": {"W1": 120.0, "W2": angle, "W3": 20.0}} | more


def test_depth_shows_angles_beyond_the_legend_and_gaps():
    """Angles above 116° (an E that stopped learning) were outside the panel."""
    from matplotlib.figure import Figure

    for highest in (50.0, 170.0):
        axes = Figure().subplots()
        depth_figure._angles(
            axes, [record(highest), record(None)], {2: "black"}, "credit_angle", ""
        )
        assert hidden(axes) == []
        assert axes.get_ylim()[1] >= max(120.0, highest) + 26  # the legend's room is above
        gap = np.asarray(axes.get_lines()[1].get_ydata(), float)
        assert np.isnan(gap).tolist() == [False, True, False]


def test_depth_refuses_runs_of_two_recipes_in_one_point(tmp_path, make_run):
    """A study gone on with other epochs: means over what was never one experiment."""
    for seed, more in ((1, {}), (2, {"epochs": 30})):
        options = {"layers": [784, 256, 256, 10], **more}
        folder = tmp_path / "digits" / "h2-lra_e" / f"seed-{seed}"
        make_run(folder, [epoch(1, 90.0)], seed=seed, options=options)
        line = {"kind": "audit", "epoch": 1, "step": 10, "credit": {}, "feedback": {}}
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    with pytest.raises(UserError, match=r"h2-lra_e: .*several recipes: epochs differ"):
        study.collect(tmp_path)


def test_dice_shows_what_lies_below_zero(tmp_path: Path, monkeypatch):
    """A standard error that reaches below 0 was cut at the axis."""
    kept: list = []
    monkeypatch.setattr(plots, "save", lambda figure, file, **_: kept.append(figure))
    plots.curves(np.array([10, 50]), {"a": np.array([[0.0, 0.1], [0.0, 0.0]])}, tmp_path / "f")
    plots.curves(np.array([10, 50]), {"a": np.array([[-0.3, 0.1], [0.2, 0.4]])}, tmp_path / "f")
    bottoms = [figure.axes[0].get_ylim()[0] for figure in kept]
    reach = -0.1 - np.std([-0.3, 0.1], ddof=1) / 2**0.5
    assert bottoms == pytest.approx([0.0, reach])
