"""How many outputs a network needs; no framework."""

from common.errors import UsageError


def enough(outputs: int, classes: int, option: str, whose: str) -> int:
    """The outputs. UsageError, naming the option and whose classes, for fewer than those."""
    if outputs < classes:
        text = f"option {option} (={outputs}) must be >= {classes}, the classes of {whose}"
        raise UsageError(text)
    return outputs
