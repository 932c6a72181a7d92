"""metrics.jsonl: a line an epoch, a line an audit, kept through kills and resumes."""

import json
import os
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files.documents import read_lines
from common.files.writing import writing


def kept(path: Path, size: int) -> list[dict[str, Any]]:
    """The lines that a checkpoint knows of: those in the first `size` bytes.

    UserError where the file is shorter, or is not lines of a run: nothing can go on from there.
    """
    if not size:
        return []
    try:
        with open(path, "rb") as file:
            data = file.read(size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(data) < size:
        raise UserError(
            f"{path}: has {len(data)} bytes, the checkpoint knows of {size}; it was cut or edited"
        )
    if not data.endswith(b"\n"):
        raise UserError(f"{path}: byte {size} is inside a line; it was edited")
    return read_lines(path, data)


class Metrics:
    """The file of a run: lines are appended and synced; a resume cuts it back to its checkpoint.

    keep_bytes  how much of the file the checkpoint knows of; 0: the file begins anew
    write       False: another process writes; lines are remembered only

    UserError, before anything is written, where `keep_bytes` do not hold whole lines.
    """

    def __init__(self, path: Path, keep_bytes: int = 0, write: bool = True) -> None:
        self.lines, self._path = kept(path, keep_bytes), path
        self._file = None
        if write:
            with writing(path):
                self._file = open(path, "ab")
                self._file.truncate(keep_bytes)
                self._file.seek(0, os.SEEK_END)

    def append(self, line: dict[str, Any]) -> None:
        """Write one line."""
        self.lines.append(line)
        if self._file is not None:
            with writing(self._path):
                self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.tell() if self._file is not None else 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with writing(self._path):
                self._file.close()
