"""The one kind of command that all scripts are.

    >>> from common.cli import command, option
    >>> from common.cli.params import positive
    >>> from common.cli.training_options import TrainingOptions, training_options
    >>> @training_options(dataset="mnist", datasets=("mnist", "fashion_mnist"), epochs=100)
    ... class TrainOptions(TrainingOptions):
    ...     beta: float = option(type=positive, default=0.1, help="Displacement of the targets.")
    >>> @command(TrainOptions, paper="lra_e", name="mnist_torch")
    ... def main(options: TrainOptions):
    ...     "What --help says."
    ...     return options.dataset, options.beta  # import frameworks only here: --help stays fast
    >>> main(["--beta", "0.3"], standalone_mode=False)
    ('mnist', 0.3)

One line on stderr for whatever a person can put right, never a traceback: exit code 2 for a wrong
command line, 1 for a failure while running, 130 for Ctrl-C.  `main(args, standalone_mode=False)`
raises UsageError and UserError instead and returns what the script returns.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from common.backends import memory
from common.backends.devices import prepare
from common.cli.options import PARAMETER, SWITCHES, Call, Options
from common.cli.params import OMITTED, RESUMED, TYPED, Argument, label
from common.cli.parser import Spellings, left_out
from common.cli.resume import changes, read_run
from common.cli.switches import carry_over, preset, switch_parameters
from common.errors import ArgumentError, UsageError, UserError
from common.files.paths import home

T = TypeVar("T", bound=Options)


class Command(click.Command):
    """See the module.  Made by `command`."""

    def __init__(
        self, *args: Any, options: type[Options], paper: str, script: str, **attrs: Any
    ) -> None:
        self.options, self.paper, self.script = options, paper, script
        self.resume_file: bool = getattr(options, "RESUME_FILE", False)
        params: list[click.Parameter] = []
        self.switched: str | None = None  # the field that holds the switches
        for each in fields(options):
            if PARAMETER in each.metadata:
                params.append(each.metadata[PARAMETER].parameter(each.name))
            elif SWITCHES in each.metadata:
                self.switched, self.switches = each.name, each.metadata[SWITCHES]
                params += switch_parameters(self.switches)
        super().__init__(*args, **{**attrs, "params": params})
        seen = {"help"}
        for key in (s for p in self.params for s in {p.name, *p.opts, *p.secondary_opts}):
            if key in seen:
                raise TypeError(f"{script}: {key} is declared twice or is reserved")
            seen.add(key or "")

    # -- from words to values ---------------------------------------------------------------

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if {"-h", "--h", "--help"} & set(args):
            return super().parse_args(ctx, ["--help"])
        words = Spellings(self.get_params(ctx)).translate(args)
        arguments = [param for param in self.params if isinstance(param, Argument)]
        ctx.meta[TYPED], ctx.meta[OMITTED] = words.typed, left_out(arguments, words)
        recorded = None
        if "resume" in words.values:
            directory, known = words.values["resume"], {p.name or "": p for p in self.params}
            retired = getattr(self.options, "RETIRED", {})
            recorded = read_run(
                directory, self.script, known, retired=retired, file=self.resume_file
            )
        if recorded is not None:
            ctx.meta[RESUMED] = home(words.values["resume"])
            # A positional gets the value of the option that it is the same as, further down.
            same = {each.name for each in arguments if each.same_as in recorded}
            ctx.default_map = {k: v for k, v in recorded.items() if k not in same}
        rest = super().parse_args(ctx, [*words.options, "--", *words.positionals])
        self._complete(ctx, arguments, recorded)
        return rest

    def _complete(
        self, ctx: click.Context, arguments: list[Argument], recorded: dict[str, Any] | None
    ) -> None:
        """What one value means for another: positionals, the resumed run, switches."""
        values = ctx.params
        commandline = ParameterSource.COMMANDLINE
        typed = {name for name in values if ctx.get_parameter_source(name) is commandline}
        run = ctx.meta.get(RESUMED)
        for each in arguments:
            name, same = each.name or "", each.same_as
            if run is None and each.needed and not typed & {name, *each.optional_with}:
                hint = "".join(f" (or give --{o})" for o in each.optional_with[:1])
                expected = getattr(each.type, "expected", "")
                raise UsageError(
                    f"{label(each, ctx)} is missing{expected and ': '}{expected}{hint}"
                )
            if same is not None and name in typed and same not in typed:
                values[same] = values[name]
                typed.add(same)
            elif same is not None:
                values[name] = values[same]
        changed = self._resume(ctx, arguments, recorded, typed) if recorded is not None else {}
        if recorded is None and values.get("allow_change"):
            raise UsageError("option --allow-change goes with --resume DIR only")
        if values.get("audit_every"):
            values["audit"] = values["audit"] or "audit" not in typed
            values["audit_every"] = values["audit_every"] if values["audit"] else None
        given, compat = dict(values), "corrected"
        if self.switched is not None:
            compat = given.pop("compat")
            chosen = {field.name: given.pop(field.name) for field in fields(self.switches)}
            given[self.switched] = preset(self.switches, compat, **chosen)
        call = Call(
            self.script,
            self.paper,
            self.name or "",
            frozenset(typed),
            changed,
            compat,
            recorded is not None,
        )
        ctx.obj = self.options(call=call, **given).completed()

    def _resume(
        self,
        ctx: click.Context,
        arguments: list[Argument],
        recorded: dict[str, Any],
        typed: set[str],
    ) -> dict[str, tuple[Any, Any]]:
        """Check what was typed against the record; the changes.  A run stays in its directory."""
        values, run = ctx.params, ctx.meta[RESUMED]
        places = {"out", *(a.name or "" for a in arguments if a.same_as == "out")}
        spelled = {"out"} & set(ctx.meta[TYPED]) or places - {"out"}
        for param in self.params:
            place = values[param.name] if param.name in spelled & typed else run
            if place is None or place.resolve() != run.resolve():
                raise UsageError(
                    f"{label(param, ctx)} (={place}) must be left out, or be the "
                    f"directory that --resume (={run}) names"
                )
        values.update(dict.fromkeys(places & values.keys(), run))
        changed = changes(ctx, recorded, frozenset(typed - places))
        if "compat" in changed and self.switched is not None:
            # What the run had set by hand stays; the rest follows the new preset.
            kept = carry_over(self.switches, recorded)
            for field in fields(self.switches):
                if field.name not in typed:
                    values[field.name] = kept.get(field.name)
        return changed

    def invoke(self, ctx: click.Context) -> Any:
        assert self.callback is not None
        prepare(getattr(ctx.obj, "threads", None), getattr(ctx.obj, "device", "auto"))
        return ctx.invoke(self.callback, ctx.obj)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and not isinstance(param, click.Argument):
                groups.setdefault(getattr(param, "group", "Common options"), []).append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    # -- how it ends ------------------------------------------------------------------------

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        program = prog_name or f"python -m {self.script}"
        if not standalone_mode:
            return self._run(program, words, extra)
        message = None
        if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name need not be UTF-8
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            self._run(program, words, extra)
            code = 0
            sys.stdout.flush()
        except click.exceptions.Exit as stop:
            code = stop.exit_code
        except UserError as error:
            code, message = error.code, str(error)
        except (KeyboardInterrupt, click.Abort):
            code, message = 130, "interrupted"
        except OSError as error:
            code, message = self._system_error(error)
        except Exception as error:
            code, message = 1, memory.message_of(error)
            if message is None:  # a bug: its traceback is what helps
                raise
        if message is not None:
            line = " ".join(message.splitlines())
            with contextlib.suppress(OSError):
                print(f"error: {line}", file=sys.stderr, flush=True)
        sys.exit(code)

    def _run(self, program: str, words: list[str], extra: dict[str, Any]) -> Any:
        ctx: click.Context | None = None
        try:
            with self.make_context(program, words, **extra) as ctx:
                return self.invoke(ctx)
        except ArgumentError as error:
            raise self._in_words_of_options(error, ctx) from error
        except click.MissingParameter as error:
            raise UsageError(f"{label(error.param, error.ctx)} is missing") from None
        except click.UsageError as error:
            raise UsageError(error.format_message()) from None
        except click.ClickException as error:
            raise UserError(error.format_message()) from None

    def _in_words_of_options(self, error: ArgumentError, ctx: click.Context | None) -> UserError:
        """A library's error about an argument, told of the option of that name as it was typed;
        the error itself where there is no such option."""
        named = {
            name.lstrip("-").replace("-", "_"): param
            for param in self.params
            for name in (*param.opts, param.name or "")
        }
        if error.argument not in named:
            return error
        return UsageError(f"{label(named[error.argument], ctx)} {error.problem}")

    @staticmethod
    def _system_error(error: OSError) -> tuple[int, str | None]:
        """Exit code and message.  A reader that went away (`| head`) is no error: no message."""
        if isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError, ValueError):  # a captured stdout has no descriptor
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + 13, None
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return 1, ": ".join([*names, error.strerror or str(error) or type(error).__name__])


def script_name(function: Callable, paper: str, name: str = "") -> str:
    """Where `function` is defined, as `python -m` would call it, however it was started."""
    if paper == "common":  # its commands have doors of their own, `common/<name>.py`
        return f"common.{name}"
    if function.__module__ not in ("__main__", "__mp_main__"):
        return function.__module__
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None:
        return spec.name.removesuffix(".__main__")
    parts = Path(function.__code__.co_filename).resolve().with_suffix("").parts
    folders = [i for i, part in enumerate(parts[:-1]) if part == paper]
    return ".".join(parts[folders[-1] if folders else -1 :])


def command(
    options: type[T], *, paper: str, name: str, **attrs: Any
) -> Callable[[Callable[[T], Any]], Command]:
    """Make the function below, `main(options)`, a Command; its docstring is the help.

    options   the frozen dataclass whose fields are what may be typed (`common.cli.options`)
    """

    def decorate(function: Callable[[T], Any]) -> Command:
        return click.command(
            name,
            cls=Command,
            options=options,
            paper=paper,
            script=script_name(function, paper, name),
            context_settings={
                "help_option_names": ["-h", "--h", "--help"],
                "show_default": True,
                "max_content_width": 100,
            },
            **attrs,
        )(function)

    return decorate
