"""What `python -m tests.fuzz` found: one test a kind of fault, each with the right end."""

import hashlib
import importlib
import json
import math
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brainprop.files import inputs
from common.data.svhn import read_mat
from common.errors import UserError
from common.files import documents
from common.files.writing import write_table
from common.runs import checkpoint
from lra_e import evaluate, stored
from tests.runs.toy_numpy import Killed, death, train

ROOT = Path(__file__).resolve().parents[2]


# -- a flipped bit in a checkpoint ---------------------------------------------------------------


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with a checkpoint."""
    with pytest.raises(Killed), death(monkeypatch, "step", 8):
        train(tmp_path / "run")
    return tmp_path / "run"


def flip(path: Path, place: int = -3) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)


def test_a_flipped_bit_in_a_checkpoints_tensors_is_noticed(killed):
    """A weight that is another number, and a run that goes on from it."""
    folder = killed / "checkpoints/last"
    known = json.loads((folder / "state.json").read_text())["md5"]
    assert len(known) == 32 and checkpoint.of_run(killed, "last") == folder
    flip(folder / "tensors.safetensors")
    for use in (lambda: train(killed, resume=True), lambda: checkpoint.of_run(killed, "last")):
        with pytest.raises(UserError, match=rf"tensors.safetensors: MD5 is \w+, not {known}"):
            use()


def test_a_checkpoint_of_an_older_version_has_no_md5_and_is_taken(killed):
    """Runs of yesterday that cannot be resumed today."""
    file = killed / "checkpoints/last/state.json"
    document = json.loads(file.read_text())
    del document["md5"]
    file.write_text(json.dumps(document))
    assert checkpoint.of_run(killed, "last")
    train(killed, resume=True)


# -- metadata of weights -------------------------------------------------------------------------


def edited(source: Path, target: Path, key: str, change: Callable[[Any], Any]) -> Path:
    """A copy of a safetensors file whose metadata `key`, JSON or text, was changed."""
    data = source.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"][key] = change(header["__metadata__"][key])
    text = json.dumps(header).encode()
    target.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])
    return target


def inside(**values: Any) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | values)


def asap(path: Path) -> Any:
    pytest.importorskip("torch")
    from asap.stored import read

    return read(path)


def burstprop(path: Path) -> Any:
    pytest.importorskip("torch")
    from burstprop.stored import read

    return read(path)


def brainprop(path: Path) -> Any:
    pytest.importorskip("h5py")
    from brainprop.files.stored import read

    return read(path)


def s3net(path: Path) -> Any:
    pytest.importorskip("torch")
    from s3net.stored import read

    return read(path)


STORED = {
    asap: (ROOT / "asap/model.safetensors", "options"),
    burstprop: (ROOT / "burstprop/model.safetensors", "options"),
    brainprop: (ROOT / "brainprop/model.safetensors", "about"),
    s3net: (ROOT / "s3net/weights/s3net_small.safetensors", "about"),
}


@pytest.mark.parametrize(
    ("read", "name", "value", "words"),
    [
        (asap, "model", [], "must be a text"),
        (asap, "width", "wide", "must be a number from"),
        (asap, "width", 1e30, "must be a number from"),
        (asap, "wt", 1, "must be true or false"),
        (burstprop, "revision", "2019", "must be one of head, 2020"),
        (burstprop, "dataset", {}, "must be a text"),
        (brainprop, "classes", True, "must be a list"),
        (brainprop, "classes", [0, "1"], "must be a text"),
        (brainprop, "width", None, "must be a number from"),
        (s3net, "image_size", -1, "must be a whole number from 1"),
        (s3net, "test_accuracy", "83", "must be a finite number"),
        (s3net, "wiring", 3, "must be a text or null"),
    ],
)
def test_what_a_file_of_weights_says_of_itself_is_checked(read, name, value, words, tmp_path):
    """`TypeError: 'bool' object is not iterable`, thirty lines below the file's name."""
    source, key = STORED[read]
    assert read(source).about.get(name) is not None or name == "wiring"
    file = edited(source, tmp_path / "w.safetensors", key, inside(**{name: value}))
    with pytest.raises(UserError, match=words) as caught:
        read(file)
    assert f"{file}: metadata: {name}" in str(caught.value)


@pytest.mark.parametrize("read", [brainprop, asap])
def test_metadata_that_are_no_object_are_refused(read, tmp_path):
    """`TypeError: unsupported operand` where the metadata are a list."""
    source, key = STORED[read]
    with pytest.raises(UserError, match="not a whole safetensors file .*JSON object"):
        read(edited(source, tmp_path / "w.safetensors", key, lambda text: "[]"))


def test_a_runs_data_set_is_a_text(killed):
    """A run whose config.json calls its data set 1.5."""
    file = killed / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"dataset": 1.5}))
    with pytest.raises(UserError, match=r"dataset \(=1.5\) must be a text or null"):
        documents.read(file, documents.CONFIG)


