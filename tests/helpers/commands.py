"""Our commands as their users type them, in this process; errors come out as exceptions."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import click


def command(of: str | click.Command | Callable[..., Any]) -> Any:
    """A command, or the `main` of a module by its name."""
    return import_module(of).main if isinstance(of, str) else of


def start(of: str | click.Command | Callable[..., Any], *words: object) -> Any:
    """Run a command on these words; what it returns. UserError and UsageError are not caught."""
    return command(of).main([str(word) for word in words], standalone_mode=False)


def parse(of: str | click.Command | Callable[..., Any], *words: object) -> Any:
    """The options that a command would run with."""
    with command(of).make_context("x", [str(word) for word in words]) as context:
        return context.obj
