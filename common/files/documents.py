"""The JSON documents of a run, what each must hold, and the one reader of them.

A document that was edited, cut short or written by another program is one line that names the
file, the key, its value and what is allowed. Keys that a kind does not know are left alone: a
newer version, or a paper, writes more.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.doors import bounds
from common.errors import UserError

LARGEST = 2**63 - 1  # of a count: what a byte offset, a step or a shape can be


@dataclass(frozen=True)
class Kind:
    """What a value may be. words: as the error says it, after "must be".

    each    the kind of each item of a list, or of each value of an object
    needed, known  keys of an object that must, and may, be there
    """

    words: str
    fits: Callable[[Any], bool]
    each: "Kind | None" = None
    needed: Mapping[str, "Kind"] = field(default_factory=dict)
    known: Mapping[str, "Kind"] = field(default_factory=dict)


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, types) and not (isinstance(value, bool) and bool not in types)
    )


def _finite(value: Any) -> bool:
    # An integer beyond the floats is no number to calculate with either.
    return _is(int, float)(value) and -LARGEST <= value <= LARGEST and math.isfinite(value)


ANYTHING = Kind("anything", lambda value: True)
TEXT = Kind("a text", _is(str))
FLAG = Kind("true or false", _is(bool))
INTEGER = Kind("a whole number", lambda v: _is(int)(v) and abs(v) <= 2 * LARGEST)
COUNT = Kind("a whole number >= 0", lambda v: _is(int)(v) and 0 <= v <= LARGEST)
NUMBER = Kind("a finite number", _finite)
POSITIVE = Kind("a finite number >= 0", lambda v: _finite(v) and v >= 0)
SCALAR = Kind("a text or a number", _is(str, int, float, bool, type(None)))
NAME_OR_NUMBER = Kind("a text or a number", _is(str, int))


def one_of(*values: Any) -> Kind:
    """One of these values."""
    known = ", ".join(str(value) for value in values)
    return Kind(known if len(values) == 1 else f"one of {known}",
                lambda v: any(v == w and type(v) is type(w) for w in values))  # fmt: skip


def between(low: float, high: float, whole: bool = False) -> Kind:
    """A number, or a whole one, from low to high."""
    kind = INTEGER if whole else NUMBER
    words = f"{'a whole number' if whole else 'a number'} from {low:g} to {high:g}"
    return Kind(words, lambda v: kind.fits(v) and low <= v <= high)


def maybe(kind: Kind) -> Kind:
    """Of the kind, or null."""
    return Kind(f"{kind.words} or null", lambda v: v is None or kind.fits(v), kind.each,
                kind.needed, kind.known)  # fmt: skip


def many(kind: Kind, length: int | None = None) -> Kind:
    """A list of the kind, of any length or of this one."""
    words = "a list" if length is None else f"a list of {length}"
    return Kind(words, lambda v: isinstance(v, list) and length in (None, len(v)), kind)


def table(each: Kind = ANYTHING, **needed: Kind) -> Kind:
    """An object with these keys, whose values are all of the kind `each`."""
    return Kind("an object", _is(dict), each, needed)


def loose(each: Kind = ANYTHING, **known: Kind) -> Kind:
    """As `table`, but a key may be missing."""
    return Kind("an object", _is(dict), each, {}, known)


_OPTIONS = loose(seed=SCALAR, dataset=maybe(TEXT), data=maybe(TEXT), epochs=maybe(COUNT))
CONFIG = Kind("an object", _is(dict), None, {"paper": TEXT, "script": TEXT, "options": _OPTIONS},
              {"creditlab": TEXT, "name": TEXT, "dataset": maybe(TEXT)})  # fmt: skip

# Of what made a run a fact may be missing (an older version, another machine): a resume warns of
# the difference, a page leaves the cell empty.
_PART = {"time": maybe(TEXT), "git_commit": maybe(TEXT), "git_dirty": maybe(FLAG),
         "command": maybe(many(TEXT))}  # fmt: skip
ENVIRONMENT = loose(
    python=TEXT, platform=TEXT, processor=TEXT, cores=maybe(COUNT), hardware=maybe(table()),
    threads=maybe(COUNT), packages=table(TEXT), device=TEXT, precision=TEXT, deterministic=FLAG,
    data=table(), unverified=many(TEXT), **_PART,
    resumed=many(loose(step=COUNT, differences=many(TEXT), **_PART)),
)  # fmt: skip

WIDTH = between(bounds.SMALLEST, bounds.LARGEST_FACTOR)
"""Of a network, as a factor of its paper's."""
SIDE = between(1, bounds.LARGEST_SIDE, whole=True)
"""Of an image, in pixels."""