def test_feedback_weights_of_another_shape_are_named(tmp_path):
    """`RuntimeError: The size of tensor a must match` after the accuracy was computed."""
    torch = pytest.importorskip("torch")
    from burstprop import stored

    state, _ = stored.read(STORED[burstprop][0])
    assert stored.network(state, tmp_path).state_dict()
    for wrong in (torch.zeros(0, 500), torch.zeros(500), state["fc2.weight_fa"].int()):
        with pytest.raises(UserError, match=r"fc2.weight_fa is torch.* which is no feedback"):
            stored.network(state | {"fc2.weight_fa": wrong}, tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value, tmp_path):
    """An accuracy of 10 % for a network that diverged, printed like any other."""
    torch = pytest.importorskip("torch")
    from safetensors.numpy import load_file, save_file

    for read, (source, _) in STORED.items():
        arrays = load_file(source)
        name = next(n for n in sorted(arrays) if arrays[n].dtype == np.float32 and arrays[n].size)
        arrays[name] = arrays[name].copy()
        arrays[name].flat[-1] = value
        save_file(arrays, tmp_path / "w.safetensors")
        with pytest.raises(UserError, match=f"{name} holds NaN or infinity"):
            read(tmp_path / "w.safetensors")
        if read is not brainprop:
            state: Any = {n: torch.from_numpy(a) for n, a in arrays.items()}
            torch.save({"net": state} if read is asap else state, tmp_path / "w.pth")
            with pytest.raises(UserError, match=f"{name} holds NaN or infinity"):
                read(tmp_path / "w.pth")
    stored.export(CHAIN | {"W2": CHAIN["W2"] * value}, {}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="W2 holds NaN or infinity"):
        stored.read(tmp_path / "w.safetensors")


# -- LRA-E's networks ----------------------------------------------------------------------------


CHAIN = {"W1": np.ones((4, 3), np.float32), "W2": np.ones((3, 2), np.float32),
         "b1": np.ones(3, np.float32), "b2": np.ones(2, np.float32)}  # fmt: skip


def test_a_layer_that_is_missing_or_does_not_fit_is_named(tmp_path):
    """The classes taken for those of a hidden layer; numpy's words about a gufunc."""
    read = stored.read
    stored.export(CHAIN, {}, tmp_path / "w.safetensors")
    assert read(tmp_path / "w.safetensors")[0].keys() == CHAIN.keys()
    without = {name: array for name, array in CHAIN.items() if name != "W1"}
    for weights, words in (
        (CHAIN | {"W4": CHAIN["W2"]}, "has 3 layers of weights, but no W3"),
        (without | {"W3": CHAIN["W1"]}, "no W1"),
        (CHAIN | {"W2": np.ones((4, 2), np.float32)}, "W2 is float32 .4, 2., which continues no"),
        (CHAIN | {"W1": np.ones(4, np.float32)}, "W1 is float32 .4,., which continues no"),
        (CHAIN | {"b1": np.ones(4, np.float32)}, "b1 is float32 .4,., not of 3 units"),
    ):
        stored.export(weights, {}, tmp_path / "w.safetensors")
        with pytest.raises(UserError, match=words):
            read(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("about", "weights", "words"),
    [
        ({"activation": "tahn"}, {}, r"activation \(=tahn\) must be one of tanh"),
        ({}, {"W1": np.ones((784, 9), np.float32)}, "has 10 classes, the model tells 9 from each"),
    ],
)
def test_what_fits_no_digits_is_refused(about, weights, words, tmp_path):
    """`KeyError: 'tahn'`; an accuracy of 0 for a network of other classes."""
    file = tmp_path / "w.safetensors"
    stored.export(weights or {"W1": np.ones((784, 10), np.float32)}, about, file)
    call = [str(file), "--data", "digits", "--limit-test", "5"]
    with pytest.raises(UserError, match=words):
        evaluate.main.main(call, standalone_mode=False)


# -- data and input files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.full((3, 1), 1.5), "label 0 is 1.5, no whole number"),
        (np.array([[1], [np.nan], [2]]), "label 1 is nan, no whole number"),
        (np.array([["a"]], object), "y is object, not numbers"),
        ({"a": 1}, "y is .* not numbers"),
    ],
)
def test_labels_of_svhn_that_are_no_whole_numbers_are_refused(y, words, tmp_path):
    """1.5 taken for 1, NaN for the smallest integer."""
    from scipy.io import savemat

    pixels = np.zeros((32, 32, 3, 3), np.uint8)
    savemat(tmp_path / "good.mat", {"X": pixels, "y": np.array([[1.0], [10.0], [3.0]])})
    assert read_mat(tmp_path / "good.mat")[0][1].tolist() == [1, 0, 3]
    savemat(tmp_path / "bad.mat", {"X": pixels, "y": y})
    with pytest.raises(UserError, match=words):
        read_mat(tmp_path / "bad.mat")


