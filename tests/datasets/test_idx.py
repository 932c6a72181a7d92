"""MNIST and Fashion-MNIST from IDX files that the test writes, whole and broken."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from common.data.datasets import load
from common.data.mnist import FILES
from common.errors import UserError

RANDOM = np.random.default_rng(5)
ARRAYS = dict(
    zip(
        FILES,
        (
            RANDOM.integers(0, 256, (12, 5, 4), np.uint8),
            np.arange(12, dtype=np.uint8) % 10,
            RANDOM.integers(0, 256, (6, 5, 4), np.uint8),
            np.arange(6, dtype=np.uint8) + 4,
        ),
        strict=True,
    )
)


def idx_bytes(values: np.ndarray, kind: int = 8) -> bytes:
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return struct.pack(">HBB", 0, kind, values.ndim) + sizes + values.tobytes()


def written(root: Path, folder: str = "MNIST", zipped: tuple[str, ...] = ()) -> Path:
    """A root with the four files; those in `zipped` as `.gz`. Returns the folder of the files."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for name, values in ARRAYS.items():
        data = idx_bytes(values)
        if name in zipped:
            (raw / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (raw / name).write_bytes(data)
    return raw


@pytest.mark.parametrize("zipped", [(), FILES, FILES[:1]], ids=["raw", "gz", "mixed"])
@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")]
)
def test_a_torchvision_root_is_read_as_it_is(tmp_path, name, folder, zipped):
    """Rows for columns or train for test would still train, to a worse figure."""
    raw = written(tmp_path, folder, zipped)
    data = load(name, tmp_path, download=False)
    train_images, train_labels, test_images, test_labels = ARRAYS.values()
    np.testing.assert_array_equal(data.train.images, train_images[..., None])
    np.testing.assert_array_equal(data.train.labels, train_labels)
    np.testing.assert_array_equal(data.test.images, test_images[..., None])
    np.testing.assert_array_equal(data.test.labels, test_labels)
    assert data.train.labels.dtype == np.int64 and data.shape == (5, 4, 1)
    hashes = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in raw.iterdir()}
    assert data.checksums == hashes


def test_arrays_can_be_written_to(tmp_path):
    """torch.from_numpy warns about read-only arrays, and writing through it is undefined."""
    written(tmp_path)
    data = load("mnist", tmp_path, download=False)
    assert data.train.images.flags.writeable and data.train.labels.flags.writeable


def test_fashion_classes_are_in_the_published_order():
    """Label 3 is a dress: names in another order mislabel every figure."""
    from common.data.mnist import FASHION_MNIST

    assert len(FASHION_MNIST.classes) == 10
    assert FASHION_MNIST.classes[3] == "Dress" and FASHION_MNIST.classes[9] == "Ankle boot"


def test_missing_files_are_named_with_every_path_that_was_looked_at(tmp_path):
    """Without the path nobody sees that the root is one folder too high."""
    raw = written(tmp_path)
    (raw / FILES[2]).unlink()
    with pytest.raises(UserError) as caught:
        load("mnist", tmp_path, download=False)
    message = str(caught.value)
    assert f"{raw / FILES[2]}, {raw / FILES[2]}.gz" in message
    assert FILES[0] not in message


IMAGES, LABELS = FILES[:2]
DEFECTS = {
    "cut short": (IMAGES, lambda data: data[:-7], "truncated"),
    "cut in the header": (IMAGES, lambda data: data[:9], "truncated"),
    "cut in the magic": (LABELS, lambda data: data[:3], "truncated"),
    "empty": (LABELS, lambda data: b"", "truncated"),
    "bytes too many": (LABELS, lambda data: data + b"\0", "too long"),
    "an HTML page": (IMAGES, lambda data: b"<html>" + data, "magic"),
    "floats": (IMAGES, lambda data: idx_bytes(np.zeros((12, 5, 4), np.float32), 13), "magic"),
    "labels for images": (IMAGES, lambda data: idx_bytes(ARRAYS[LABELS]), "labels instead"),
    "a label of ten": (LABELS, lambda data: data[:-1] + b"\x0a", "label 11 is 10"),
    "a label too few": (LABELS, lambda data: idx_bytes(ARRAYS[LABELS][:-1]), "11 labels for 12"),
    "sizes of 2^96": (IMAGES, lambda data: data[:4] + b"\xff" * 12 + data[16:], "truncated"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_one_error_that_names_the_file(tmp_path, defect):
    """A half-copied set that loads trains on noise; a bare struct.error names no file."""
    name, spoil, word = DEFECTS[defect]
    raw = written(tmp_path)
    (raw / name).write_bytes(spoil((raw / name).read_bytes()))
    with pytest.raises(UserError, match=word) as caught:
        load("mnist", tmp_path, download=False)
    assert str(caught.value).startswith(f"{raw / name}: ")


@pytest.mark.parametrize("spoil", [lambda d: d[:-9], lambda d: d[:40] + b"\xff" * 9 + d[49:]])
def test_a_broken_gzip_names_the_file(tmp_path, spoil):
    """Interrupted copies of .gz files are the commonest defect of all."""
    raw = written(tmp_path, zipped=FILES)
    path = raw / f"{IMAGES}.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UserError) as caught:
        load("mnist", tmp_path, download=False)
    assert str(caught.value).startswith(f"{path}: ")


def test_test_images_of_another_size_are_refused(tmp_path):
    """Files of two data sets mixed in one folder would fail deep inside the network."""
    raw = written(tmp_path)
    (raw / FILES[2]).write_bytes(idx_bytes(np.zeros((6, 4, 4), np.uint8)))
    with pytest.raises(UserError, match=FILES[2]):
        load("mnist", tmp_path, download=False)
