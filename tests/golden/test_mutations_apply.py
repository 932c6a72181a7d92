"""The defects that `python -m tests.mutations` plants, without running anything."""

import pytest

from tests.mutants import suites
from tests.mutations import ROOT

SUITES = suites()
PLANTED = [(paper, mutation) for paper, suite in SUITES.items() for mutation in suite.mutations]


@pytest.mark.parametrize(
    "mutation", [m for _, m in PLANTED], ids=[f"{paper}: {m.defect}" for paper, m in PLANTED]
)
def test_a_planted_defect_still_fits_its_source(mutation):
    """Catches a rewritten rule whose defects are no longer planted, hence no longer looked for."""
    assert mutation.apply(ROOT) != (ROOT / mutation.file).read_text(encoding="utf-8")


def test_every_suite_runs_tests_that_exist():
    """Catches a suite that selects nothing, in which no defect would be noticed."""
    for suite in SUITES.values():
        files = [argument for argument in suite.tests if argument.endswith(".py")]
        assert files and all((ROOT / name).is_file() for name in files)