@pytest.mark.parametrize("mark", [None, "a", 1.5, True, [0]])
def test_labels_of_cifar_that_are_no_whole_numbers_are_refused(mark, tmp_path):
    """`TypeError: '<' not supported between instances of 'NoneType' and 'int'`."""
    from common.data import cifar

    layout = cifar.CIFAR10
    for marks, right in (([3], True), ([mark], False)):
        data = pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": marks}, 2)
        (tmp_path / "b").write_bytes(data)
        known = {"b": hashlib.md5(data).hexdigest()}
        if right:
            assert cifar.batches(layout, tmp_path, known, 10)[1].tolist() == [3]
            continue
        with pytest.raises(UserError, match="b: holds no labels, whole numbers in a list"):
            cifar.batches(layout, tmp_path, known, 10)


def test_images_that_vanish_on_their_way_are_refused_in_a_test_too():
    """`RuntimeError: Output size is too small`, where training says it in one line."""
    pytest.importorskip("torch")
    from s3net.tinyimagenet.networks import open_network

    assert open_network(None, None, 32).size == 32
    with pytest.raises(UserError, match=r"image_size \(=1\): images of 1 x 1 vanish"):
        open_network(None, None, 1)


def test_nul_bytes_in_a_list_of_names_are_no_text(tmp_path):
    """`ValueError: embedded null byte` from the first name that is opened."""
    from common.data.tiny_imagenet import classes

    (tmp_path / "wnids.txt").write_bytes(bytes(12))
    with pytest.raises(UserError, match=r"wnids.txt: is not text \(it holds NUL bytes\)"):
        classes(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"PK\x03\x04"])
def test_a_table_of_boston_that_is_no_file_of_numpy_is_one_line(data, tmp_path):
    """`EOFError: No data left in file`."""
    from s3net.expressibility.data import load

    (tmp_path / "boston.npz").write_bytes(data)
    with pytest.raises(UserError, match="boston .*boston.npz.*: cannot be read"):
        load("boston", tmp_path / "boston.npz")


@pytest.mark.parametrize("line", ["exit()", "raise SystemExit(3)", "raise BaseException('b')"])
def test_an_input_file_that_ends_the_program_is_named(line, tmp_path):
    """Exit code 3 and no word; exit code 0 and nothing trained."""
    (tmp_path / "mine.py").write_text(f"dataset = 'MNIST'\n{line}\n")
    with pytest.raises(UserError, match="mine.py: does not run as Python"):
        inputs.read(tmp_path / "mine.py")


def test_names_of_files_need_not_be_utf8(tmp_path, capsys):
    """`UnicodeEncodeError: surrogates not allowed`, an hour into a conversion."""
    from common.data.image_folder import ImageFolder

    odd = os.fsdecode(b"\xff.png")
    for half in ("train", "val"):
        (tmp_path / half / "a").mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / half / "a" / "0.png")
        shutil.copy(tmp_path / half / "a" / "0.png", tmp_path / half / "a" / odd)
    assert len(ImageFolder(tmp_path).train) == 2
    write_table(tmp_path / "table.csv", [["image"], [odd]])
    assert b"\xff.png" in (tmp_path / "table.csv").read_bytes()
    pytest.importorskip("lmdb")
    from s3net.imagenet.records import pack, unpack

    assert unpack(pack(b"image", 3, odd)) == (b"image", 3, odd)


@pytest.mark.parametrize("words", [["common.curves", "RUN", "--out", ""], ["common.curves", ""],
                                   ["common.report", "RUN", "--out", ""],
                                   ["s3net.wiring", "--out="],
                                   ["burstprop.fig5", "RUN", "--out", ""]])  # fmt: skip
def test_an_empty_path_is_refused_where_there_is_no_run_without_one(words):
    """`AttributeError: 'NoneType' object has no attribute 'suffix'`."""
    main = importlib.import_module(words[0]).main
    with pytest.raises(UserError, match=r"(option --out|argument RUNS) \(=\) must be a path"):
        main.main(words[1:], standalone_mode=False)


def test_an_empty_path_is_none_where_there_may_be_none():
    """`--out ""` and `-resume_path ""`, which scripts pass on."""
    from brainprop.evaluate import main

    with main.make_context("evaluate", ["--export", "", "--data-dir", ""]) as context:
        assert context.params["export"] is None and context.params["data_dir"] is None


def test_images_of_another_size_than_the_networks_are_told(monkeypatch):
    """`mat1 and mat2 shapes cannot be multiplied`: MNIST's files that hold images of 1 x 1."""
    pytest.importorskip("torch")
    from asap import tasks
    from common.data.datasets import load

    monkeypatch.setattr(tasks, "load", lambda *_, **__: load("digits"))
    with pytest.raises(UserError, match="mnist: its images are 8 x 8, and convnet takes 28 x 28"):
        tasks.load_task("mnist", None, "convnet")


def test_what_an_environment_says_of_unverified_files_is_a_list_of_names():
    """NaN there: `Out of range float values are not JSON compliant` at the next writing."""
    for wrong in (math.nan, "mnist", [1], {"a": 1}):
        assert documents.fault({"unverified": wrong}, documents.ENVIRONMENT, "environment")
    assert not documents.fault({"unverified": ["mnist"]}, documents.ENVIRONMENT, "environment")
