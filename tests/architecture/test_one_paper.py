"""A paper's session (`pytest --paper=NAME`, tests/conftest.py): what it runs, and when it fails."""

import pytest

from tests.architecture.test_arrows import FRAMEWORKS, run


def session(*words: str):
    """Pytest in a process that has no framework."""
    call = f"import sys, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *{words}]))"
    return run("-c", call, block=FRAMEWORKS)


def test_shared_tests_run_and_another_papers_do_not():
    """`-k asap` left out what all papers share."""
    files = (
        "runs/test_running_metrics.py",
        "rules/test_s3net_topology.py",
        "architecture/test_sizes.py",
    )
    listed = session("--paper=asap", "--collect-only", *(f"tests/{file}" for file in files))
    assert listed.returncode == 0, listed.stdout
    assert "tests/runs/test_running_metrics.py::" in listed.stdout
    assert "test_s3net_topology" not in listed.stdout
    assert "[asap/learner.py]" in listed.stdout and "[s3net/learner.py]" not in listed.stdout


@pytest.mark.parametrize(
    "file", ["tests/rules/test_asap_rule.py", "tests/rules/test_s3net_topology.py"]
)
def test_a_session_without_a_test_that_ran_has_failed(file):
    """All skipped, as in an environment that misses its own framework; nothing chosen at all."""
    done = session("--paper=asap", file)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout


def test_a_shared_test_that_needs_another_framework_is_passed_over(tmp_path):
    """Only that: what is missing for another reason stays an error."""
    folder = tmp_path / "tests" / "data"
    folder.mkdir(parents=True)
    (folder / "test_it.py").write_text(
        "def test_one(): pass\ndef test_two(): import torch\ndef test_three(): import no_such\n"
    )
    conftest = "from tests import conftest as ours\n" + "\n".join(
        f"{name} = ours.{name}" for name in ("pytest_addoption", "pytest_runtest_call")
    )
    (tmp_path / "conftest.py").write_text(conftest)
    done = session("--paper=asap", f"--rootdir={tmp_path}", "-c", "/dev/null", str(folder))
    assert "1 failed, 1 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
