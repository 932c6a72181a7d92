"""Commands and options: what a person types becomes an `Options` object, or one line of error."""

from common.cli.script import Command, Options, argument, command, option

__all__ = ["Command", "Options", "argument", "command", "option"]
