"""CIFAR from pickles that the test writes, in the form of the originals and in hostile forms."""

import dataclasses
import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.data import cifar
from common.data.datasets import load
from common.errors import UserError

RANDOM = np.random.default_rng(6)


def python2_pickle(batch: dict[str, Any]) -> bytes:
    """`batch` as Python 2 and the numpy of 2009 wrote it: protocol 2, byte strings, numpy.core."""

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    def value(item: Any) -> bytes:
        if isinstance(item, np.ndarray):
            shape = b"".join(b"J" + struct.pack("<i", size) for size in item.shape)
            return (
                b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
                + b"(K\x01"
                + shape
                + b"\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
                + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
                + b"\x89T"
                + struct.pack("<i", item.nbytes)
                + item.tobytes()
                + b"tb"
            )
        if isinstance(item, str):
            return text(item)
        if isinstance(item, int):
            return b"J" + struct.pack("<i", item)
        return b"](" + b"".join(value(one) for one in item) + b"e"

    pairs = b"".join(text(key) + value(item) for key, item in batch.items())
    return b"\x80\x02}(" + pairs + b"u."


def python3_pickle(batch: dict[str, Any]) -> bytes:
    return pickle.dumps(batch, protocol=2)


def batches(labels_key: str) -> dict[str, dict[str, Any]]:
    def one(n: int) -> dict[str, Any]:
        pixels = RANDOM.integers(0, 256, (n, 3072), np.uint8)
        return {"data": pixels, labels_key: RANDOM.integers(0, 10, n).tolist()}

    return {"first": one(3), "second": one(2), "last": one(4)}


def install(root: Path, monkeypatch, contents: dict[str, bytes], name: str = "cifar10") -> Path:
    """Writes the files and makes their MD5 the published one. Returns their folder."""
    layout = cifar.LAYOUTS[name]
    folder = root / layout.folder
    folder.mkdir(exist_ok=True)
    known = {}
    for file, data in contents.items():
        (folder / file).write_bytes(data)
        known[file] = hashlib.md5(data).hexdigest()
    small = dataclasses.replace(
        layout,
        train={file: known[file] for file in ("first", "second")},
        test={"last": known["last"]},
        meta={"names": known["names"]},
    )
    monkeypatch.setitem(cifar.LAYOUTS, name, small)
    return folder


def whole(name: str = "cifar10", dump=python2_pickle) -> tuple[dict, dict[str, bytes]]:
    """The batches, and the contents of all files."""
    layout = cifar.LAYOUTS[name]
    made = batches(layout.labels)
    contents = {file: dump(batch) for file, batch in made.items()}
    contents["names"] = dump({layout.names: [f"class {i}" for i in range(10)]})
    return made, contents


@pytest.mark.parametrize("dump", [python2_pickle, python3_pickle])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_planes_become_pixels_and_batches_follow_each_other(tmp_path, monkeypatch, name, dump):
    """Colour planes read as pixels look like noise to a person and like data to a network."""
    made, contents = whole(name, dump)
    install(tmp_path, monkeypatch, contents, name)
    data = load(name, tmp_path, download=False)
    assert data.shape == (32, 32, 3) and (len(data.train), len(data.test)) == (5, 4)
    row, column, channel = 7, 19, 2
    offset = channel * 1024 + row * 32 + column
    assert data.train.images[3, row, column, channel] == made["second"]["data"][0, offset]
    for index in range(4):
        planes = made["last"]["data"][index].reshape(3, 32, 32)
        np.testing.assert_array_equal(np.moveaxis(data.test.images[index], 2, 0), planes)
    key = cifar.LAYOUTS[name].labels
    assert data.train.labels.tolist() == made["first"][key] + made["second"][key]
    assert data.train.images.flags.c_contiguous and data.train.images.flags.writeable
    assert data.classes[9] == "class 9"
    assert data.checksums["last"] == hashlib.md5(contents["last"]).hexdigest()


class Hostile:
    """Unpickling one creates the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_file_with_another_md5_is_named_and_not_unpickled(tmp_path, monkeypatch):
    """A pickle is a program: it must not run before it is known to be the published one."""
    _, contents = whole()
    folder = install(tmp_path, monkeypatch, contents)
    opened = []
    monkeypatch.setattr(cifar, "_Unpickler", lambda *a, **k: opened.append(a))
    (folder / "names").write_bytes(contents["names"][:-1])
    with pytest.raises(UserError, match="MD5") as caught:
        load("cifar10", tmp_path, download=False)
    assert str(folder / "names") in str(caught.value)
    assert not opened


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_hostile_pickle_runs_nothing_even_with_the_right_md5(tmp_path, monkeypatch, protocol):
    """MD5 collisions can be made, so the unpickler itself has to refuse foreign names."""
    trace = tmp_path / "executed"
    _, contents = whole()
    contents["first"] = pickle.dumps({"data": Hostile(trace)}, protocol=protocol)
    folder = install(tmp_path, monkeypatch, contents)
    with pytest.raises(UserError, match="does not belong in it") as caught:
        load("cifar10", tmp_path, download=False)
    assert str(folder / "first") in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"data": np.zeros((3, 3071), np.uint8)}, "3072 bytes"),
        ({"data": np.zeros((2, 3072), np.uint8)}, "3 labels for 2 images"),
        ({"labels": [0, 10, 1]}, "label 1 is 10"),
        ({"labels": [0, 1, -1]}, "label 2 is -1"),
        ({"labels": 7}, "no labels"),
    ],
)
def test_a_batch_of_another_form_is_one_error_that_names_the_file(
    tmp_path, monkeypatch, change, word
):
    """Labels and images that do not belong together still train."""
    made, contents = whole()
    contents["first"] = python2_pickle({**made["first"], "labels": [1, 2, 3], **change})
    folder = install(tmp_path, monkeypatch, contents)
    with pytest.raises(UserError, match=word) as caught:
        load("cifar10", tmp_path, download=False)
    assert str(caught.value).startswith(f"{folder / 'first'}: ")


def test_arrays_of_objects_are_refused(tmp_path, monkeypatch):
    """An object array is another way into the unpickler, and never part of these files."""
    _, contents = whole()
    contents["first"] = python3_pickle({"data": np.array([{}], object)})
    install(tmp_path, monkeypatch, contents)
    with pytest.raises(UserError, match="first.*array of"):
        load("cifar10", tmp_path, download=False)


@pytest.mark.parametrize("data", [b"", b"no pickle", b"\x80\x02K\x01."])
def test_what_is_no_dictionary_is_one_error(tmp_path, monkeypatch, data):
    """A broken pickle raises a dozen kinds of error that name no file."""
    _, contents = whole()
    contents["last"] = data
    install(tmp_path, monkeypatch, contents)
    with pytest.raises(UserError, match="last: is no CIFAR pickle"):
        load("cifar10", tmp_path, download=False)


def test_a_folder_that_lacks_a_file_is_named_and_left_alone(tmp_path, monkeypatch):
    """Downloading into somebody's half-copied folder could mix two versions."""
    _, contents = whole()
    folder = install(tmp_path, monkeypatch, contents)
    (folder / "second").unlink()
    with pytest.raises(UserError, match="lacks second") as caught:
        load("cifar10", tmp_path)
    assert str(folder) in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == ["first", "last", "names"]


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_missing_set_names_the_folder_and_the_archive(tmp_path, name):
    """`--no-download` has to say where it looked."""
    layout = cifar.LAYOUTS[name]
    with pytest.raises(UserError) as caught:
        load(name, tmp_path, download=False)
    assert f"{tmp_path / layout.folder}, {tmp_path / layout.archive.place}" in str(caught.value)
