"""`--resume DIR`: the values of a run's config.json, and what a command line may change in them."""

from collections.abc import Mapping
from typing import Any

import click

from common.cli.options import NOT_RECORDED, plain
from common.cli.params import Boolean, Device, FilePath, Layers, Number, label
from common.errors import UsageError, UserError, unknown
from common.files import documents
from common.files.paths import home

UNSET = click.Option(["--x"]).default  # click's word for an option without a default


def kind_of(param: click.Parameter) -> documents.Kind:
    """What a run's record may hold for an option: its values as `plain` gives them."""
    flag = isinstance(param, click.Option) and param.is_flag
    if flag or isinstance(param.type, Boolean):
        kind = documents.FLAG
    elif isinstance(param.type, Number):
        kind = documents.NUMBER if param.type.kind is float else documents.INTEGER
    elif isinstance(param.type, Layers):
        kind = documents.many(documents.INTEGER)
    elif isinstance(param.type, Device):
        kind = documents.NAME_OR_NUMBER
    else:
        kind = documents.TEXT
    many = getattr(param, "multiple", False) or param.nargs != 1
    kind = documents.many(kind) if many else kind
    # What always has a value is never null; "" is how a path says that it has none.
    nothing = (None, UNSET, "") if isinstance(param.type, FilePath) else (None, UNSET)
    given = not param.required and param.default in nothing
    return documents.maybe(kind) if given or isinstance(param, click.Argument) else kind


def read_run(
    directory: str,
    script: str,
    known: Mapping[str, click.Parameter],
    *,
    retired: Mapping[str, Any],
    file: bool,
) -> dict[str, Any] | None:
    """The "options" of DIRECTORY/config.json, without NOT_RECORDED.

    None where `directory` is empty, or a file and `file` allows that: nothing is resumed from a
    run's record.  UsageError for a folder that is no run, a run of another script or version, or
    a value of another type than the option's.

    known     name -> option or positional of the script
    retired   name of one that it has no longer -> the value with which its run goes on all the same
    """
    option, run = f"option --resume (={directory})", home(directory)
    if not directory or (file and run.is_file()):
        return None
    if not run.is_dir():
        raise UsageError(f"{option} must be the directory of a run{' or a file' if file else ''}")
    if not (run / "config.json").is_file():
        raise UsageError(f"{option} holds no run: it has no config.json")
    try:
        config = documents.read(run / "config.json", documents.CONFIG)
    except UserError as error:
        raise UsageError(f"{option}: its config.json is no record of a run: {error}") from None
    options, wrote = config["options"], config["script"]
    options = {n: v for n, v in options.items() if n not in retired or v != retired[n]}
    if wrote != script:
        raise UsageError(f"{option} is a run of {wrote}, not of {script}")
    strange = sorted(options.keys() - known.keys() - set(NOT_RECORDED))
    if strange:
        raise UsageError(f"{option}: its config.json has {strange[0]}, which {script} has not")
    values = {name: value for name, value in options.items() if name not in NOT_RECORDED}
    for name, value in values.items():
        if fault := documents.fault(value, kind_of(known[name]), f"options.{name}"):
            raise UsageError(f"{option}: {run / 'config.json'}: {fault}")
    return values


def changes(
    ctx: click.Context, recorded: Mapping[str, Any], typed: frozenset[str]
) -> dict[str, tuple[Any, Any]]:
    """Name -> (value in the run's record, value now) of the typed options that differ.

    UsageError for one that alters the run's numbers and that no --allow-change names.
    """
    params = {param.name or "": param for param in ctx.command.params}
    names = {name.replace("_", "-"): name for name in params}
    for name, param in params.items():
        names |= {
            s.lstrip("-").replace("_", "-"): name for s in (*param.opts, *param.secondary_opts)
        }
    allowed = set()
    for asked in ctx.params.get("allow_change") or ():
        name = asked.lstrip("-").replace("_", "-")
        if name not in names:
            choices = sorted(n for n in params if n not in NOT_RECORDED)
            raise unknown("option --allow-change", asked, [n.replace("_", "-") for n in choices])
        allowed.add(names[name])
    changed = {}
    for name in sorted(typed - set(NOT_RECORDED)):
        old, new = recorded.get(name), plain(ctx.params[name])
        if old == new or getattr(params[name], "same_as", None):
            continue
        # The positional through which an option's value came is the one to name.
        stands_for = (p for p in params.values() if getattr(p, "same_as", None) == name)
        spoken = next((p for p in stands_for if p.name in typed), params[name])
        if getattr(params[name], "numbers", True) and not allowed & {name, spoken.name}:
            flag = f"--allow-change {name.replace('_', '-')}"
            raise UsageError(
                f"{label(spoken, ctx)} (={new}) is {old} in the resumed run, and changing it "
                f"changes the run's numbers; add {flag} if that is meant"
            )
        changed[name] = (old, new)
    return changed
