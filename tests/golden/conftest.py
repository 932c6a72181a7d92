"""Makes one golden test per trace file and implementation, from the files that are there."""

from pathlib import Path

import pytest

from tests.golden.cases import OUR_DATA, NoTraces, find_cases


def traces_folder(config: pytest.Config) -> Path:
    """Where the traces are: `--golden DIR`, relative to where pytest was started, or our copy."""
    given = config.getoption("--golden")
    return config.invocation_params.dir / given if given else OUR_DATA


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden_case" not in metafunc.fixturenames:
        return
    try:
        cases = find_cases(traces_folder(metafunc.config))
    except NoTraces as error:
        raise pytest.Collector.CollectError(str(error)) from None
    metafunc.parametrize("golden_case", [pytest.param(case, id=case.id) for case in cases])
