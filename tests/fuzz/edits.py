"""Edits of documents and of bytes, each a change that a person, a disk or a program makes."""

import copy
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OTHERS: tuple[Any, ...] = (
    [],
    {},
    "x",
    "",
    -1,
    0,
    1.5,
    None,
    True,
    [[]],
    {"a": None},
    10**30,
    math.inf,
    math.nan,
    "\x00",
    "../..",
    [1, "a"],
)


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """Every key of a document, however deep."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def document(chance: random.Random, value: Any) -> tuple[Any, tuple, Any]:
    """The document with another value or without a key; the place, and what is there now."""
    value = copy.deepcopy(value)
    place = chance.choice(list(places(value)))
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    if chance.random() < 0.25:
        del inner[place[-1]]
        return value, place, "gone"
    inner[place[-1]] = chance.choice(OTHERS)
    return value, place, inner[place[-1]]


def json_file(chance: random.Random, path: Path) -> str:
    """Edit a JSON file; what was done."""
    value, place, now = document(chance, json.loads(path.read_text()))
    path.write_text(json.dumps(value))
    return f"{path.name}: {'.'.join(map(str, place))} is {now!r:.40}"


def bytes_of(chance: random.Random, data: bytes) -> tuple[bytes, str, bool]:
    """Damaged bytes, how, and whether no reader can take what is left for the whole."""
    how = chance.choice(("cut", "empty", "noise", "nul", "flip", "longer", "text", "head"))
    at = chance.randrange(max(1, len(data)))
    if how == "cut":
        return data[:at], f"cut at {at}", True
    if how == "empty":
        return b"", "empty", True
    if how == "noise":
        return chance.randbytes(max(1, min(len(data), 5000))), "noise", True
    if how == "nul":
        return bytes(len(data)), "NUL bytes", True
    if how == "flip":
        bit = 1 << chance.randrange(8)
        return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :], f"bit {bit} at {at}", False
    if how == "longer":
        return data + chance.randbytes(chance.randint(1, 50)), "longer", False
    if how == "text":
        return b"<html>404 not found</html>\n", "a web page", True
    many = min(len(data), chance.randint(1, 40))
    return chance.randbytes(many) + data[many:], f"{many} bytes of noise first", False


def bytes_file(chance: random.Random, path: Path) -> tuple[str, bool]:
    """Damage a file; how, and whether it is certain that nobody can read it."""
    data, how, certain = bytes_of(chance, path.read_bytes())
    path.write_bytes(data)
    return f"{path.name}: {how}", certain
