"""Options and positionals of the commands: what a value may be, and what the errors say.

    epochs: int = option("-n_epochs", type=positive_int, default=500, help="Epochs.")
    layers: list[int] = option(type=layers, default=[784, 256, 10])
    directory: Path | None = argument(same_as="out", help="Results directory.")

Every type says what it expects; a refused value gives one line that names option, value and what
is allowed.  `numbers` says whether another value gives another run (see `--resume`); `original`
whether the paper's program had the option: its unique prefixes stay unique when we add options.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from common.doors import bounds
from common.errors import UsageError, unknown
from common.files.paths import home

TYPED = "creditlab.typed"  # ctx.meta: parameter name -> the spelling found on the command line
OMITTED = "creditlab.omitted"  # ctx.meta: names of positionals that this command line leaves out
RESUMED = "creditlab.resumed"  # ctx.meta: the run directory that the values come from


def primary(param: click.Parameter) -> str:
    """The spelling by which messages call a parameter: its first long one, or NAME."""
    if isinstance(param, click.Argument):
        return param.human_readable_name
    spellings = [*param.opts, *param.secondary_opts]
    return next((s for s in spellings if len(s.lstrip("-")) > 1), spellings[0])


def label(param: click.Parameter | None, ctx: click.Context | None) -> str:
    """ "option --beta" as it was typed, or "argument DATASET"."""
    if param is None:
        return "value"
    typed = ctx.meta.get(TYPED, {}).get(param.name) if ctx is not None else None
    return f"{param.param_type_name} {typed or primary(param)}"


def refuse(
    param: click.Parameter | None, ctx: click.Context | None, value: Any, why: str
) -> NoReturn:
    """Raise the UsageError "option --beta (=-1) must be > 0"."""
    shown = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    if param is not None and ctx is not None:
        if ctx.get_parameter_source(param.name or "") is ParameterSource.DEFAULT_MAP:
            shown += f" in {ctx.meta[RESUMED] / 'config.json'}"
    raise UsageError(f"{label(param, ctx)} (={shown}) {why}")


class Number(click.ParamType):
    """A finite `kind` (int or float) from `low` to `high`; `above` excludes `low` itself.

    most: a bound that help does not speak of, since no run can mean more; None: that of all floats
    and of all ints (`common.doors.bounds`).
    """

    def __init__(
        self, kind: type = float, low: Any = None, high: Any = None, above=False, most: Any = None
    ):
        self.kind, self.low, self.high, self.above, self.most = kind, low, high, above, most
        self.name = "integer" if kind is int else "number"
        if low is not None and high is not None:
            self.range = f"between {low} and {high}"
        elif low is not None:
            self.range = f"{'>' if above else '>='} {low}"
        else:
            self.range = "" if high is None else f"<= {high}"
        noun = "an integer" if kind is int else "a finite number"
        self.expected = f"{noun} {self.range}".strip()

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        whole = isinstance(value, float) and self.kind is int  # int() would cut it silently
        try:
            number = self.kind("" if whole or isinstance(value, bool) else value)
            finite = abs(number) < math.inf  # math.isfinite cannot take an int of 400 digits
        except (ValueError, TypeError):
            finite = False
        if not finite:
            refuse(param, ctx, value, f"must be {self.expected}")
        low_ok = self.low is None or (number > self.low if self.above else number >= self.low)
        if not low_ok or (self.high is not None and number > self.high):
            refuse(param, ctx, value, f"must be {self.range}")
        if why := bounds.excess(number, self.most, self.above and self.low == 0):
            refuse(param, ctx, value, why)
        return number


class Boolean(click.ParamType):
    """True or False in any case; "1" and "yes", which the originals took for False, are refused."""

    name = "True|False"
    expected = "True or False"

    def convert(self, value: Any, param: Any, ctx: Any) -> bool:
        text = str(value).lower()
        if text not in ("true", "false"):
            refuse(param, ctx, value, f"must be {self.expected}")
        return text == "true"


class Choice(click.ParamType):
    """One of `values`, whatever the case, dashes and underscores.  `aliases`: name -> value."""

    name = "choice"

    def __init__(self, *values: str, aliases: Mapping[str, str] | None = None):
        self.values = values
        names = {**(aliases or {}), **{v: v for v in values}}
        self.names = {self._fold(name): value for name, value in names.items()}
        self.expected = "one of " + ", ".join(values)

    @staticmethod
    def _fold(text: str) -> str:
        return re.sub(r"[-_ ]", "", text.lower())

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        chosen = value if value in self.values else self.names.get(self._fold(str(value)))
        if chosen is None:
            raise unknown(label(param, ctx), value, self.values)
        return chosen

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "[" + "|".join(self.values) + "]"


class Layers(click.ParamType):
    """Layer sizes, input first: `784,256,10` or `784-256-10` -> [784, 256, 10]."""

    name = "sizes"
    expected = "at least 2 layer sizes, each >= 1, such as 784,256,10"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[int]:
        separator = "," if "," in str(value) else "-"
        parts = value.split(separator) if isinstance(value, str) else value
        try:
            sizes = [int(part) for part in parts]
        except (ValueError, TypeError):
            sizes = []
        if len(sizes) < 2 or min(sizes) < 1:
            refuse(param, ctx, value, f"must be {self.expected}")
        if max(sizes) > bounds.LARGEST_INT or len(sizes) > bounds.DEEPEST:
            refuse(param, ctx, value, f"must be {bounds.DEEPEST} sizes of <= {bounds.LARGEST_INT}")
        return sizes


class Device(click.ParamType):
    """auto, cpu, cuda, cuda:1; a bare GPU number, as an original took it, stays an int."""

    name = "device"
    expected = "auto, cpu, cuda, cuda:N or a GPU number N"

    def convert(self, value: Any, param: Any, ctx: Any) -> str | int:
        text = str(value).lower()
        if re.fullmatch(r"[0-9]{1,4}", text):
            return int(text)
        if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,4})?", text):
            refuse(param, ctx, value, f"must be {self.expected}")
        return text


class FilePath(click.ParamType):
    """A pathlib.Path with ~ expanded; "" means none, where there may be none: where the option has
    no path of its own as its default.  `exists`: it must be a readable file."""

    name = "path"
    expected = "a path"

    def __init__(self, exists: bool = False):
        self.exists = exists

    def convert(self, value: Any, param: Any, ctx: Any) -> Path | None:
        path = home(value) if str(value) else None
        own, many = getattr(param, "default", None), getattr(param, "nargs", 1) != 1
        if path is None and (many or isinstance(own, str | Path) and own):
            refuse(param, ctx, value, "must be a path")
        if self.exists and path is not None and not path.is_file():
            refuse(param, ctx, value, "must be an existing file")
        return path


boolean = Boolean()
layers = Layers()
path = FilePath()
existing_file = FilePath(exists=True)
positive = Number(float, 0, above=True)
nonnegative = Number(float, 0)
fraction = Number(float, 0, 1)
positive_int = Number(int, 1)
nonnegative_int = Number(int, 0)
seed = Number(int, 0, most=bounds.LARGEST_SEED)
batch = Number(int, 1, most=bounds.LARGEST_BATCH)
hidden_layers = Number(int, 0, most=bounds.DEEPEST)
side = Number(int, 1, most=bounds.LARGEST_SIDE)
factor = Number(float, 0, above=True, most=bounds.LARGEST_FACTOR)
threads = Number(int, 1, most=bounds.MOST_PROCESSES)
workers = Number(int, 0, most=bounds.MOST_PROCESSES)
choice = Choice
_TYPES = {int: Number(int), float: Number(float), bool: boolean, Path: path}


class _Refusing:
    """What click's own types refuse is told in the same words as what ours refuse."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        try:
            return super().type_cast_value(ctx, value)  # type: ignore[misc]
        except click.BadParameter as error:
            refuse(self, ctx, value, f"is refused: {error.message}")  # type: ignore[arg-type]


