"""Library code speaks of arguments, the command line of options: read from the source."""

import ast
import builtins
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.cli import argument, command, option
from common.cli.params import choice, positive
from common.cli.training_options import TrainingOptions, training_options
from common.errors import ArgumentError, UsageError, UserError, unknown
from tests.architecture.test_arrows import MODULES, PACKAGES, ROOT

COMMAND_LINE = {"options", "program"}
"""Modules whose business is options: these of each paper (also x_options, x_program), the room
`common.cli`, and every module with a command of its own."""


def speaks_of_options(path: Path) -> bool:
    """Whether a module belongs to the command line."""
    last = path.stem.rsplit("_", 1)[-1]
    tree = ast.parse(path.read_text())
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    commands = any(isinstance(f, ast.Name) and f.id == "command" for f in calls)
    return path.parent.name == "cli" or last in COMMAND_LINE or commands


def texts_of_raises(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every piece of text inside a `raise` of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and node.exc is not None:
            for part in ast.walk(node.exc):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.lineno, part.value


def test_no_library_code_raises_a_message_about_an_option() -> None:
    """`ConvNet("asap_k4")` that answers somebody's own program with "option --feedback"."""
    places = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in MODULES
        if not speaks_of_options(path)
        for line, text in texts_of_raises(path)
        if "option -" in text or text.lstrip("(").startswith("--")
    ]
    assert places == []


def test_the_rule_about_options_sees_what_it_is_to_see(tmp_path: Path) -> None:
    """A check that reads no f-strings, or takes every module for the command line's."""
    file = tmp_path / "networks.py"
    file.write_text('def f(x):\n    raise ValueError(f"option --x (={x}) is wrong")\n')
    assert [text for _, text in texts_of_raises(file)] == ["option --x (=", ") is wrong"]
    assert not speaks_of_options(file)
    assert speaks_of_options(ROOT / "asap/train.py") and speaks_of_options(ROOT / "asap/program.py")
    assert not speaks_of_options(ROOT / "asap/networks.py")


CATCHES = {
    # a file's settings: told of the file
    "s3net/tinyimagenet/comparison/graphs.py": {"Settings", "Wiring"},
    "s3net/imagenet/records.py": {
        "read_meta",
        "unpack",
        "value",
    },  # raise ValueErrors of their own alone
    "s3net/imagenet/folder2lmdb.py": {"read_meta"},
    "s3net/expressibility/data.py": {"_numeric"},
    "s3net/interpretability/segmentation.py": {"read"},  # UserError, which passes
    "common/reports/target_rows.py": {"_parse"},
    "common/data/cifar.py": {"_Unpickler"},
    "common/data/pixels.py": {"_unclear"},
    "common/backends/torch_files.py": {"_object", "verified"},  # ValueErrors alone; UserError
}
HARMLESS = {"home"}  # raises nothing
"""What the body of an `except ValueError` may call of ours: none of it raises an ArgumentError that
is the user's to read."""


def test_no_clause_for_value_errors_swallows_an_argument_error() -> None:
    """ArgumentError is a ValueError: a clause around a library's call would turn "classes (=0)"
    into "no whole file". Such a clause lets it pass first, or calls nothing of ours."""
    places = []
    for path in MODULES:
        tree = ast.parse(path.read_text())
        ours = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
                ours |= {alias.asname or alias.name for alias in node.names}
        name = str(path.relative_to(ROOT))
        for node in ast.walk(tree):
            if isinstance(node, ast.Try) and _takes_value_errors(node):
                called = {
                    call.func.id
                    for statement in node.body
                    for call in ast.walk(statement)
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
                }
                strange = called & ours - CATCHES.get(name, set()) - set(dir(builtins)) - HARMLESS
                places += [f"{name}:{node.lineno}: {each}" for each in sorted(strange)]
    assert places == []


def _takes_value_errors(node: ast.Try) -> bool:
    for handler in node.handlers:
        names = (
            {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)}
            if (handler.type)
            else {"ValueError"}
        )
        if names & {"ArgumentError", "UserError", "UsageError"} and not names & {"ValueError"}:
            return False  # it passes, or is told, before a later clause sees it
        if names & {"ValueError", "Exception"}:
            return True
    return False


def test_an_argument_error_is_a_value_error_with_its_argument() -> None:
    """A program's own `except ValueError` that misses it; an error that a worker cannot send."""
    error = pickle.loads(pickle.dumps(ArgumentError("beta", "(=0) must be > 0")))
    assert issubclass(ArgumentError, ValueError) and issubclass(ArgumentError, UsageError)
    assert isinstance(error, ArgumentError)
    assert (error.argument, error.problem, error.code) == ("beta", "(=0) must be > 0", 2)
    assert str(error) == "beta (=0) must be > 0"
    near = unknown("feedback", "asap_k5", ["asap", "asap_k4"])
    assert isinstance(near, ValueError) and near.argument == "feedback"
    assert str(near).endswith("did you mean asap_k4?")


def library(beta: float, units: str) -> None:
    """What raises."""
    if units == "none":
        raise unknown("units", units, ["tanh", "relu"])
    if units == "depth":
        raise ArgumentError("depth", "(=3) must be even")
    if beta > 1:
        raise ArgumentError("beta", f"(={beta}) must be <= 1")


@training_options(epochs=1)
class ToyOptions(TrainingOptions):
    """What `toy` takes."""

    place: str | None = argument(required=False)
    beta: float = option("-beta", type=positive, default=0.1)
    units: str = option("--units", "--unit", type=choice("tanh", "none", "depth"), default="tanh")


@command(ToyOptions, paper="toy", name="toy")
def toy(options: ToyOptions):
    """A toy."""
    if options.place:
        raise ArgumentError("place", f"(={options.place}) is no place")
    library(options.beta, options.units)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-beta", "2"], "option -beta (=2.0) must be <= 1"),
        (["--unit", "none"], "option --unit (=none) must be one of tanh, relu"),
        (["--units", "none"], "option --units (=none) must be one of tanh, relu"),
        (["--units", "depth"], "depth (=3) must be even"),
        (["there"], "argument PLACE (=there) is no place"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_the_command_line_says_the_option_for_the_argument(words, message, capsys) -> None:
    """ "beta must be ..." to a person who typed -beta; an option made up for what has none."""
    with pytest.raises(UserError) as caught:
        toy.main(words, standalone_mode=False)
    assert str(caught.value) == message and caught.value.code == 2
    with pytest.raises(SystemExit) as end:
        toy.main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"
