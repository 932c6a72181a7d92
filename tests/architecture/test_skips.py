"""A test is passed over for what is not installed, never for what is not there any more of ours."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_arrows import MODULES, ROOT
from tests.golden.cases import missing
from tests.oracles.lra_e_learners import NEEDS

OURS = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in MODULES} | {"tests"}
ASKING = {"importorskip", "find_spec"}


def asked(text: str) -> Iterator[str]:
    """The modules that a test asks for by name, to be skipped where they are not there."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ASKING:
                yield str(node.args[0].value)


def ours(names: object) -> list[str]:
    return [name for name in names if name.split(".")[0] in OURS]  # type: ignore[attr-defined]


def test_no_test_is_skipped_where_a_module_of_ours_is_renamed():
    """`importorskip("common.data.torch_stream")`: after a move the test is skipped for good."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        assert not ours(asked(path.read_text())), path.relative_to(ROOT)
    assert not ours(name for needs in NEEDS.values() for name in needs)


def test_recorded_runs_are_not_skipped_for_it_either():
    """What a replayer needs are frameworks."""
    with pytest.raises(ValueError, match=r"lra_e\.gone is ours"):
        missing(["lra_e.gone"])
    assert missing(["no_such_framework"]) == ["no_such_framework"]


def test_a_name_of_ours_is_seen():
    """A scan that sees nothing."""
    text = Path(__file__).read_text() + '\nfind_spec("asap.rule"); pytest.importorskip("torch")'
    assert ours(asked(text)) == ["asap.rule"] and {"common", "asap", "s3net"} <= OURS
