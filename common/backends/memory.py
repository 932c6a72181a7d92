"""How much memory there is, and what would need more than that."""

import os
from pathlib import Path

from common.errors import UsageError

OUT_OF_MEMORY = ("OutOfMemoryError", "ResourceExhaustedError")  # torch's, TensorFlow's
PARTS = ("can't allocate memory", "not enough memory", "failed to allocate memory")
CGROUP = Path("/sys/fs/cgroup/memory.max")


def total() -> int | None:
    """Bytes of this machine's memory, or of this container's share; None where nobody knows."""
    sizes = []
    if hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys():
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    try:
        sizes.append(int(CGROUP.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        pass
    return min((size for size in sizes if size > 0), default=None)


def check(needed: int, what: str, there: int | None = None, where: str = "this machine") -> None:
    """UsageError where `what` needs more bytes than there are (None: those of this machine)."""
    there = total() if there is None else there
    if there is not None and needed > there:
        raise UsageError(
            f"{what} would need {needed / 1e9:,.1f} GB of memory; {where} has {there / 1e9:,.1f}"
        )


def message_of(error: BaseException) -> str | None:
    """One line for an error that says that memory ran out, of any framework; None for another."""
    text = str(error).strip().splitlines()[:1] or [type(error).__name__]
    ours = isinstance(error, MemoryError) or type(error).__name__ in OUT_OF_MEMORY
    if ours or (isinstance(error, RuntimeError) and any(part in str(error) for part in PARTS)):
        return f"memory ran out: {text[0][:200]}; a smaller batch or network needs less"
    return None
