"""A disk that fills up: a small tmpfs of the case's own, or a device that takes no byte."""

import ctypes
import os
import random
from pathlib import Path

from tests.fuzz.case import EITHER, REFUSED, Case, plain
from tests.fuzz.programs import WORKING

NOT_MOUNTED = "no small tmpfs could be mounted here, so no disk was filled up"
MS_REC_PRIVATE, CLONE_NEWNS = 0x4000 | 1 << 18, 0x20000
ONE_FILE = ("common.report", "common.curves", "asap.alignment", "burstprop.fig5", "s3net.wiring")


def programs() -> list[str]:
    """Every program that writes."""
    return [
        n for n in WORKING if n not in ("brainprop.tinyimagenet", "s3net.imagenet.validate_10crop")
    ]


def make(chance: random.Random, module: str, work: Path, stock: Path) -> Case:
    """The program's plain words, whose output goes onto the small disk."""
    if module in ONE_FILE and chance.random() < 0.4:
        words = plain(module, work, stock)
        words[words.index("--out") + 1] = "/dev/full"
        return Case("disk", module, words, REFUSED, "/dev/full", work)
    disk = work / "disk"
    disk.mkdir()
    size = chance.choice((4, 8, 16, 24, 40, 64, 100, 200, 400))
    words = plain(module, disk, stock)
    if "evaluate" in module or "eval" in module:
        words += ["--export", str(disk / "model.safetensors")]
    case = Case("disk", module, words, EITHER, f"a disk of {size} KiB", work)
    if not mount(disk, size):
        case.skipped = NOT_MOUNTED
    return case


def mount(folder: Path, size: int) -> bool:
    """Mount a tmpfs of so many KiB that this process and its children alone see; whether it was
    done."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        return False
    data = f"size={size}k".encode()
    return not libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, data)
