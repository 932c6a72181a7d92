"""Downloads from a local server: wrong files, broken transfers, two at once, bad archives."""

import contextlib
import dataclasses
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from common.data import cifar
from common.data import mnist as idx
from common.data.datasets import load
from common.data.download import MIRROR, Remote, fetch, fetch_folder, unpack
from common.errors import UserError

CONTENT = np.random.default_rng(8).bytes(300_000)
REPOSITORY = Path(__file__).parents[2]


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class Server:
    """Serves `files` by path. `broken`: how many transfers still break off half-way.
    `hold`: transfers stop half-way until `release` is set."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.broken = 0
        self.hold = False
        self.half_way = threading.Event()
        self.release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                data = outer.files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                half = len(data) // 2
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(data[:half])
                    self.wfile.flush()
                    if outer.broken:
                        outer.broken -= 1
                        return
                    if outer.hold:
                        outer.half_way.set()
                        outer.release.wait(60)
                    self.wfile.write(data[half:])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.release.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(MIRROR, raising=False)
    running = Server()
    yield running
    running.close()


def remote(*urls: str, data: bytes = CONTENT) -> Remote:
    return Remote("set/raw/file.bin", md5(data), urls)


def names(folder: Path) -> list[str]:
    """What lies in a folder, lock files aside."""
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_a_file_arrives_whole_at_its_place_and_is_fetched_once(tmp_path, server):
    """Fetching again on every start would hammer the hosts and fail offline."""
    server.files["/a"] = CONTENT
    path = fetch(remote(f"{server.url}/a"), tmp_path)
    assert path == tmp_path / "set" / "raw" / "file.bin"
    assert path.read_bytes() == CONTENT
    fetch(remote(f"{server.url}/a"), tmp_path)
    assert server.asked == ["/a"] and names(path.parent) == ["file.bin"]


def test_a_host_with_a_wrong_file_is_passed_over(tmp_path, server):
    """A mirror that serves its error page with status 200 must not become the data set."""
    server.files |= {"/wrong": b"<html>moved</html>", "/right": CONTENT}
    urls = [f"{server.url}/gone", f"{server.url}/wrong", f"{server.url}/right"]
    path = fetch(remote(*urls), tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["/gone", "/wrong", "/right"]


def test_a_transfer_that_breaks_off_is_tried_again(tmp_path, server):
    """Half a file that passes for a whole one is the worst of all outcomes."""
    server.files["/a"] = CONTENT
    server.broken = 1
    assert fetch(remote(f"{server.url}/a"), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["/a", "/a"]


def test_what_kept_breaking_off_leaves_nothing_and_succeeds_when_repeated(tmp_path, server):
    """The person repeats the command; a left-over half must not stand in the way."""
    server.files["/a"] = CONTENT
    server.broken = 2
    with pytest.raises(UserError, match="broke off"):
        fetch(remote(f"{server.url}/a"), tmp_path)
    assert names(tmp_path / "set" / "raw") == []
    assert fetch(remote(f"{server.url}/a"), tmp_path).read_bytes() == CONTENT


def test_every_host_failing_is_one_line_with_each_reason(tmp_path, server):
    """Offline, a person has to see what was tried and where to put the file by hand."""
    server.files["/wrong"] = b"something else"
    closed = Server()
    closed.close()
    urls = (f"{closed.url}/a", f"{server.url}/gone", f"{server.url}/wrong")
    with pytest.raises(UserError) as caught:
        fetch(remote(*urls), tmp_path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "set" / "raw" / "file.bin"))
    for part in ("cannot be reached", "404", "another MD5", closed.url[7:], server.url[7:]):
        assert part in message
    assert len(message.splitlines()) == 1 and "HTTPConnectionPool" not in message
    assert names(tmp_path / "set" / "raw") == []


def test_the_mirror_variable_is_tried_before_the_hosts(tmp_path, server, monkeypatch):
    """A cluster without internet serves a data root of its own."""
    server.files["/mirror/set/raw/file.bin"] = CONTENT
    monkeypatch.setenv(MIRROR, f"{server.url}/mirror/")
    fetch(remote(f"{server.url}/never"), tmp_path)
    assert server.asked == ["/mirror/set/raw/file.bin"]


def test_mirrors_given_by_argument_replace_the_variable(tmp_path, server, monkeypatch):
    """A program that names its mirror must not be sent elsewhere by the environment."""
    monkeypatch.setenv(MIRROR, f"{server.url}/environment")
    server.files["/b/set/raw/file.bin"] = CONTENT
    fetch(remote(), tmp_path, mirrors=[f"{server.url}/a", f"{server.url}/b"])
    assert server.asked == ["/a/set/raw/file.bin", "/b/set/raw/file.bin"]


def test_a_root_that_cannot_be_written_is_one_error(tmp_path):
    """A file where the folder should be stands for every refusal of the disk."""
    (tmp_path / "set").write_text("a file")
    with pytest.raises(UserError, match="cannot be written") as caught:
        fetch(remote("http://127.0.0.1:1/a"), tmp_path)
    assert str(tmp_path / "set" / "raw") in str(caught.value)


FETCH = """
import sys
from pathlib import Path
from common.data.download import Remote, fetch
fetch(Remote("set/raw/file.bin", sys.argv[1], (sys.argv[2],)), Path(sys.argv[3]))
"""


def start(root: Path, server: Server) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, md5(CONTENT), f"{server.url}/a", str(root)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_fetch_a_file_once(tmp_path, server):
    """Several seeds started together on a fresh machine must not write into each other."""
    server.files["/a"] = CONTENT
    server.hold = True
    with start(tmp_path, server) as first:
        assert server.half_way.wait(60)
        with start(tmp_path, server) as second:
            assert second.stderr is not None
            assert "waiting for another process" in second.stderr.readline()
            assert server.asked == ["/a"]
            server.release.set()
            assert second.wait(60) == 0
        assert first.wait(60) == 0
    assert server.asked == ["/a"]
    assert (tmp_path / "set" / "raw" / "file.bin").read_bytes() == CONTENT
    assert names(tmp_path / "set" / "raw") == ["file.bin"]


def test_a_killed_download_leaves_no_file_under_the_name_and_no_litter(tmp_path, server):
    """A killed job must not leave a half file that the next one reads, nor fill the disk."""
    server.files["/a"] = CONTENT
    server.hold = True
    with start(tmp_path, server) as process:
        assert server.half_way.wait(60)
        process.kill()
    folder = tmp_path / "set" / "raw"
    assert not (folder / "file.bin").exists()
    assert [name for name in names(folder) if name.endswith(".part")]
    server.release.set()
    assert fetch(remote(f"{server.url}/a"), tmp_path).read_bytes() == CONTENT
    assert names(folder) == ["file.bin"]


# --- archives -------------------------------------------------------------------------------


def tar(*members: tuple[str, bytes], link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "one"
            archive.addfile(info)
    return buffer.getvalue()


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


GOOD = (("set/one", b"1"), ("set/deep/two", b"22"), ("readme", b"beside"))


@pytest.mark.parametrize("pack", [tar, zipped])
def test_an_archive_is_fetched_and_unpacked_as_a_whole(tmp_path, server, pack):
    """Only the folder of the set goes into the root, nothing beside it."""
    data = pack(*GOOD)
    server.files["/set.pack"] = data
    archive = Remote("set.pack", md5(data), (f"{server.url}/set.pack",))
    folder = fetch_folder(archive, tmp_path, "set")
    assert (folder / "one").read_bytes() == b"1"
    assert (folder / "deep" / "two").read_bytes() == b"22"
    assert names(tmp_path) == ["set", "set.pack"]
    fetch_folder(archive, tmp_path, "set")
    assert server.asked == ["/set.pack"]


def test_an_archive_in_the_root_is_used_without_downloading(tmp_path):
    """Unpacking what somebody copied there is no download."""
    data = tar(*GOOD)
    (tmp_path / "set.tgz").write_bytes(data)
    folder = fetch_folder(Remote("set.tgz", md5(data), ()), tmp_path, "set", download=False)
    assert names(folder) == ["deep", "one"]


def test_a_wrong_archive_in_the_root_is_named_and_not_unpacked(tmp_path):
    """An archive of another origin may hold anything."""
    (tmp_path / "set.tgz").write_bytes(tar(*GOOD))
    with pytest.raises(UserError, match="MD5") as caught:
        fetch_folder(Remote("set.tgz", md5(b""), ()), tmp_path, "set")
    assert str(caught.value).startswith(f"{tmp_path / 'set.tgz'}: ")
    assert names(tmp_path) == ["set.tgz"]


BAD = {
    "tar that climbs": tar(("set/one", b"1"), ("set/../../evil", b"x")),
    "tar with a link": tar(("set/one", b"1"), link="set/link"),
    "zip that climbs": zipped(("set/one", b"1"), ("set/../../evil", b"x")),
    "zip with backslashes": zipped(("set/one", b"1"), ("set\\..\\..\\evil", b"x")),
    "tar cut short": tar(("set/one", b"1"), ("set/two", CONTENT))[:-5000],
    "zip with a flipped byte": zipped(("set/one", CONTENT)).replace(CONTENT[:9], b"123456789"),
    "tar without the folder": tar(("other/one", b"1")),
    "neither tar nor zip": CONTENT,
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_archive_is_one_error_and_leaves_nothing(tmp_path, kind):
    """A half-unpacked folder looks like the set; a name that climbs writes anywhere."""
    root = tmp_path / "deep" / "root"
    root.mkdir(parents=True)
    (root / "set.pack").write_bytes(BAD[kind])
    with pytest.raises(UserError) as caught:
        unpack(root / "set.pack", root, "set")
    assert str(caught.value).startswith(f"{root / 'set.pack'}: ")
    assert names(root) == ["set.pack"] and names(tmp_path) == ["deep"]
    assert names(tmp_path / "deep") == ["root"]


@pytest.mark.parametrize("pack", [tar, zipped])
def test_an_absolute_name_in_an_archive_is_refused(tmp_path, pack):
    """Joined to a folder, an absolute path replaces it: the file would be written anywhere."""
    (tmp_path / "root").mkdir()
    packed = tmp_path / "set.pack"
    packed.write_bytes(pack(("set/one", b"1"), (str(tmp_path / "evil"), b"x")))
    with pytest.raises(UserError, match="outside"):
        unpack(packed, tmp_path / "root", "set")
    assert names(tmp_path) == ["root", "set.pack"] and names(tmp_path / "root") == []


# --- through the door -----------------------------------------------------------------------


def test_a_missing_mnist_file_is_fetched_next_to_the_others(tmp_path, server, monkeypatch):
    """The whole way once: what is missing comes from the mirror, what is there stays."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    zipped_files = []
    for number, name in enumerate(idx.FILES):
        shape = (10, 4, 4) if "images" in name else (10,)
        header = b"\0\0\x08" + bytes([len(shape)]) + np.array(shape, ">u4").tobytes()
        data = header + bytes([number]) * int(np.prod(shape))
        zipped_files.append(gzip.compress(data))
        if number == 3:
            server.files[f"/MNIST/raw/{name}.gz"] = zipped_files[3]
        else:
            (raw / name).write_bytes(data)
    layout = dataclasses.replace(idx.MNIST, hosts=(), md5=tuple(md5(data) for data in zipped_files))
    monkeypatch.setitem(idx.LAYOUTS, "mnist", layout)
    monkeypatch.setenv(MIRROR, server.url)
    mnist = load("mnist", tmp_path)
    assert mnist.test.labels.tolist() == [3] * 10
    assert server.asked == [f"/MNIST/raw/{idx.FILES[3]}.gz"]
    assert names(raw) == sorted([*idx.FILES[:3], f"{idx.FILES[3]}.gz"])