class Option(_Refusing, click.Option):
    """A click option that knows `numbers`, `original` and the `group` it is listed in.

    bare: the text that is its value where it is typed without one (None: it needs one).
    """

    def __init__(
        self,
        *args: Any,
        numbers=True,
        original=True,
        group="Options",
        bare: str | None = None,
        **attrs: Any,
    ):
        super().__init__(*args, **attrs)
        self.numbers, self.original, self.group, self.bare = numbers, original, group, bare


class Argument(_Refusing, click.Argument):
    """A positional.  `same_as`: an option that means the same, overrides it and may replace it;
    `optional_with`: options that make it superfluous; `needed`: must it be given otherwise?"""

    def __init__(
        self,
        param_decls: Sequence[str],
        *,
        numbers=True,
        same_as: str | None = None,
        optional_with: Sequence[str] = (),
        required: bool = True,
        **attrs: Any,
    ):
        # Command itself looks for what is missing: `--resume` and `optional_with` may supply it.
        super().__init__(param_decls, required=False, **attrs)
        self.numbers, self.same_as, self.needed = numbers, same_as, required
        self.optional_with = (*optional_with, *([same_as] if same_as else []))

    def make_metavar(self, ctx: click.Context) -> str:
        return self.human_readable_name if self.needed else f"[{self.human_readable_name}]"

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        if self.name not in ctx.meta.get(OMITTED, ()):
            super().add_to_parser(parser, ctx)


def typed(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's attributes, with a type of this module for what they say of it."""
    kind, default = attrs.get("type"), attrs.get("default")
    followed = Path if isinstance(default, Path) else type(default)  # a path's own type is another
    if kind is None and not attrs.get("is_flag") and followed in _TYPES:
        kind = followed
    if isinstance(kind, (list, tuple)):
        kind = Choice(*kind)
    kind = _TYPES.get(kind, kind) if isinstance(kind, type) else kind
    return {**attrs} if kind is None else {**attrs, "type": kind}
