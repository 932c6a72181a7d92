"""One flipped bit in a published file is an error; what nobody published is called unverified."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from common.data import digits, mnist, svhn
from common.data.datasets import load
from common.errors import UserError
from common.files.reading import md5
from tests.datasets.test_idx import ARRAYS, FILES, idx_bytes, written
from tests.datasets.test_images import write_svhn, write_tiny


@pytest.fixture
def published(monkeypatch) -> None:
    """The small set of the tests as if it were the published one."""
    hashes = tuple(md5(idx_bytes(values)) for values in ARRAYS.values())
    shapes = tuple(values.shape for values in ARRAYS.values())
    known = mnist.LAYOUTS["mnist"]
    layout = mnist.Layout(known.folder, known.hosts, known.md5, hashes, known.classes)
    monkeypatch.setattr(mnist, "LAYOUTS", {"mnist": layout})
    monkeypatch.setattr(mnist, "SHAPES", shapes)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_flipped_bit_of_mnist_names_the_file(tmp_path: Path, published, name: str, zipped: bool):
    """A copy that went wrong on one byte trains, to a figure that nobody can repeat."""
    raw = written(tmp_path)
    data = bytearray(idx_bytes(ARRAYS[name]))
    data[-1] ^= 1
    path = raw / name
    path.write_bytes(data)
    if zipped:  # whole as gzip: only the contents tell
        path.unlink()
        path = raw / f"{name}.gz"
        path.write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(UserError, match="not the published") as caught:
        load("mnist", tmp_path, download=False)
    assert str(caught.value).startswith(f"{path}: MD5 of the contents is ")


@pytest.mark.parametrize("zipped", [(), FILES])
def test_published_contents_are_verified_however_they_are_packed(tmp_path, published, zipped):
    """A file that somebody has packed anew has another MD5 and the same images."""
    written(tmp_path, zipped=zipped)
    assert load("mnist", tmp_path, download=False).unverified == ()


def test_a_set_of_ones_own_is_taken_and_called_unverified(tmp_path: Path):
    """MNIST's format is used for other digits: they are no error, and no MNIST either."""
    written(tmp_path)
    assert load("mnist", tmp_path, download=False).unverified == FILES


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_files_are_the_published_ones(data_root: str, name: str):
    """A wrong digit in the table of hashes would refuse everybody's files."""
    if not (Path(data_root) / mnist.LAYOUTS[name].folder).is_dir():
        pytest.skip(f"{name} is not in CREDITLAB_DATA")
    data = load(name, data_root, download=False)
    assert data.unverified == () and data.train.images.shape[:3] == mnist.SHAPES[0]


def test_both_published_sets_have_a_hash_for_every_file():
    """MD5 of the `.gz` and of what is in it, in one order; none copied from the other set."""
    for layout in mnist.LAYOUTS.values():
        assert len(layout.md5) == len(layout.unpacked) == len(mnist.FILES) == len(mnist.SHAPES)
    known = [h for layout in mnist.LAYOUTS.values() for h in (*layout.md5, *layout.unpacked)]
    assert len(set(known)) == 16 and all(len(h) == 32 for h in known)


def test_a_changed_svhn_is_refused_and_another_one_unverified(tmp_path: Path, monkeypatch):
    """The .mat files are compressed: a flip may decompress to other pixels without a word."""
    write_svhn(tmp_path)
    assert load("svhn", tmp_path, download=False).unverified == tuple(svhn.FILES)
    monkeypatch.setattr(svhn, "SIZES", {"train_32x32.mat": 5, "test_32x32.mat": 3})
    with pytest.raises(UserError, match="not the published e26dedcc") as caught:
        load("svhn", tmp_path, download=False)
    assert str(caught.value).startswith(f"{tmp_path / 'train_32x32.mat'}: ")


def test_digits_are_verified_both_ways(monkeypatch):
    """The table of the package, and the numbers where the table has moved."""
    assert load("digits").unverified == ()
    monkeypatch.setattr(digits, "_packaged", lambda: None)
    assert load("digits").unverified == ()
    monkeypatch.setattr(digits, "KNOWN", {"digits": "0" * 32})
    assert load("digits").unverified == ("digits",)


def test_tiny_imagenet_is_unverified(tmp_path: Path):
    """Only the archive's hash was published, not those of its 110,000 files."""
    write_tiny(tmp_path)
    data = load("tiny_imagenet", tmp_path, download=False)
    assert set(data.unverified) == set(data.checksums) and data.unverified


class Backend:
    """As `common.backends.torch_backend`, as far as environment.json asks."""

    @staticmethod
    def hardware(device: object) -> dict:
        return {"device": str(device), "threads": 1}


class Options:
    precision, deterministic = "float32", False


def test_environment_json_says_what_is_unverified(tmp_path: Path, published):
    """The record of a run has to tell MNIST from what lies under its name."""
    from common.runs import environment

    raw = written(tmp_path)
    known = environment.now(Options(), Backend, "cpu", load("mnist", tmp_path, download=False))
    assert known["unverified"] == [] and set(known["data"]) == set(FILES)
    np.save(raw / "notes.npy", np.zeros(3))  # nothing that is read
    (raw / FILES[3]).write_bytes(idx_bytes(ARRAYS[FILES[3]][:5]))
    (raw / FILES[2]).write_bytes(idx_bytes(ARRAYS[FILES[2]][:5]))
    other = environment.now(Options(), Backend, "cpu", load("mnist", tmp_path, download=False))
    assert other["unverified"] == sorted(FILES[2:])

    class Own:
        checksums = {"mine": "0"}

    assert environment.now(Options(), Backend, "cpu", Own())["unverified"] == ["mine"]
