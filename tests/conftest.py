"""What every test shares: --golden, --paper, no network, one thread."""

import importlib.util
import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

PAPERS = tuple(sorted(path.parent.name for path in Path(__file__).parents[1].glob("*/paper.toml")))
SHARED = ("datasets/", "reports/", "runs/", "stored/", "cli/test_switches.py")
FRAMEWORKS = ("torch", "torchvision", "tensorflow", "keras", "jax", "neural_tangents")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        metavar="DIR",
        default=None,
        help="folder of recorded traces, <paper>/*.npz (default: tests/golden/data)",
    )
    parser.addoption(
        "--paper",
        choices=PAPERS,
        default=None,
        help="the tests of one paper, and the shared ones, in an environment of that paper alone",
    )


def pytest_configure(config: pytest.Config) -> None:
    """What our own packages warn about is an error; what libraries warn about is shown."""
    ours = "|".join(("common", *PAPERS, "benchmarks", "tests"))
    config.addinivalue_line("filterwarnings", f"error:::({ours})(\\.|$)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --paper, other papers' files are not even imported."""
    paper = config.getoption("--paper")
    others = [f"test_{name}_" for name in PAPERS if paper and name != paper]
    return True if collection_path.name.startswith(tuple(others)) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --paper: the tests whose file or name holds the paper's, and all SHARED tests that
    hold no other paper's."""
    paper = config.getoption("--paper")
    if paper is None:
        return
    chosen: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        named = {name for name in PAPERS if name in item.nodeid}
        mine = paper in named or (path.startswith(SHARED) and not named)
        (chosen if mine else left).append(item)
    items[:] = chosen
    config.hook.pytest_deselected(items=left)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """With --paper, a shared test that needs another framework is passed over; a test of the paper
    itself that needs one is an error, which is what the paper's environment is there to find."""
    try:
        return (yield)
    except ModuleNotFoundError as error:
        paper, missing = item.config.getoption("--paper"), (error.name or "").split(".")[0]
        if not paper or paper in item.nodeid or missing not in FRAMEWORKS or installed(missing):
            raise
        pytest.skip(f"{missing} is not installed")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With --paper, a session in which nothing but skips happened has failed, as an empty one."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--paper") and exitstatus == pytest.ExitCode.OK:
        if not session.config.option.collectonly and not reporter.stats.get("passed"):
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def installed(name: str) -> bool:
    """Whether a module can be imported (nothing is)."""
    return importlib.util.find_spec(name) is not None


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the network passes here and fails elsewhere: loopback only."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if host not in ("127.0.0.1", "::1", "localhost"):
                raise OSError(f"a test tried to reach {host}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def data_root() -> str:
    """The root that holds real MNIST (tests marked `data`)."""
    root = os.environ.get("CREDITLAB_DATA")
    if not root or not os.path.isdir(os.path.join(root, "MNIST", "raw")):
        pytest.skip("CREDITLAB_DATA names no folder with real MNIST")
    return root
