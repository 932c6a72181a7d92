"""A command's options as a frozen dataclass, whose fields declare what may be typed.

    @dataclass(frozen=True, kw_only=True)
    class EvalOptions(Options):
        model: Path | None = argument(type=path, required=False, help="A run directory.")
        lr: float = option(type=positive, default=0.03, help="Initial learning rate.")
        switches: Switches = switch_options(Fidelity)  # see `common.cli.switches`

A field is called as its parameter; without spellings an option is --its-name. Made by a command, or
by a library's user: what is left out has the value that --help names. Attributes of `option` and
`argument` are those of `common.cli.params.Option` and `Argument`, whose `type` is int, float
(finite), bool (True/False), Path, a list of strings (a choice) or a type of `common.cli.params`,
and follows from the default where it is left out.
"""

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import click

from common.cli.params import Argument, Option, path, typed

PARAMETER, SWITCHES = "creditlab.parameter", "creditlab.switches"  # keys of a field's metadata
NOT_RECORDED = ("resume", "allow_change")  # how a run was started, not what it is
T = TypeVar("T")


class Declared(NamedTuple):
    """What a field declares: the class of its click parameter, spellings, attributes."""

    kind: type[click.Parameter]
    spellings: tuple[str, ...]
    attrs: Mapping[str, Any]

    def parameter(self, name: str) -> click.Parameter:
        """The click parameter of the field `name`."""
        if self.kind is Argument:
            return Argument([name], **self.attrs)
        spellings = self.spellings or (f"--{name.replace('_', '-')}",)
        return Option([*spellings, name], **self.attrs)


def usual(attrs: Mapping[str, Any]) -> Any:
    """The default of a parameter with these attributes."""
    if attrs.get("nargs") == -1 or attrs.get("multiple"):
        return attrs.get("default", ())
    return attrs.get("default", False if attrs.get("is_flag") else None)


def declare(about: Declared) -> Any:
    """The field that declares it; its default is the parameter's."""
    return with_default(usual(about.attrs), {PARAMETER: about})


def with_default(value: Any, metadata: Mapping[str, Any]) -> Any:
    """A field: a callable makes its default, and a list is copied."""
    if callable(value):
        return field(default_factory=value, metadata=metadata)
    if isinstance(value, list):
        return field(default_factory=value.copy, metadata=metadata)
    return field(default=value, metadata=metadata)


def option(*spellings: str, **attrs: Any) -> Any:
    """A field that is an option; see the module."""
    if wrong := [s for s in spellings if not s.startswith("-")]:
        raise TypeError(f"{wrong[0]!r} is no spelling: the field's name is the option's")
    flag = attrs.get("is_flag") or any("/" in s for s in spellings)
    return declare(Declared(Option, spellings, attrs if flag else typed(attrs)))


def ignored_option(*spellings: str, because: str, **attrs: Any) -> Any:
    """A field for an option of the original that is accepted and ignored, as its help says.

    because   why nothing here reads it: "a test optimises nothing"
    """
    return option(*spellings, **attrs, numbers=False, help=f"Accepted and ignored: {because}.")


def argument(**attrs: Any) -> Any:
    """A field that is a positional; see the module."""
    if attrs.get("same_as") in ("out", "data_dir"):
        attrs.setdefault("type", path)
    return declare(Declared(Argument, (), typed(attrs)))


@dataclass(frozen=True)
class Call:
    """How a command was called.

    script    "lra_e.mnist.mnist_torch";  paper "lra_e";  name "mnist_torch"
    typed     names of the options and positionals on the command line
    changes   name -> (old, new) of what a --resume changes
    compat    the preset that the switches began with, where the command has them
    resumed   whether the values come from a run's record
    """

    script: str = ""
    paper: str = ""
    name: str = ""
    typed: frozenset[str] = frozenset()
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    compat: str = "corrected"
    resumed: bool = False


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every command has: how it was called."""

    call: Call = Call()

    def completed(self) -> Self:
        """These options with what one value means for another, as the program takes them.

        The command calls it once. UsageError for values that do not go together.
        """
        return self

    def record(self) -> dict[str, Any]:
        """All declared options as JSON has them: a run's record, all that --resume needs.

        A resumed directory and --allow-change are left empty: they are no part of the run.
        """
        record: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if PARAMETER in each.metadata:
                record[each.name] = plain(value)
            elif SWITCHES in each.metadata:
                record |= {"compat": self.call.compat, **asdict(value)}
        if self.call.resumed and "resume" in record:
            record["resume"] = None
        if "allow_change" in record:
            record["allow_change"] = []
        return record


def plain(value: Any) -> Any:
    """`value` as JSON has it: paths are text, tuples are lists."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def declared(options: type) -> dict[str, Declared]:
    """Name -> what each field of an options' dataclass declares."""
    known = getattr(options, "__dataclass_fields__", {})
    return {n: f.metadata[PARAMETER] for n, f in known.items() if PARAMETER in f.metadata}


def variant(options: type[T], /, **changes: Any) -> type[T]:
    """A subclass with other defaults, or with other declarations (`lr=option(...)`), by name.

    TypeError for a name that the class has not.
    """
    known = options.__dataclass_fields__  # type: ignore[attr-defined]
    body: dict[str, Any] = {"__doc__": options.__doc__, "__module__": options.__module__}
    for name, value in changes.items():
        if name not in known:
            raise TypeError(f"{options.__name__} has no {name!r}; it has {', '.join(known)}")
        about: Declared | None = known[name].metadata.get(PARAMETER)
        if not isinstance(value, Field):
            value = (
                declare(about._replace(attrs={**about.attrs, "default": value}))
                if about
                else with_default(value, known[name].metadata)
            )
        body[name] = value
    body["__annotations__"] = {name: known[name].type for name in changes}
    return dataclass(frozen=True, kw_only=True)(type(options.__name__, (options,), body))