_BEST = table(metric=TEXT, value=NUMBER, epoch=COUNT)
EPOCH = table(kind=TEXT, epoch=COUNT)
SUMMARY = Kind(
    "an object", _is(dict), None,
    {"status": one_of("finished", "failed", "interrupted")},
    {"reason": maybe(TEXT), "paper": TEXT, "script": TEXT, "name": TEXT, "rule": maybe(TEXT),
     "dataset": maybe(TEXT), "seed": SCALAR, "epochs": COUNT, "step": COUNT, "seconds": POSITIVE,
     "parameters": maybe(COUNT), "final": maybe(EPOCH), "best": maybe(_BEST)},
)  # fmt: skip

_TENSOR = table(shape=many(COUNT), dtype=TEXT, stored_as=TEXT)


def state(form: int) -> Kind:
    """A checkpoint's state.json of this format."""
    needed = {"format": one_of(form), "run": table(), "scalars": table(), "tensors": table(_TENSOR)}
    return Kind("an object", _is(dict), None, needed, {"md5": TEXT})


def _sums(figures: int) -> Kind:
    """Summed loss, and so many counts less one."""

    def fits(value: Any) -> bool:
        if not isinstance(value, list) or len(value) != figures:
            return False
        return all(map(_finite, value)) and min(value[1:], default=0) >= 0

    return Kind(f"a list of {figures} finite numbers, counts >= 0", fits)


def position(figures: int) -> Kind:
    """What a run remembers of itself in state.json; figures: how many a process' sums have."""
    return table(
        epoch=COUNT, batch=COUNT, step=COUNT, sums=many(_sums(figures)),
        seconds=many(POSITIVE, 2), line=table(maybe(NUMBER)), best=maybe(_BEST),
        stopped=maybe(TEXT), metrics_bytes=COUNT,
    )  # fmt: skip


_ANGLE = loose(cosine=maybe(NUMBER), angle=maybe(NUMBER), too_small=FLAG)
_LINES = {
    "epoch": loose(epoch=COUNT, step=COUNT),
    "audit": loose(epoch=COUNT, step=COUNT, credit=table(_ANGLE), feedback=table(_ANGLE)),
}
_REQUIRED = {"epoch": {"epoch"}, "audit": {"step", "credit"}}


def read(path: Path, kind: Kind = ANYTHING) -> Any:
    """A JSON file of this kind. UserError naming the file, and the key where it is not."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
    return check(document, kind, str(path))


def check(value: Any, kind: Kind, where: str) -> Any:
    """`value`, if it is of the kind; UserError that says where it is not."""
    if wrong := fault(value, kind, ""):
        raise UserError(f"{where}: {wrong}")
    return value


def fault(value: Any, kind: Kind, key: str) -> str | None:
    """Where the value of `key` is not of the kind, and what is allowed there; None if it is."""
    if not kind.fits(value):
        shown = f"{key} (={_short(value)})" if key else f"{_short(value)}"
        return f"{shown} must be {kind.words}"
    if value is None:
        return None
    inside: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        for name in kind.needed:
            if name not in value:
                return f"{_join(key, name)} is missing"
        inside = value.items()
    elif isinstance(value, list):
        inside = ((str(i), item) for i, item in enumerate(value))
    for name, item in inside:
        mine = kind.needed.get(name) or kind.known.get(name) or kind.each
        if mine is not None and (wrong := fault(item, mine, _join(key, name))):
            return wrong
    return None


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def read_lines(path: Path, data: bytes, torn: bool = False) -> list[dict[str, Any]]:
    """The lines of a metrics file whose content is `data`. UserError names the line and the key.

    torn  leave out a last line that is broken and has no newline: the writer was stopped in it
    """
    lines, contents = data.split(b"\n"), []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                contents.append((number, json.loads(line.decode())))
            except (ValueError, RecursionError) as error:
                if torn and number == len(lines):
                    break
                raise UserError(f"{path}, line {number}: {error}") from None
    for number, content in contents:
        where = f"{path}, line {number}"
        check(content, table(kind=TEXT), where)
        kind = content["kind"]
        for name in sorted(_REQUIRED.get(kind, ())):
            if name not in content:
                raise UserError(f"{where}: {name} is missing")
        check(content, _LINES.get(kind, ANYTHING), where)
    return [content for _, content in contents]


def options_of(path: Path, paper: str, names: Iterable[str] = ()) -> dict[str, Any]:
    """The options of the run in a folder. UserError where it is a run of another paper, or lacks
    one of the options `names`."""
    config = read(path / "config.json", CONFIG)
    return run_options(path, config, paper, names)


def run_options(
    path: Path, config: Mapping[str, Any], paper: str, names: Iterable[str] = ()
) -> dict[str, Any]:
    """As `options_of`, of a config.json that has been read."""
    if config["paper"] != paper:
        raise UserError(f"{path}: a run of {config['paper']}, not of {paper}")
    for name in names:
        if name not in config["options"]:
            raise UserError(f"{path / 'config.json'}: options.{name} is missing")
    return config["options"]
