"""Commands and options: what a person types becomes a frozen dataclass, or one line of error."""

from common.cli.options import Options, argument, ignored_option, option, variant
from common.cli.script import Command, command

__all__ = ["Command", "Options", "argument", "command", "ignored_option", "option", "variant"]
