"""How many outputs a network needs; no framework."""

from common.errors import ArgumentError


def enough(outputs: int, classes: int, argument: str, whose: str) -> int:
    """The outputs. ArgumentError, naming the argument and whose classes, for fewer than those."""
    if outputs < classes:
        raise ArgumentError(argument, f"(={outputs}) must be >= {classes}, the classes of {whose}")
    return outputs
