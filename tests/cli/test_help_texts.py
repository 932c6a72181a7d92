"""What --help says of an option or a positional is a sentence that stands alone."""

import importlib
import re

import click
import pytest

from tests.architecture.test_arrows import MODULES, name_of
from tests.docs.test_examples import or_skipped

COMMANDS = [name_of(path) for path in MODULES if "\n@command(" in path.read_text()]
FRAGMENT = re.compile(r"(Of|For|With|And|From|By|That) ")


def fault(text: str | None) -> str | None:
    """What keeps a help text from standing alone; None where nothing does."""
    if not text:
        return "no text"
    first = text.split()[0].strip(":,").replace("-", "")
    if first.isalpha() and first.islower() and not text.startswith("-"):
        return "no capital"
    if FRAGMENT.match(text):
        return "a fragment"
    return None if text.endswith(".") else "no full stop"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_texts_are_sentences(name: str) -> None:
    with or_skipped():
        main = importlib.import_module(name).main
    assert isinstance(main, click.Command) and main.params
    texts = {param.opts[0]: getattr(param, "help", None) for param in main.params}
    faults = {label: (text, fault(text)) for label, text in texts.items()}
    assert {label: pair for label, pair in faults.items() if pair[1]} == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Momentum of SGD.", None),
        ("1000 outputs however many classes the data have.", None),
        ("-s saves the last epoch's weights.", None),
        ("Of normal W.", "a fragment"),
        ("run directories.", "no capital"),
        ("Run directories", "no full stop"),
        ("", "no text"),
    ],
)
def test_a_fragment_is_noticed(text: str, expected: str | None) -> None:
    assert fault(text) == expected
