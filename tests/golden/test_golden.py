"""Every recorded run of the original programs, replayed (`pytest tests/golden [--golden DIR]`)."""

import pytest

from tests.golden.cases import Case, missing
from tests.golden.trace import Trace


def test_replay_agrees_with_the_recorded_run(golden_case: Case) -> None:
    """Catches any departure from what the original program computed, in any number it recorded."""
    if golden_case.problem or golden_case.replayer is None:
        pytest.fail(golden_case.problem, pytrace=False)
    if lacking := missing(golden_case.needs):
        pytest.skip(f"{golden_case.id} needs {', '.join(lacking)}")
    trace = Trace(golden_case.path)
    golden_case.replayer.replay(trace, golden_case.implementation)
    trace.finish()
