"""Wrong and odd values of the options of every program."""

import os
import random
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from common.cli.params import (
    Argument,
    Boolean,
    Choice,
    Device,
    FilePath,
    Layers,
    Number,
    Option,
    primary,
)
from tests.fuzz.case import EITHER, REFUSED, TAKEN, Case, plain
from tests.fuzz.programs import PROGRAMS, WORKING

NO_NUMBER = (
    "",
    "x",
    "nan",
    "inf",
    "-inf",
    "1,5",
    "0x10",
    "1e",
    "--",
    "1 2",
    "True",
    "½",
    "10**3",
    "1e400",
    "\x00",
    "[1]",
)
# Of these a run of a second comes out, or a line: nothing that fills the memory or a week.
WHOLE = (0, 1, 2, 3, 5, 7)
REAL = (0.0, 1e-30, 1e-6, 0.01, 0.5, 1.0, 3.0, 1e6, 1e18)
DEEP = {
    "depth",
    "growth_rate",
    "channels",
    "image_size",
    "n_hidden_layers",
    "width",
    "limit_train",
    "seeds",
    "widest",
    "epochs",
    "attention_span",
    "splits",
}
LEFT = {"out", "resume", "directory", "help", "allow_change", "data_dir", "device"}


def programs() -> list[str]:
    """Every program whose options are ours."""
    return [name for name in sorted(PROGRAMS) if _command(name) is not None]


def _command(module: str) -> click.Command | None:
    main = getattr(import_module(module), "main", None)
    return main if isinstance(main, click.Command) else None


def make(chance: random.Random, module: str, work: Path, stock: Path) -> Case:
    """A call with one option or word that is certainly wrong, with odd ones, or in order."""
    command = _command(module)
    assert command is not None
    working = module in WORKING
    words = plain(module, work, stock) if working else []
    options = [p for p in command.params if isinstance(p, Option) and p.name not in LEFT]
    what = chance.choice(
        ("wrong", "wrong", "words", "odd", "odd", "place", "plain" if working else "words")
    )
    if what == "place" and "--out" not in words:
        what = "odd"
    if what == "odd" and not (working and options):
        what = "words"
    if what == "place":
        at = words.index("--out") + 1
        words[at] = _place(chance, Path(words[at]))
        return Case("options", module, words, EITHER, f"--out {words[at]!r}", work)
    if what == "plain":
        return Case("options", module, _spelled(chance, words), TAKEN, "in order", work)
    if what == "odd":
        typed = [chance.choice(options) for _ in range(chance.randint(1, 2))]
        more = [word for param in typed for word in _odd(chance, param)]
        return Case("options", module, words + more, EITHER, f"odd: {more}", work)
    able = [p for p in options if _bad(chance, p) is not None]
    if what == "wrong" and able:
        param = chance.choice(able)
        value = _bad(chance, param)
        spelling = chance.choice(param.opts)
        joined = chance.random() < 0.3 and spelling.startswith("--") and value != ""
        more = [f"{spelling}={value}"] if joined else [spelling, str(value)]
        return Case("options", module, words + more, REFUSED, f"wrong: {more}", work)
    more = _wrong_words(chance, command, options)
    return Case("options", module, words + more, REFUSED, f"wrong words: {more}", work)


def _bad(chance: random.Random, param: Option) -> str | None:
    """A value that this option certainly cannot have; None where there is none."""
    kind = param.type
    if param.is_flag:
        return None
    if isinstance(kind, Number):
        outside = []
        if kind.low is not None:
            outside += [str(kind.low - 1)] + ([str(kind.low)] if kind.above else [])
        if kind.high is not None:
            outside.append(str(kind.high + 1))
        if kind.kind is int:
            outside += ["1.5", "10000000000000000000000", "1e2"]
        return chance.choice([*NO_NUMBER, "1e39", *outside])
    if isinstance(kind, Boolean):
        return chance.choice(("1", "0", "yes", "on", "", "truee"))
    if isinstance(kind, Choice):
        return chance.choice(("no-such", "", "0", "*", "\n", kind.values[0] + "x"))
    if isinstance(kind, Layers):
        return chance.choice(("784", "", "a,b", "784,0,10", "784,-1,10", "784,,10", "784,1.5,10"))
    if isinstance(kind, FilePath) and kind.exists:
        return "no/such/file"
    return None


def _odd(chance: random.Random, param: Option) -> list[str]:
    """A value that the option's type allows, and that fits the run or does not."""
    kind, spelling = param.type, chance.choice(param.opts)
    if param.is_flag:
        return [chance.choice([*param.opts, *param.secondary_opts])]
    if isinstance(kind, Number):
        if param.name in DEEP or kind.kind is int:
            return [spelling, str(chance.choice([v for v in WHOLE if v or not kind.low]))]
        return [spelling, repr(chance.choice(REAL))]
    if isinstance(kind, Boolean):
        return [spelling, chance.choice(("True", "false"))]
    if isinstance(kind, Choice):
        if param.name == "dataset":
            return [spelling, "digits"]
        return [spelling, chance.choice(kind.values)]
    if isinstance(kind, Layers):
        return [spelling, chance.choice(("784,10", "64,8,10", "784,8,9", "784,3,3,10", "8,8"))]
    if isinstance(kind, Device):
        return [spelling, chance.choice(("cpu", "cuda:7", "3", "auto"))]
    odd = ("no/such", "/dev/null", "ä ö", "a\nb", "/proc/self/mem", ".", "x" * 300, "~nobody/x")
    return [spelling, chance.choice(odd)]


def _place(chance: random.Random, out: Path) -> str:
    """Somewhere else to write to: a name that is odd, or where nothing can be written."""
    name, above = out.name, out.parent
    file = above / "file"
    file.write_text("mine")
    odd = (
        f"ä ö {name}",
        os.fsdecode(b"\xff") + name,
        f"a\nb{name}",
        f"%s{name}",
        "x" * 300 + name,
        f"file/{name}",
        "file",
        f"new/er/{name}",
        f"~{name}",
        ".",
        f"-{name}",
    )
    return chance.choice([str(above / each) for each in odd] + ["/dev/null", "/proc/x", ""])


def _wrong_words(chance: random.Random, command: click.Command, options: list[Any]) -> list[str]:
    """Words that no program takes: an option that is not there, one without its value, ..."""
    choices = [["--no-such-option"], ["--no-such-option", "3"], ["--nonesuch=1"], ["-µ"]]
    valued = [p for p in options if not p.is_flag and p.bare is None and p.nargs == 1]
    if valued:
        choices.append([chance.choice(chance.choice(valued).opts)])
    flags = [p for p in options if p.is_flag]
    if flags:
        choices.append([primary(chance.choice(flags)) + "=maybe"])
    arguments = [p for p in command.params if isinstance(p, Argument)]
    if not arguments:
        choices.append(["stray"])
    if any(p.nargs == -1 and isinstance(p.type, FilePath) for p in arguments):
        choices.append([""])
    return chance.choice(choices)


def _spelled(chance: random.Random, words: list[str]) -> list[str]:
    """The same words, with --option=value for some."""
    spellings: list[str] = []
    for word in words:
        join = spellings and spellings[-1].startswith("--") and "=" not in spellings[-1]
        if (
            join
            and not word.startswith("-")
            and spellings[-1] not in FLAGS
            and chance.random() < 0.5
        ):
            spellings[-1] += f"={word}"
        else:
            spellings.append(word)
    return spellings


FLAGS = {"--quiet", "--no-epoch-models", "--only-figure"}
