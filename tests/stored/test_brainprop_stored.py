"""Files of weights from elsewhere: cut short, altered or hostile, each is one line."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")
from brainprop.files import stored  # noqa: E402
from common.errors import UserError  # noqa: E402

ARRAYS = {
    "conv1.kernel": np.random.default_rng(1).random((3, 3, 1, 4), np.float32),
    "dense1.kernel": np.random.default_rng(2).random((5, 6), np.float32),
    "out1.kernel": np.random.default_rng(3).random((6, 3), np.float32),
}


@pytest.mark.parametrize("kind", ["h5", "safetensors"])
def test_what_is_written_comes_back(tmp_path, kind):
    """Arrays in another order, or without what they say of themselves."""
    path = tmp_path / f"weights.{kind}"
    write = {"h5": stored.write_h5, "safetensors": stored.write_safetensors}[kind]
    write(path, ARRAYS, {"width": 0.2, "classes": ["a", "b", "c"]})
    model = stored.read(path)
    assert model.about == {"width": 0.2, "classes": ["a", "b", "c"]}
    names = model.names or list(ARRAYS)
    assert sorted(names) == sorted(ARRAYS)
    for name, array in zip(names, model.arrays, strict=True):
        np.testing.assert_array_equal(array, ARRAYS[name])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["h5", "safetensors"])
def test_a_file_cut_anywhere_is_one_line(tmp_path, kind):
    """A download that broke off, loaded halfway or ending in a traceback."""
    path = tmp_path / f"weights.{kind}"
    write = {"h5": stored.write_h5, "safetensors": stored.write_safetensors}[kind]
    write(path, ARRAYS, {})
    whole, draw = path.read_bytes(), random.Random(4)
    for length in [0, 1, *(draw.randrange(len(whole) - 8) for _ in range(60))]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=f"{path.name}: not a whole"):
            stored.read(path)


def altered(file: Any, what: str) -> None:
    """One thing in a whole file made wrong."""
    if what == "layers that are not there":
        file.attrs["layer_names"] = ["conv1", "conv2"]
    elif what == "layers that are no list":
        file.attrs["layer_names"] = 3
    elif what == "weights without names":
        del file["dense1"].attrs["weight_names"]
    elif what == "a group for a weight":
        file["dense1"].attrs["weight_names"] = ["dense1"]
    elif what == "text for a weight":
        del file["dense1/dense1/kernel:0"]
        file["dense1/dense1/kernel:0"] = ["a", "b"]
    elif what == "records for a weight":
        del file["dense1/dense1/kernel:0"]
        file["dense1/dense1/kernel:0"] = np.zeros(3, [("a", "f4"), ("b", "i4")])
    elif what == "a group that holds itself":
        file["dense1"]["again"] = file["dense1"]
    elif what == "a soft link upwards":
        file["dense1"]["again"] = h5py.SoftLink("/")
    elif what == "a link to another file":
        file["dense1"]["passwords"] = h5py.ExternalLink("/etc/passwd", "/")
    elif what == "data in another file":
        file.create_dataset("raw", (4,), "u1", external=[("/etc/passwd", 0, 4)])
    elif what == "terabytes":
        file.create_dataset("dense1/huge", (1 << 20, 1 << 20), "f4", chunks=(64, 64))
    elif what == "a dangling link":
        file["dense1"]["gone"] = h5py.SoftLink("/nowhere")
    elif what == "notes that are no JSON":
        file.attrs["creditlab"] = "{"
    elif what == "notes that are no names":
        file.attrs["creditlab"] = "[1, 2]"
    elif what == "Keras 3 without a last layer":
        del file.attrs["layer_names"]
        file.create_group("layers/conv2d/vars")["0"] = np.zeros((3, 3, 1, 4))
    elif what == "Keras 3 with a named weight":
        del file.attrs["layer_names"]
        file.create_group("layers/dense/vars")["kernel"] = np.zeros((3, 3))
    elif what == "Keras 3 with a set for layers":
        del file.attrs["layer_names"]
        file["layers"] = np.zeros(3)


ALTERED = (
    "layers that are not there",
    "layers that are no list",
    "weights without names",
    "a group for a weight",
    "text for a weight",
    "records for a weight",
    "a group that holds itself",
    "a soft link upwards",
    "a link to another file",
    "data in another file",
    "terabytes",
    "a dangling link",
    "notes that are no JSON",
    "notes that are no names",
    "Keras 3 without a last layer",
    "Keras 3 with a named weight",
    "Keras 3 with a set for layers",
)


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_file_is_one_line(tmp_path, what):
    """Endless recursion, the disk's other files, memory that is not there, or a traceback."""
    path = tmp_path / "weights.h5"
    stored.write_h5(path, ARRAYS, {})
    with h5py.File(path, "r+") as file:
        altered(file, what)
    with pytest.raises(UserError) as caught:
        stored.read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 400


def test_notes_of_a_safetensors_file_must_be_names_and_values(tmp_path):
    """What comes from a file is data of any kind."""
    from safetensors.numpy import save_file

    for number, notes in enumerate(("{", "[1]", "3")):
        path = tmp_path / f"{number}.safetensors"
        save_file(ARRAYS, path, {"about": notes})
        with pytest.raises(UserError, match="not a whole safetensors file"):
            stored.read(path)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None], ids=["a folder", "nothing"])
def test_what_is_no_file_is_named(tmp_path, make):
    """`-l` with a folder that is no run, or a misspelt name."""
    path = tmp_path / "weights"
    make(path)
    with pytest.raises(UserError, match=str(path)):
        stored.read(path)
