"""The words of a command line, translated to the spellings that a command declares.

Takes what argparse took: unique prefixes, single-dash long options, values by space or `=`,
negative numbers as values, short options with the value attached or several in one word.
Dashes and underscores inside a long name are the same, and every long option answers to two dashes.
"""

import difflib
import re
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import click

from common.cli.params import Argument, primary
from common.errors import UsageError

_NUMBER = re.compile(r"-\.?\d")


class Spelled(NamedTuple):
    """A declared spelling and the parameter that it belongs to."""

    param: click.Option
    spelling: str

    @property
    def nargs(self) -> int:
        return 0 if self.param.is_flag or self.param.count else self.param.nargs


class ParsedArguments(NamedTuple):
    """A command line whose every word is known."""

    options: list[str]  # declared spellings, each followed by its values
    positionals: list[str]
    typed: dict[str, str]  # parameter name -> last declared spelling found for it
    values: dict[str, str]  # parameter name -> last value found for it, as text


def _name(spelling: str) -> str:
    return spelling.lstrip("-").replace("_", "-")


def _looks_like_option(word: str) -> bool:
    head = word.partition("=")[0]  # a name has no blanks, a value or a free text may
    return len(word) > 1 and word[0] == "-" and not _NUMBER.match(word) and " " not in head


class Spellings:
    """All spellings of a command's options."""

    def __init__(self, params: Iterable[click.Parameter]):
        self.exact: dict[str, Spelled] = {}
        self.double: dict[str, Spelled] = {}  # names after two dashes
        self.single: dict[str, Spelled] = {}  # long names that may stand after one dash
        for param in params:
            if not isinstance(param, click.Option):
                continue
            for spelling in (*param.opts, *param.secondary_opts):
                spelled = self.exact[spelling] = Spelled(param, spelling)
                name = _name(spelling)
                if len(name) > 1 or spelling.startswith("--"):
                    self.double.setdefault(name, spelled)
                    if not spelling.startswith("--"):
                        self.single.setdefault(name, spelled)

    def find(self, word: str) -> Spelled | None:
        """The option that `word` (no `=value`) means; None if none; UsageError if several."""
        if word in self.exact:
            return self.exact[word]
        table, name = (self.double if word.startswith("--") else self.single), _name(word)
        if name in table:
            return table[name]
        matches = [spelled for key, spelled in table.items() if key.startswith(name)]
        # What was unique in the paper's own program stays so beside the options that we added.
        theirs = [spelled for spelled in matches if getattr(spelled.param, "original", True)]
        different: dict[tuple[int, bool], Spelled] = {}
        for spelled in theirs or matches:
            negated = spelled.spelling in spelled.param.secondary_opts
            different.setdefault((id(spelled.param), negated), spelled)
        if len(different) > 1:
            names = ", ".join(spelled.spelling for spelled in different.values())
            raise UsageError(f"option {word} is ambiguous: {names}")
        return next(iter(different.values()), None)

    def unknown(self, word: str) -> UsageError:
        near = difflib.get_close_matches(_name(word), self.double, n=1)
        hint = f"did you mean {self.double[near[0]].spelling}?" if near else "--help lists them all"
        return UsageError(f"option {word} is unknown; {hint}")

    def _split(self, word: str) -> list[tuple[Spelled, str | None]]:
        """One word -> the options in it, the last one perhaps with its value."""
        head, equals, value = word.partition("=")
        spelled = self.find(head)
        if spelled is not None:
            return [(spelled, value if equals else None)]
        if word.startswith("--"):
            raise self.unknown(head)
        options: list[tuple[Spelled, str | None]] = []  # -sl FILE, -lFILE, -l=FILE
        for i, letter in enumerate(word[1:], start=2):
            short = self.exact.get(f"-{letter}")
            if short is None:
                raise self.unknown(head)
            if short.nargs:
                return [*options, (short, word[i:].removeprefix("=") if word[i:] else None)]
            options.append((short, None))
        return options

    def translate(self, args: Iterable[str]) -> ParsedArguments:
        words, queue = ParsedArguments([], [], {}, {}), deque(args)
        while queue:
            word = queue.popleft()
            if word == "--":
                words.positionals.extend(queue)
                break
            if not _looks_like_option(word) and word not in self.exact:
                words.positionals.append(word)
                continue
            for spelled, value in self._split(word):
                words.options.append(spelled.spelling)
                words.typed[spelled.param.name or ""] = spelled.spelling
                if not spelled.nargs:
                    if value is not None:
                        raise UsageError(f"option {spelled.spelling} (={value}) takes no value")
                    continue
                values = [] if value is None else [value]
                bare = getattr(spelled.param, "bare", None)
                if not values and bare is not None:
                    if not queue or _looks_like_option(queue[0]):
                        values = [bare]
                while len(values) < spelled.nargs:
                    if not queue or _looks_like_option(queue[0]):
                        expected = getattr(spelled.param.type, "expected", spelled.param.type.name)
                        raise UsageError(f"option {spelled.spelling} needs a value: {expected}")
                    values.append(queue.popleft())
                words.options.extend(values)
                words.values[spelled.param.name or ""] = values[-1]
        return words


def left_out(arguments: list[Argument], words: ParsedArguments) -> set[str]:
    """The positionals that the given ones are not meant for, because an option replaces them.

    `main.py dense BrainProp --dataset digits`: the words are the second and third positional.
    """
    short = sum(argument.needed for argument in arguments) - len(words.positionals)
    excused = [a for a in arguments if a.needed and words.typed.keys() & set(a.optional_with)]
    if len(words.positionals) > len(arguments) and not any(a.nargs == -1 for a in arguments):
        takes = " ".join(map(primary, arguments)) or "no arguments"
        extra = words.positionals[len(arguments)]
        raise UsageError(f"argument (={extra}) is one too many: this command takes {takes}")
    return {argument.name or "" for argument in excused[: max(short, 0)]}
