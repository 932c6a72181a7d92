"""Every recorded run of the original programs, replayed (`pytest tests/golden [--golden DIR]`)."""

import pytest

from tests.golden.amplification import check_replay
from tests.golden.cases import Case, missing


def test_replay_agrees_with_the_recorded_run(golden_case: Case) -> None:
    """Catches any departure from what the original program computed, in any number it recorded."""
    if golden_case.problem or golden_case.replayer is None:
        pytest.fail(golden_case.problem, pytrace=False)
    if lacking := missing(golden_case.needs):
        pytest.skip(f"{golden_case.id} needs {', '.join(lacking)}")
    replayer, implementation = golden_case.replayer, golden_case.implementation
    check_replay(golden_case.path, lambda trace: replayer.replay(trace, implementation))
