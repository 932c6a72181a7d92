"""Writing files: whole or not at all, and a disk that refuses is one line that names the file."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from common.errors import ArgumentError, UserError
from common.files.paths import home

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def writing(path: Path, *also: type[Exception]) -> Iterator[None]:
    """Turns what the disk refuses meanwhile into a UserError that names `path`.

    also  errors beside OSError with which a library says so
    """
    refusals: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except refusals as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"{path}: cannot be written ({why})") from error


@contextmanager
def whole(path: Path, *also: type[Exception]) -> Iterator[Path]:
    """A path to write to that takes the name `path`, by a rename, once all of it is on the disk.

    Makes the folder. A device or a link (/dev/full, /dev/stdout) gets the bytes, never the rename,
    which would put a file in its place (safetensors renames too, whatever it is given).
    UserError as `writing`.
    """
    path = home(path)
    with writing(path, *also):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            with TemporaryDirectory() as folder:
                temporary = Path(folder) / path.name
                yield temporary
                with open(path, "wb") as file:
                    file.write(temporary.read_bytes())
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """What was written to a file, or into a folder, is on the disk afterwards."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that at any instant the old or the new one is there, whole. UserError where
    the disk refuses."""
    with whole(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of a text in UTF-8."""
    # The name of a file, which need not be UTF-8, may be part of the text.
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, document: Any) -> None:
    """`write_text` a document as JSON; it must hold no NaN."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def write_table(path: Path, rows: Iterable[Iterable[Any]]) -> None:
    """`write_text` rows of cells as csv."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_text(path, text.getvalue())


def write_figure(figure: "Figure", path: Path, **options: Any) -> None:
    """`write_bytes` a figure in the format that the file's ending names (without one: PNG).

    options  of matplotlib's savefig (dpi, facecolor). ArgumentError for an unknown ending.
    """
    kind = path.suffix[1:].lower() or "png"
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise ArgumentError("out", f"(={path}) must end in one of .{', .'.join(sorted(known))}")
    drawn = io.BytesIO()  # matplotlib closes a file of its own in silence when the disk is full
    figure.savefig(drawn, format=kind, **options)
    write_bytes(path, drawn.getvalue())
