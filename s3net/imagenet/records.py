"""Images in one lmdb file: the bytes of the files as they are, nothing pickled.

    "0" ... "N-1"   HEAD (class, CRC-32 of the image, length of its name), name, the image file
    "__labels__"    int64 (N,), little-endian; written last
    "__meta__"      JSON: format, images, done, classes, listing (MD5 of the names)

A page that is not there kills a process that maps the file; so its length is compared with what
its head says before anything is read. lmdb has no checksums of its own tree (the records have):
most damage there is an error, a length changed to one beyond the file's end is SIGBUS.
"""

import json
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import numpy as np

from common.data.datasets import limited
from common.data.pixels import decode_bytes
from common.errors import UserError
from common.files import documents
from common.files.paths import home
from common.files.reading import damaged

FORMAT = "creditlab images 1"
HEAD = struct.Struct("<IIH")
META, LABELS = b"__meta__", b"__labels__"
ABOUT = documents.table(
    images=documents.COUNT,
    done=documents.COUNT,
    listing=documents.TEXT,
    classes=documents.many(documents.TEXT),
)


def pack(image: bytes, label: int, name: str) -> bytes:
    """A record of an image file."""
    text = os.fsencode(name)
    return HEAD.pack(label, zlib.crc32(image), len(text)) + text + image


def unpack(record: bytes) -> tuple[bytes, int, str]:
    """What `pack` was given. ValueError where it is not whole."""
    if len(record) < HEAD.size:
        raise ValueError("too short")
    label, crc, length = HEAD.unpack_from(record)
    start = HEAD.size + length
    image = record[start:]
    if zlib.crc32(image) != crc:
        raise ValueError("other bytes than were written")
    return image, label, os.fsdecode(record[HEAD.size : start])


def library() -> Any:
    """The package lmdb. UserError where it is not installed."""
    try:
        import lmdb
    except ImportError:
        raise UserError(
            "lmdb files need the package lmdb: pip install 'creditlab[s3net]'"
        ) from None
    return lmdb


def open_file(path: Path, *, map_size: int = 0) -> Any:
    """The lmdb environment of a file; to be written where `map_size` (bytes) is given.

    UserError where it is no lmdb, or shorter than it says.
    """
    lmdb, path = library(), home(path)
    more: dict[str, Any] = {"readonly": True, "lock": False, "create": False}
    if map_size:
        more = {"map_size": map_size}
    try:
        environment = lmdb.open(
            str(path), subdir=False, readahead=False, meminit=False, max_dbs=0, **more
        )
    except lmdb.DiskError as error:
        raise damaged(path, f"cannot be written ({error})") from None
    except lmdb.Error as error:
        why = str(error).removeprefix(f"{path}: ")
        raise damaged(path, f"is no lmdb file, or cut short ({why})") from None
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    held = os.path.getsize(path)
    if held < needed:
        environment.close()
        raise damaged(path, f"is cut short: it has {held} bytes of {needed}")
    return environment


def value(environment: Any, key: bytes) -> bytes | None:
    """What a key holds; None where there is no such key. ValueError where the tree is broken."""
    try:
        with environment.begin() as transaction:
            return transaction.get(key)
    except library().Error as error:
        raise ValueError(str(error)) from None


def read_meta(environment: Any) -> dict[str, Any] | None:
    """What `__meta__` says; None where the file says nothing yet. ValueError for another format."""
    packed = value(environment, META)
    if packed is None:
        if environment.stat()["entries"]:
            raise ValueError("holds no __meta__: s3net.imagenet.folder2lmdb did not write it")
        return None
    try:
        meta = json.loads(packed)
    except ValueError:
        raise ValueError("has a __meta__ that is not JSON") from None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise ValueError(f"is not of the format {FORMAT}")
    try:
        return documents.check(meta, ABOUT, "its __meta__")
    except UserError as error:
        raise ValueError(str(error)) from None


def write_meta(transaction: Any, about: dict[str, Any]) -> None:
    """Note how far a file is."""
    transaction.put(META, json.dumps({"format": FORMAT} | about).encode())


class Reader:
    """A file open for reading in this process, for all that read it here: lmdb allows no second
    one. Closed when nobody has it any more."""

    _open: ClassVar[WeakValueDictionary[tuple[int, Path], "Reader"]] = WeakValueDictionary()

    def __init__(self, path: Path) -> None:
        self.process, self.environment = os.getpid(), open_file(path)

    def __del__(self) -> None:
        if getattr(self, "process", None) == os.getpid():  # a fork's belongs to its parent
            self.environment.close()

    @classmethod
    def of(cls, path: Path) -> "Reader":
        """The one of this process."""
        key = os.getpid(), path.resolve()
        for (process, _), inherited in list(cls._open.items()):
            if process != os.getpid():  # the parent keeps its own
                inherited.environment.close()
        reader = cls._open.get(key)
        if reader is None:
            reader = cls._open[key] = cls(path)
        return reader


class Records:
    """The images of a finished file, by index: a source of `common.data.torch_stream`.

    labels int64 (N,); classes names; checksum MD5 of the images' names. Each process opens the file
    when it first reads. UserError for a file that is damaged, unfinished or of another program.
    """

    def __init__(self, path: Path) -> None:
        path = home(path)
        if not path.is_file():
            raise damaged(path, "there is no such file")
        self.path = path
        self._reader: Reader | None = None
        reader = Reader.of(path)  # lmdb closes with it
        environment = reader.environment
        try:
            meta, labels = read_meta(environment), value(environment, LABELS)
        except ValueError as error:
            raise damaged(path, str(error)) from None
        if meta is None or labels is None:
            done = f"{meta['done']} of {meta['images']}" if meta else "no"
            raise damaged(path, f"is unfinished ({done} images): run folder2lmdb again to go on")
        if len(labels) % 8:
            raise damaged(path, f"has {len(labels)} bytes of labels, not 8 an image")
        self.labels = np.frombuffer(labels, "<i8").astype(np.int64)
        entries = environment.stat()["entries"]
        self.classes, self.checksum = tuple(meta["classes"]), str(meta["listing"])
        if not len(self.labels) == meta["images"] == entries - 2:
            raise damaged(path, f"holds {entries - 2} images instead of {meta['images']}")
        self.indices = np.arange(len(self.labels))

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Records":
        """The images at `indices`, in that order."""
        part = Records.__new__(Records)
        part.__dict__ |= self.__getstate__()
        chosen = np.asarray(indices, dtype=np.int64)
        part.indices, part.labels = self.indices[chosen], self.labels[chosen]
        return part

    def limit(self, n: int | None, argument: str = "limit_train") -> "Records":
        """As `common.data.datasets.Split.limit`."""
        return self if n is None else self.take(limited(n, len(self), argument))

    def read(self, index: int) -> np.ndarray:
        """The image at `index`, decoded: uint8 (H, W, 3). UserError naming file and image."""
        where = int(self.indices[index])
        try:
            image, label, name = unpack(value(self._open(), str(where).encode()) or b"")
        except ValueError as error:
            raise damaged(self.path, f"image {where} is damaged: {error}") from None
        if label != self.labels[index]:
            problem = f"is of class {label}, not of {self.labels[index]}"
            raise damaged(self.path, f"image {where} ({name}) {problem}")
        return decode_bytes(image, f"{self.path}: image {where} ({name})")

    def _open(self) -> Any:
        # A process must not use what it inherited: the environment belongs to whoever opened it.
        if self._reader is None or self._reader.process != os.getpid():
            self._reader = Reader.of(self.path)
        return self._reader.environment

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_reader": None}
