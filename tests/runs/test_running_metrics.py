"""Running metrics against their definition: whatever is read when, and by how many processes."""

import math

import pytest

from common.runs.running import READ_EVERY, RunningMetrics


def floats(values):
    return [float(value) for value in values]


BATCHES = [((0.5 + i / 7, 3 + i % 4, 5), 8 - i % 3) for i in range(2 * READ_EVERY + 3)]


def summed(batches, read_after=()):
    metrics = RunningMetrics(floats, extra=1)
    for i, (result, images) in enumerate(batches):
        metrics.add(result, images)
        if i in read_after:
            metrics.read()
    return metrics


def test_means_and_percentages_are_those_of_the_images():
    """A short batch that counts as much as a whole one; shares between 0 and 1."""
    metrics, images = summed(BATCHES), sum(n for _, n in BATCHES)
    assert metrics.images == images
    assert metrics.loss == pytest.approx(sum(r[0] * n for r, n in BATCHES) / images, rel=1e-12)
    assert metrics.accuracy == pytest.approx(100 * sum(r[1] for r, _ in BATCHES) / images)
    assert metrics.shares[1] == pytest.approx(100 * 5 * len(BATCHES) / images)


def test_a_sum_does_not_depend_on_when_it_is_read():
    """A run that was looked at has other bits than one that was not; a batch counted twice."""
    assert summed(BATCHES, range(0, 999, 5)).state() == summed(BATCHES).state()
    assert summed(BATCHES[:3]).state() == summed(BATCHES[:3], (0, 1, 2)).state()


def test_a_state_holds_what_was_not_read_yet_and_comes_back_exactly():
    """The batches since the last reading are lost at a resume."""
    state = summed(BATCHES[:5]).state()
    assert state[2] == sum(n for _, n in BATCHES[:5])
    back = RunningMetrics(floats, extra=1).load_states([state])
    for result, images in BATCHES[5:]:
        back.add(result, images)
    assert back.state() == summed(BATCHES).state()


def test_the_states_of_several_processes_are_added_up():
    """Two GPUs whose line is that of the first one."""
    halves = [summed(BATCHES[::2]).state(), summed(BATCHES[1::2]).state()]
    both = RunningMetrics(floats, extra=1).load_states(halves)
    assert both.state() == pytest.approx(summed(BATCHES).state(), rel=1e-12)
    assert isinstance(both.images, int)


def test_before_the_first_image_nothing_is_known():
    """0 % and a loss of 0 for an epoch that did not take place."""
    empty = RunningMetrics(floats, extra=1)
    assert math.isnan(empty.loss) and all(map(math.isnan, empty.shares)) and empty.images == 0
