"""How much memory there is, and what would need more than that."""

import os
from pathlib import Path

from common.errors import UsageError

CGROUP = Path("/sys/fs/cgroup/memory.max")


def total() -> int | None:
    """Bytes of this machine's memory, or of this container's share; None where nobody knows."""
    found = []
    if hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys():
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    try:
        found.append(int(CGROUP.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        pass
    return min((size for size in found if size > 0), default=None)


def check(needed: int, what: str, there: int | None = None, where: str = "this machine") -> None:
    """UsageError where `what` needs more bytes than there are (None: those of this machine)."""
    there = total() if there is None else there
    if there is not None and needed > there:
        raise UsageError(
            f"{what} would need {needed / 1e9:,.1f} GB of memory; {where} has {there / 1e9:,.1f}"
        )