def test_a_missing_cifar_folder_comes_out_of_its_archive(tmp_path, server, monkeypatch):
    """The archive of the set holds the folder that the reader opens."""
    data = tar(("cifar-10-batches-py/readme.html", b"hello"))
    server.files["/cifar-10-python.tar.gz"] = data
    archive = Remote("cifar-10-python.tar.gz", md5(data), ())
    layout = dataclasses.replace(cifar.CIFAR10, archive=archive)
    monkeypatch.setitem(cifar.LAYOUTS, "cifar10", layout)
    monkeypatch.setenv(MIRROR, server.url)
    with pytest.raises(UserError, match="lacks data_batch_1"):
        load("cifar10", tmp_path)
    assert names(tmp_path / "cifar-10-batches-py") == ["readme.html"]


def test_the_published_addresses_are_complete():
    """An address without its file name would fetch a host's front page."""
    from common.data import svhn, tiny_imagenet

    known = [layout.remote(name) for layout in idx.LAYOUTS.values() for name in idx.FILES]
    known += [layout.archive for layout in cifar.LAYOUTS.values()]
    known += [*svhn.FILES.values(), tiny_imagenet.ARCHIVE]
    assert len({one.place for one in known}) == len(known) == 13
    for one in known:
        assert one.urls and len(one.md5) == 32
        for url in one.urls:
            assert url.startswith("http") and url.endswith("/" + one.place.rsplit("/", 1)[-1])
