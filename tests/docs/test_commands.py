"""Every command that a page says to type is understood: parsed by its own parser, not run.

What a page calls RUN, DATA or FILE exists here as an empty one of its kind; a resumed RUN is one
that its own script has recorded.
"""

import ast
import importlib
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import click
import pytest

from common.errors import UserError
from common.runs import directory
from common.runs.settings import RunSettings
from tests.docs.pages import (
    PACKAGES,
    PAGES,
    ROOT,
    commands,
    commands_in,
    docstrings,
    short,
    words,
)
from tests.docs.test_examples import or_skipped

LINES = list(dict.fromkeys((short(page), line) for page in PAGES for line in commands(page)))
PYTHON = [(page, line) for page, line in LINES if " -m " in line and "pip install" not in line]
FOLDERS = ("RUN", "RESULTS", "DATA/train", "DATA/val", "DIR", "FOLDER", "MODEL", "runs/lra_e/1")
FILES = ("FILE", "ZIP", "FILE_OR_RUN", "RUN/model_best.pth.tar", "weights.pth")
PROGRAM = {
    "bench": ["benchmarks.steps"],
    "reproduce": ["common.targets", "reproduce"],
    "tables": ["common.targets", "update"],
    "demo": ["common.demo"],
}


def program(line: list[str]) -> list[str]:
    """What follows `-m`, of Python or torchrun: the module and its words."""
    return line[line.index("-m") + 1 :]


def parse(script: list[str], folder: Path) -> None:
    """Have the module's own parser read the words; UserError or SystemExit if it does not."""
    name, *given = script
    with or_skipped():
        module = importlib.import_module(name)
    members = [value for value in vars(module).values() if isinstance(value, click.Command)]
    if not members:
        read_by_argparse(module, given)
        return
    main, given = members[0], getattr(module, "translated", list)(given)  # brainprop.train's words
    if "--resume" in given and given[given.index("--resume") + 1] == "RUN":
        plain = [w for i, w in enumerate(given) if w != "--resume" and given[i - 1] != "--resume"]
        with main.make_context(name, plain) as context:
            options = context.obj
        record = directory.config(RunSettings.of(options), options.record(), "docs")
        (folder / "RUN" / "config.json").write_text(json.dumps(record))
    with main.make_context(name, list(given)) as context:
        assert context.obj is not None


def read_by_argparse(module: ModuleType, given: list[str]) -> None:
    """A program whose options are argparse's; it has a function that makes the parser."""
    if hasattr(module, "__path__"):  # a package: `python -m` runs its __main__
        module = importlib.import_module(f"{module.__name__}.__main__")
    module.parser().parse_args(given)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which everything that the pages name exists."""
    for name in FOLDERS:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "line"), PYTHON, ids=[f"{p}: {line}" for p, line in PYTHON])
def test_a_pages_command_is_understood_by_its_program(page: str, line: str, place: Path) -> None:
    """An option that was renamed, a module that moved: what a reader types first fails."""
    try:
        parse(program(words(line)), place)
    except (UserError, click.ClickException) as error:
        pytest.fail(f"{page}: {line}\n{error}", pytrace=False)


# In docstrings brackets hold what may be left out, and some words stand for values: those are left
# to the programs' own tests.
LINES_OF_DOCSTRINGS = [
    (short(path), re.split(" {3,}", re.sub(r" \[[^\]]*\]", "", line))[0])
    for package in (*PACKAGES, "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
    for text in docstrings(path)
    for line in commands_in(text)
]
LINES_OF_DOCSTRINGS = [
    (where, line)
    for where, line in LINES_OF_DOCSTRINGS
    if set(re.findall(r"(?<!\S)[A-Z_]+\b(?!\d)", line)) <= {*FOLDERS, *FILES, "DATA"}
    and re.search(r"-m [\w.]+\.\w+", line)
]


@pytest.mark.parametrize(
    ("where", "line"), LINES_OF_DOCSTRINGS, ids=[f"{p}: {line}" for p, line in LINES_OF_DOCSTRINGS]
)
def test_a_docstrings_command_is_understood_by_its_program(where: str, line: str, place) -> None:
    """The docstring is what an editor shows beside the file that somebody wants to start."""
    test_a_pages_command_is_understood_by_its_program(where, line, place)


NOX = [(page, line) for page, line in LINES if line.startswith("nox")]


@pytest.mark.parametrize(("page", "line"), NOX, ids=[f"{p}: {line}" for p, line in NOX])
def test_a_pages_session_exists_and_takes_its_words(page: str, line: str, place: Path) -> None:
    """`nox -s demos` builds nothing and says so after the reader has installed nox."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.decorator_list]
    known = {*PACKAGES[1:], *map(session_name, functions)}
    _, _, name, *more = words(line)
    assert name in known
    if more and name in PROGRAM:
        parse([*PROGRAM[name], *more[1:]], place)


def session_name(function: ast.FunctionDef) -> str:
    """What nox calls it: @nox.session(name="new-paper"), else the function's own name."""
    given = [w for call in function.decorator_list for w in getattr(call, "keywords", ())]
    named = [ast.literal_eval(word.value) for word in given if word.arg == "name"]
    return named[0] if named else function.name


def test_a_script_that_a_page_starts_as_a_file_is_there() -> None:
    """`python asap/train.py`: from the root, or from the page's own folder."""
    started = [
        (page, words(line)[1]) for page, line in LINES if re.match(r"python3? \S+\.py", line)
    ]
    assert started
    for page, script in started:
        assert (ROOT / script).is_file() or (ROOT / page).with_name(script).is_file(), script


def test_every_extra_that_a_page_installs_is_declared() -> None:
    """pip warns about an unknown extra, installs nothing, and the next line fails."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = set(tomllib.loads(text)["project"]["optional-dependencies"])
    asked = [w for _, line in LINES if "pip install" in line for w in words(line) if "[" in w]
    named = {w.partition("[")[2].rstrip("]") for w in asked} - {"uv"}
    assert named and named <= extras


def test_commands_are_found_on_every_page() -> None:
    """A pattern that finds none passes for ever."""
    assert {page for page, _ in PYTHON} == {short(page) for page in PAGES}
    assert len(PYTHON) > 60 and len(NOX) >= 6
    assert words('python -m a.b [RUN] X... --rule lra_e|bp "--c d"') == (
        ["python", "-m", "a.b", "RUN", "X", "--rule", "lra_e", "--c d"]
    )


def test_a_wrong_command_is_noticed(place: Path) -> None:
    """A parser that takes anything."""
    with pytest.raises(UserError, match="--lerning-rate"):
        parse(["asap.train", "--lerning-rate", "1"], place)
