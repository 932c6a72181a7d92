"""Errors that are meant for the person at the keyboard: one line, no traceback."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something outside the program is wrong (a file, the disk, the network).

    The message is one line that names what is wrong and where. `code` is the exit code.
    """

    code = 1

    def __init__(self, message: str) -> None:
        # A library's own message quoted inside ours may span lines.
        super().__init__(" ".join(message.splitlines()))


class UsageError(UserError):
    """An option or argument has a value that it cannot have."""

    code = 2


def unknown(what: str, value: object, allowed: Iterable[object]) -> "ArgumentError":
    """The error for `value` not being one of `allowed`, with the nearest spelling if there is one.

    what: the argument's name. Returned, not raised: `raise unknown("dataset", name, NAMES)`.
    """
    names = [str(name) for name in allowed]
    problem = f"(={value}) must be one of {', '.join(names)}"
    folded = {name.lower().replace("-", "_"): name for name in names}
    key = str(value).lower().replace("-", "_")
    near = difflib.get_close_matches(key, folded, n=1)
    if near:
        problem += f"; did you mean {folded[near[0]]}?"
    return ArgumentError(what, problem)


class ArgumentError(UsageError, ValueError):
    """An argument of a library call is wrong: a ValueError to a program, one line to a person.

    argument  its name in the call; problem  the rest of the sentence, value and allowed values
    included ("(=7) must be between 0 and 1"). A command whose option has that name shows the
    option's spelling in place of the argument's.
    """

    def __init__(self, argument: str, problem: str) -> None:
        self.argument, self.problem = argument, problem
        super().__init__(f"{argument} {problem}")

    def __reduce__(self) -> tuple:  # an exception's own pickling would call __init__(message)
        return type(self), (self.argument, self.problem)
