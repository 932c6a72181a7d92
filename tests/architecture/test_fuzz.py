"""The fuzz of all programs: that it finds them all, judges rightly, and finds no fault in a few."""

from pathlib import Path
from typing import Any

import pytest

from tests.architecture.test_arrows import MODULES, name_of
from tests.fuzz import __main__ as fuzz
from tests.fuzz.case import EITHER, KINDS, REFUSED, TAKEN, faults, held, plan
from tests.fuzz.programs import PROGRAMS

LINE = "error: option --x (=3) must be 4\n"
BOOM = "Traceback (most recent call last):\n  File\nKeyError: 'x'\n"


def faults_of(expect: str, code: Any, err: str = "", **more: Any) -> list[str]:
    case = {"expect": expect, "keep": None, "held": {}, **more}
    return faults(case, {"code": code, "seconds": 1.0}, "", err)


def test_what_is_in_order_is_no_fault() -> None:
    """Two thousand lines about nothing."""
    assert faults_of(TAKEN, 0) == faults_of(EITHER, 0) == faults_of(EITHER, 1, LINE) == []
    assert faults_of(REFUSED, 2, "a warning\n" + LINE) == faults_of(EITHER, 130, "error: i\n") == []


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        ((EITHER, None), "hangs"),
        ((EITHER, -11), "ends with -11"),
        ((REFUSED, 3, LINE), "ends with 3"),
        ((REFUSED, 1, BOOM), "traceback: KeyError: 'x'"),
        ((EITHER, 0, BOOM), "traceback"),
        ((REFUSED, 1, ""), "exit code 1 with 0 lines of error"),
        ((REFUSED, 2, LINE + LINE), "exit code 2 with 2 lines of error"),
        ((EITHER, 0, LINE), "exit code 0 and 'error"),
        ((REFUSED, 0), "silent acceptance"),
        ((TAKEN, 1, LINE), "refused: error: option --x"),
    ],
)
def test_every_kind_of_fault_is_seen(outcome, fault) -> None:
    """A fuzz that finds nothing because it looks at nothing."""
    verdict = faults_of(*outcome)
    assert len(verdict) == 1 and verdict[0].startswith(fault)


def test_a_refused_run_that_was_changed_is_a_fault(tmp_path: Path) -> None:
    """One line, and the record emptied all the same."""
    (tmp_path / "metrics.jsonl").write_text("{}")
    about: dict[str, Any] = {"keep": str(tmp_path), "held": held(tmp_path)}
    assert faults_of(REFUSED, 1, LINE, **about) == faults_of(EITHER, 2, LINE, **about) == []
    (tmp_path / "metrics.jsonl").write_text("")
    assert faults_of(REFUSED, 1, LINE, **about) == ["refused, but changed metrics.jsonl"]
    assert faults_of(EITHER, 0, **about) == []


def test_every_program_is_fuzzed() -> None:
    """A program of next year that nobody has told the fuzz of."""
    scripts = {
        name_of(path)
        for path in MODULES
        if '__name__ == "__main__"' in path.read_text() and path.parent.name != "results"
    }
    # A sweep whose processes must keep the allocator's own settings: argparse reads its words.
    assert scripts - PROGRAMS.keys() == {"benchmarks.memory_sweep"}
    seen = {plan(3, number) for number in range(4000)}
    assert {kind for kind, _ in seen} == set(KINDS)
    assert {module for _, module in seen} == PROGRAMS.keys()


def test_a_case_is_the_same_whenever_it_is_repeated() -> None:
    """A fault that cannot be repeated."""
    assert [plan(5, n) for n in range(50)] == [plan(5, n) for n in range(50)]
    assert [plan(5, n) for n in range(50)] != [plan(6, n) for n in range(50)]


def test_a_few_cases_have_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """What is fuzzed once and never again."""
    pytest.importorskip("torch")
    pytest.importorskip("tensorflow")
    code = fuzz.main(["--cases", "24", "--seed", "11"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "24 cases, seed 11: 0 faults" in printed


def test_a_fault_is_a_line_with_the_number_that_repeats_it(monkeypatch, capsys) -> None:
    """A fuzz whose exit code is 0 whatever it finds."""
    pytest.importorskip("torch")
    monkeypatch.setattr(fuzz, "faults", lambda *about: ["planted"])
    monkeypatch.setattr(fuzz, "runs", lambda *about: [])
    monkeypatch.setattr(fuzz, "plan", lambda seed, number: ("options", "common.curves"))
    assert fuzz.main(["--case", "7", "--seed", "2"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAULT --seed 2 --case 7 [options] planted; ")
    assert "python -m common.curves" in lines[0] and lines[1].startswith("1 cases, seed 2: 1 fault")
