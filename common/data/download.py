"""Published files, fetched once: hash-checked, from several hosts, by several processes at once.

Whatever stands under a final name is whole: a file is written under a name of its own and an
archive unpacked in a folder of its own, and both are renamed when complete. Who was interrupted
starts the same command again; files that were complete stay.
"""

import contextlib
import os
import secrets
import shutil
import stat
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from common.errors import UserError
from common.files.paths import home
from common.files.reading import damaged, missing

MIRROR = "CREDITLAB_MIRROR"
"""Environment variable: URL of a copy of a data root (archives included), tried first."""

ATTEMPTS = 2
"""Tries on one host when a transfer breaks off; a wrong file or a refusal is not tried again."""


REFUSED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, RuntimeError)
"""What reading a damaged archive raises; RuntimeError: it is encrypted, or packed in a new way."""


@dataclass(frozen=True)
class Remote:
    """A published file: its place under a data root, its MD5, and the URLs that have it."""

    place: str
    md5: str
    urls: tuple[str, ...]


def fetch(remote: Remote, root: Path, mirrors: Sequence[str] | None = None) -> Path:
    """The file at its place under `root`, downloaded unless it is there already.

    `mirrors`: URLs of copies of a data root, tried before the file's own hosts (None: the one in
    the environment variable CREDITLAB_MIRROR, if any).

    Raises UserError when no host gives the right file or when `root` cannot be written to.
    """
    target = home(root) / remote.place
    if mirrors is None:
        mirrors = [os.environ[MIRROR]] if os.environ.get(MIRROR) else []
    copies = [f"{base.rstrip('/')}/{remote.place}" for base in mirrors]
    with one_process(target):
        if not target.is_file():
            _download([*copies, *remote.urls], remote.md5, target)
    return target


def fetch_folder(archive: Remote, root: Path, folder: str, download: bool = True) -> Path:
    """The folder that `archive` holds, unpacked under `root` unless it is there already.

    An archive that lies in `root` is used also where `download` is false. Raises UserError.
    """
    root = home(root)
    packed, target = root / archive.place, root / folder
    if target.is_dir():
        return target
    if not packed.is_file() and not download:
        raise missing(folder, [target, packed])
    fetch(archive, root)
    if _md5(packed) != archive.md5:
        raise damaged(packed, f"MD5 is not the published {archive.md5}: move it away, try again")
    with one_process(target):
        if not target.is_dir():
            unpack(packed, root, folder)
    return target


@contextlib.contextmanager
def one_process(target: Path) -> Iterator[None]:
    """One process at a time makes `target`, and what a killed one left of it is removed.

    Raises UserError for what the disk refuses meanwhile.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(target.parent / f".{target.name}.lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another process that makes {target}", file=sys.stderr)
            lock.acquire()
        for left in target.parent.glob(f".{target.name}.*.part"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        lock.release()


def _download(urls: Iterable[str], md5: str, target: Path) -> None:
    """The first of `urls` that gives a file of this MD5, renamed to `target`."""
    part = target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    failures = []
    try:
        for url in urls:
            for attempt in range(1, ATTEMPTS + 1):
                failure, again = _transfer(url, part)
                if failure is None and _md5(part) != md5:
                    failure = "sent a file with another MD5"
                if failure is None:
                    os.replace(part, target)
                    return
                if not again or attempt == ATTEMPTS:
                    failures.append(f"{urlsplit(url).netloc} {failure}")
                    break
    finally:
        part.unlink(missing_ok=True)
    why = "; ".join(failures)
    raise UserError(f"{target} could not be downloaded ({why}); try again or put the file there")


def _transfer(url: str, part: Path) -> tuple[str | None, bool]:
    """Writes what `url` sends to `part`. Returns why it failed (None: it did not) and whether
    trying again may help. Errors of the disk are raised."""
    import pooch
    import requests
    from tqdm import tqdm

    name = url.rsplit("/", 1)[-1]
    # pooch sets the bar's total once it knows it, and takes a bar without one for no bar.
    with tqdm(desc=name, total=1, unit="B", unit_scale=True, disable=None) as bar:
        # Not to be unpacked on the way by a host that takes .gz for an encoding.
        get = pooch.HTTPDownloader(progressbar=bar, headers={"Accept-Encoding": "identity"})
        try:
            get(url, str(part), None)
        except requests.HTTPError as error:
            return str(error).split(" for url")[0], False
        except requests.ConnectionError:
            return "cannot be reached", False
        except requests.RequestException as error:
            return f"broke off ({type(error).__name__})", True
    return None, False


def _md5(path: Path) -> str:
    import pooch

    return pooch.file_hash(str(path), alg="md5")


def unpack(
    archive: Path, root: Path, folder: str, check: Callable[[Path], object] = lambda _: None
) -> None:
    """Puts the folder `folder` of `archive` (tar or zip) under `root`, whole or not at all, power
    cuts included. `check` may raise a UserError when it has seen the unpacked folder.

    Raises UserError for an archive that is damaged, has no such folder, or holds anything but
    files and folders that lie inside it.
    """
    with tempfile.TemporaryDirectory(".part", f".{folder}.", root) as name:
        inside = Path(name)
        try:
            for place, stream in _members(archive):
                path = PurePosixPath(place)
                if path.is_absolute() or ".." in path.parts or "\\" in place:
                    raise damaged(archive, f"holds {place!r}, which lies outside of it")
                target = inside / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "wb") as out:
                    shutil.copyfileobj(stream, out, 1 << 20)
        except REFUSED as error:
            raise damaged(archive, f"does not unpack ({error})") from error
        if not (inside / folder).is_dir():
            raise damaged(archive, f"holds no folder {folder}")
        try:
            check(inside / folder)
        except UserError as error:
            raise damaged(archive, str(error).replace(f"{inside}{os.sep}", "")) from error
        if hasattr(os, "sync"):
            os.sync()  # at once: a hundred thousand files one by one would take minutes
        os.rename(inside / folder, root / folder)


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and contents of every file in a tar or zip, in order."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if stat.S_IFMT(info.external_attr >> 16) == stat.S_IFLNK:
                    raise damaged(archive, f"holds {info.filename!r}, which is no plain file")
                if not info.is_dir():
                    with packed.open(info) as stream:
                        yield info.filename, stream
        return
    if archive.suffix == ".zip":
        raise damaged(archive, "is no zip archive, or one that was cut short")
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isdir():
                continue
            contents = tar.extractfile(member) if member.isfile() else None
            if contents is None:
                raise damaged(archive, f"holds {member.name!r}, which is no plain file")
            yield member.name, contents
