"""The golden machinery itself: what must fail does fail."""

from pathlib import Path

import numpy as np
import pytest

from tests.golden.cases import OUR_DATA, NoTraces, find_cases, find_replayer
from tests.golden.conftest import traces_folder
from tests.golden.trace import Trace, relative_error


def write(path: Path, **arrays) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    path = tmp_path / "paper" / "file.npz"
    return Trace(write(path, a=np.array([1.0, -4.0]), n=np.array(3), text=np.array("sgd")))


def test_a_key_that_nobody_consumed_fails(trace):
    """Catches a replayer that ignores part of what the original recorded."""
    trace.compare("a", [1.0, -4.0], 0)
    assert "n" in trace and trace.shape("n") == () and len(trace) == 3
    with pytest.raises(AssertionError, match=r"2 of 3 keys .* n, text"):
        trace.finish()
    assert trace.integer("n") == 3 and trace.text("text") == "sgd"
    trace.finish()


def test_comparison_is_relative_to_the_largest_value(trace):
    """Catches a comparison that passes whatever comes, or fails on rounding of a small entry."""
    assert trace.compare("a", [1.0 + 4e-6, -4.0], 1e-5) == pytest.approx(1e-6)
    with pytest.raises(AssertionError, match="paper/file: a: max"):
        trace.compare("a", [1.0 + 4e-4, -4.0], 1e-5)


@pytest.mark.parametrize("ours", [[np.nan, -4.0], [1.0, np.inf], [-1.0, 4.0]])
def test_what_is_not_finite_or_has_the_other_sign_never_agrees(trace, ours):
    """Catches a NaN that slips through because every comparison with it is false."""
    with pytest.raises(AssertionError):
        trace.compare("a", ours, 1e-3)


def test_shapes_and_whole_numbers_must_be_equal(trace):
    """Catches numpy broadcasting a wrong shape into agreement."""
    with pytest.raises(AssertionError, match="shape"):
        trace.compare("a", [[1.0, -4.0]], 1)
    with pytest.raises(AssertionError, match="n is 3"):
        trace.compare("n", 4, 10)


def test_an_array_of_zeros_allows_no_difference():
    """Catches a division by zero that turns any difference from zero into agreement."""
    assert relative_error([0.0, 0.0], [0.0, 0.0]) == 0
    assert relative_error([0.0, 1e-300], [0.0, 0.0]) == np.inf


def test_missing_and_empty_folders_are_no_pass(tmp_path):
    """Catches a mistyped --golden that runs nothing and looks green."""
    with pytest.raises(NoTraces, match="no folder"):
        find_cases(tmp_path / "nowhere")
    with pytest.raises(NoTraces, match="holds no"):
        find_cases(tmp_path)


def test_nothing_found_is_left_out(tmp_path):
    """Catches files that vanish: unknown paper or name, wrong depth, empty paper folder."""
    write(tmp_path / "no_such_paper" / "x.npz", a=1)
    write(tmp_path / "lra_e" / "unknown.npz", a=1)
    write(tmp_path / "lra_e" / "torch_lra_other.npz", a=1)
    write(tmp_path / "loose.npz", a=1)
    (tmp_path / "asap").mkdir()
    cases = find_cases(tmp_path)
    problems = {case.id: case.problem for case in cases if case.problem}
    assert set(problems) == {"asap", "loose", "lra_e/unknown", "no_such_paper/x"}
    assert "holds no trace" in problems["asap"]
    assert "<paper>/<stem>.npz" in problems["loose"]
    assert "knows no file called unknown" in problems["lra_e/unknown"]
    assert "no replayer" in problems["no_such_paper/x"]
    replayed = [case.id for case in cases if not case.problem]
    assert "lra_e/torch_lra_other[torch]" in replayed
    assert all(name.startswith("lra_e/torch_lra_other") for name in replayed)


def test_every_paper_with_traces_of_ours_has_a_replayer():
    """Catches a paper whose traces were copied here before anything replays them."""
    folders = [path.name for path in OUR_DATA.iterdir() if path.is_dir()]
    assert folders and all(find_replayer(name) for name in folders)


def test_a_relative_folder_is_meant_from_where_pytest_was_started(pytestconfig, monkeypatch):
    """Catches --golden resolved against the repository, where another folder may have that name."""
    monkeypatch.setattr(pytestconfig.option, "golden", "traces")
    assert traces_folder(pytestconfig) == pytestconfig.invocation_params.dir / "traces"
    monkeypatch.setattr(pytestconfig.option, "golden", None)
    assert traces_folder(pytestconfig) == OUR_DATA
