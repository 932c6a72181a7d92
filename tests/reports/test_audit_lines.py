"""Figures say what their points are of: new audit lines, and those that the past left."""

import numpy as np
import pytest

from common.reports import figures
from common.reports.audit_lines import band, measured
from common.reports.compare import group, read_run
from tests.reports.conftest import audit, epoch


def test_what_points_are_of_is_said_for_new_and_old_lines():
    """An angle of one batch that a reader takes for the network's."""
    assert measured([]) == ""
    assert measured([{"step": 0}, {"step": 5}]) == "each point one batch"
    new = {"images": 512, "batches": 4}
    assert measured([new, new]) == (
        "the same 512 images at each point; bands: mean ± spread of 4 batches"
    )
    assert measured([{"images": 20, "batches": 1}]).endswith("20 images at each point, one batch")
    assert measured([new, {"step": 1}]) == "measured on differing images"


def test_a_band_is_mean_and_spread_within_what_an_angle_can_be():
    """A band below no angle at all; one made of nothing for an old line."""
    entry = {"angle_mean": 10.0, "angle_spread": 27.0, "cosine_mean": 0.9, "cosine_spread": 0.3}
    assert band(entry, "angle") == (0.0, 37.0)
    assert band(entry, "cosine") == (pytest.approx(0.6), 1.0)
    assert band({"angle": 10.0, "cosine": 0.9}, "angle") is None
    assert band(entry | {"angle_spread": None}, "angle") is None


def test_a_figure_of_angles_shows_the_spread_and_says_what_it_is_of(tmp_path, make_run):
    """Points that scatter by 27 degrees, drawn as a line that a network has moved along."""
    old = [audit(0, {"W1": 80.0}), audit(10, {"W1": 60.0}), epoch(1, 90.0)]
    new = []
    for line in old:
        line = dict(line)
        if line["kind"] == "audit":
            more = {"angle_mean": 70.0, "angle_spread": 20.0}
            line |= {"images": 493, "batches": 17, "credit": {"W1": line["credit"]["W1"] | more}}
        new.append(line)
    for name, lines, bands, words in (
        ("old", old, 0, "each point one batch"),
        ("new", new, 1, "the same 493 images at each point"),
    ):
        drawn = figures.draw(group([read_run(make_run(tmp_path / name, lines))]))["credit_angles"]
        (axes,) = drawn.axes
        assert words in axes.get_xlabel()
        assert len(axes.collections) == bands
        for each in axes.collections:
            heights = np.asarray(each.get_paths()[0].vertices)[:, 1]
            assert (heights.min(), heights.max()) == (50.0, 90.0)
