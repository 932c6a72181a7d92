"""Figures: the lines that are drawn are the numbers of the files."""

import math
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from common.reports import figures
from common.reports.grouping import group
from common.runs.read_back import Series, read_run
from tests.reports.conftest import audit, epoch


def lines_of(figure):
    """Name → (x, y) of the named lines of a figure."""
    lines = (line for line in figure.axes[0].get_lines() if line.get_gid())
    return {line.get_gid(): tuple(map(list, line.get_data())) for line in lines}


def test_learning_curves_draw_the_mean_and_every_seed(tmp_path, make_run):
    """Test and training swapped, or a mean over fewer seeds than it seems, tells a wrong story."""
    accuracies = {1: [90.0, 92.0, 93.0], 2: [94.0, 95.0]}  # seed 2 is an epoch behind
    for seed, values in accuracies.items():
        lines = [epoch(i, value) for i, value in enumerate(values, start=1)]
        make_run(tmp_path / f"s{seed}", lines, seed=seed)
    series = group([read_run(tmp_path / f"s{seed}") for seed in accuracies])
    figure = figures.draw(series)["accuracy"]
    drawn = lines_of(figure)
    assert drawn["lra_e test"] == ([1, 2], [92.0, 93.5])
    assert drawn["lra_e train"] == ([1, 2], [93.5, 95.0])
    everything = [np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].get_lines()]
    assert accuracies[1] in everything and accuracies[2] in everything
    assert figure.axes[0].get_ylabel() == "accuracy (%)"


def test_every_layer_has_its_own_line_with_a_gap_where_the_gradient_is_too_small(
    tmp_path, make_run
):
    """The angle to a vanished gradient is noise, and looks like a rule that does not work."""
    lines = [
        audit(0, {"W1": 80.0, "W2": 10.0}),
        audit(5, {"W1": 89.0, "W2": 20.0}, small=("W1",)),
        audit(10, {"W1": None, "W2": 30.0}),
        epoch(1, 90.0),
        audit(20, {"W1": 70.0, "W2": 40.0}),
        epoch(2, 91.0),
    ]
    run = read_run(make_run(tmp_path / "r", lines))
    drawn = figures.draw(group([run]))
    credit = lines_of(drawn["credit_angles"])
    assert list(credit) == ["W1", "W2"]
    assert credit["W2"] == ([0, 0.5, 1, 2], [10.0, 20.0, 30.0, 40.0])
    assert [y for y in credit["W1"][1] if not math.isnan(y)] == [80.0, 70.0]
    assert lines_of(drawn["feedback_angles"])["E2"] == ([0, 0.5, 1, 2], [90.0, 85.0, 80.0, 70.0])
    cosines = lines_of(figures.draw(group([run]), unit="cosine")["credit_angles"])
    assert cosines["W2"][1] == [0.25] * 4


def test_layers_become_lighter_with_depth(tmp_path, make_run):
    """Colours in no order hide which end of the network gets no credit."""
    angles = {f"W{layer}": 80.0 - layer for layer in range(1, 13)}
    run = read_run(make_run(tmp_path / "r", [audit(0, angles), audit(10, angles), epoch(1, 9.0)]))
    axes = figures.draw(group([run]))["credit_angles"].axes[0]
    shades = [to_rgb(line.get_color()) for line in axes.get_lines() if line.get_gid()]
    lightness = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in shades]
    assert len(shades) == 12 and lightness == sorted(lightness) and len(set(lightness)) == 12
    assert {text.get_text() for text in axes.texts} == set(angles)


def test_names_at_the_lines_ends_do_not_overlap(tmp_path, make_run):
    """Backprop's angles are all zero: its layers' names would lie on one another."""
    angles = {f"W{layer}": 0.0 for layer in range(1, 17)}
    run = read_run(make_run(tmp_path / "r", [audit(0, angles), audit(10, angles), epoch(1, 9.0)]))
    figure = figures.draw(group([run]))["credit_angles"]
    figure.savefig(tmp_path / "x.png")  # a renderer, to measure with
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # without its arrow
    boxes.sort(key=lambda box: box.y0)
    assert len(boxes) == 16
    assert boxes[0].y1 > figure.axes[0].bbox.y0
    assert all(below.y1 <= above.y0 + 1 for below, above in zip(boxes, boxes[1:], strict=False))


def test_backprop_is_grey_and_a_rule_keeps_its_colour():
    """A rule that changes its colour from one panel to the next is read as another rule."""
    names = [("LRA-E", "lra_e"), ("backprop", "bp"), ("ASAP", "asap"), ("LRA-E", "lra_e")]
    colours = figures.palette([Series(label, rule, ()) for label, rule in names])
    assert colours["backprop"] in figures.GREYS
    assert len(set(colours.values())) == 3 == len(colours)
    assert {colours["LRA-E"], colours["ASAP"]} <= set(figures.COLOURS)


@pytest.mark.parametrize("rule", ["bp", "ebp", "backprop", "backprop_matched"])
def test_backprop_is_grey_whatever_its_paper_calls_it(rule):
    """A baseline in a rule's colour, for nobody told the figures how the paper calls it."""
    colours = figures.palette([Series("baseline", rule, ()), Series("BrainProp", "brainprop", ())])
    assert colours == {"baseline": figures.GREYS[0], "BrainProp": figures.COLOURS[0]}


DIED = epoch(1, 0.0) | dict.fromkeys(("test_accuracy", "train_accuracy", "train_loss"))


@pytest.mark.parametrize("lines", [[], [DIED | {"test_loss": float("nan")}]])
def test_a_run_without_numbers_draws_what_there_is(tmp_path, make_run, lines):
    """A run that died in its first epoch took the whole page with it."""
    run = read_run(make_run(tmp_path / "r", lines))
    assert figures.draw(group([run])) == {}


def test_a_svg_takes_the_colours_of_its_page(tmp_path, make_run):
    """Black text on a dark page cannot be read."""
    run = read_run(make_run(tmp_path / "r", [epoch(1, 90.0), epoch(2, 91.0)]))
    svg = figures.svg(figures.draw(group([run]))["accuracy"])
    assert figures.INK not in svg and "currentColor" in svg
    assert re.match(r"<svg [^>]*viewBox=", svg) and "xmlns" not in svg and "accuracy (%)" in svg


def test_many_long_names_leave_the_panel_its_height(tmp_path, make_run, recwarn):
    """A legend of fifteen layers printed over a panel that has collapsed under it."""
    layers = {f"features.denseblock{i}.denselayer1.conv2": 10.0 * i for i in range(15)}
    run = read_run(make_run(tmp_path / "r", [audit(0, layers), epoch(1, 90.0), audit(10, layers)]))
    figure = figures.draw(group([run]))["credit_angles"]
    figures.svg(figure)
    assert not [str(w.message) for w in recwarn if "collapsed" in str(w.message)]
    assert figure.axes[0].get_window_extent().height / figure.dpi > 1.8  # inches


def test_the_seventh_series_has_a_colour_of_its_own():
    """Two rules in one colour are one rule to the reader."""
    names = [f"rule {i}" for i in range(14)] + ["bp"]
    colours = figures.palette([Series(name, name, ()) for name in names])
    assert len(set(colours.values())) == 15
