"""Image folders as lmdb files: the same images, and one line about a file that is none."""

import os
import pickle
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

lmdb = pytest.importorskip("lmdb", reason="the package of the format")
from common.data.image_folder import one_half  # noqa: E402
from common.data.pixels import decode  # noqa: E402
from common.errors import UsageError, UserError  # noqa: E402
from s3net.imagenet.folder2lmdb import main  # noqa: E402
from s3net.imagenet.records import Records, open_file, pack, unpack  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fourteen images of three classes; one is grey."""
    random = np.random.default_rng(0)
    for i in range(14):
        path = tmp_path / "images" / f"n0{i % 3}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (30, 40 + i, 3) if i else (30, 40)
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(path)
    return tmp_path / "images"


def convert(folder: Path, file: Path, *more: object) -> None:
    words = ["-d", folder, "-o", file, "--quiet", *more]
    main.main([str(w) for w in words], standalone_mode=False)


def test_every_image_comes_back_with_its_label(folder, tmp_path, capsys) -> None:
    """Labels beside the wrong images: a network that learns nothing, and nobody knows why."""
    file = tmp_path / "a" / "train.lmdb"
    convert(folder, file)
    split, classes, listing = one_half(folder)
    records = Records(file)
    assert (records.classes, records.checksum, len(records)) == (classes, listing, 14)
    np.testing.assert_array_equal(records.labels, split.labels)
    with open_file(file) as environment, environment.begin() as transaction:
        for i, path in enumerate(split.paths):
            image, label, name = unpack(transaction.get(str(i).encode()))
            assert image == Path(path).read_bytes()
            assert (label, name) == (split.labels[i], os.path.relpath(path, folder))
    for i, path in enumerate(split.paths):
        np.testing.assert_array_equal(records.read(i), decode(path))
    assert f"{file}: 14 images of 3 classes" in capsys.readouterr().out
    assert [each.name for each in file.parent.iterdir()] == ["train.lmdb"]


def test_a_part_of_a_file_has_the_labels_of_its_images(folder, tmp_path) -> None:
    """--limit-train that takes other images from an lmdb file than from the folder."""
    convert(folder, tmp_path / "x.lmdb")
    split, _, _ = one_half(folder)
    ours, theirs = Records(tmp_path / "x.lmdb").limit(9).take([8, 2]), split.limit(9).take([8, 2])
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    for i in range(2):
        np.testing.assert_array_equal(ours.read(i), theirs.read(i))
    with pytest.raises(UsageError, match=r"limit_train \(=15\) must be from 1 to 14"):
        Records(tmp_path / "x.lmdb").limit(15)


def test_each_process_opens_the_file_itself(folder, tmp_path) -> None:
    """A mapping that is inherited by a worker gives it another's bytes, or a crash."""
    pytest.importorskip("torchvision")
    from common.data import torch_stream
    from common.data.torchvision_transforms import random_crop

    convert(folder, tmp_path / "x.lmdb")
    records = Records(tmp_path / "x.lmdb")
    records.read(0)  # this process has it open
    assert pickle.loads(pickle.dumps(records))._reader is None
    half, _, _ = one_half(folder)
    streams = [
        torch_stream.TorchStream(source, 4, random_crop(16), shuffle=True, seed=3, workers=workers)
        for source, workers in ((records, 2), (records, 0), (half, 0))
    ]
    first, *others = ([(x.numpy(), y.tolist()) for x, y in s.epoch(1)] for s in streams)
    for other in others:
        for (x, y), (z, w) in zip(first, other, strict=True):
            np.testing.assert_array_equal(x, z)
            assert y == w


KILLED = """
import os, signal, sys
from s3net.imagenet import records
made, packed = [], records.pack
def pack(*arguments):
    made.append(1)
    if len(made) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return packed(*arguments)
records.pack = pack
from s3net.imagenet.folder2lmdb import main
from tests.helpers import records  # noqa: E402
main(sys.argv[1:])
"""


def test_a_killed_conversion_goes_on(folder, tmp_path, capsys) -> None:
    """A night's work lost, or images that are there twice."""
    file = tmp_path / "x.lmdb"
    words = ["-d", folder, "-o", file, "--quiet", "--commit-every", 3]
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, words)], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(UserError, match=r"x\.lmdb: is unfinished \(6 of 14 images\): run folder2"):
        Records(file)
    convert(folder, file)
    assert "6 of 14 images are there already" in capsys.readouterr().out
    whole = tmp_path / "whole.lmdb"
    convert(folder, whole)
    ours, theirs = Records(file), Records(whole)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    for i in range(14):
        np.testing.assert_array_equal(ours.read(i), theirs.read(i))
    del ours, theirs  # lmdb has no second one in a process
    convert(folder, whole)  # once more: nothing to do
    assert "14 of 14 images are there already" in capsys.readouterr().out


def test_a_file_cut_short_is_named(folder, tmp_path) -> None:
    """A mapped page that is not there ends the process by a signal, without a word."""
    convert(folder, tmp_path / "x.lmdb")
    whole = (tmp_path / "x.lmdb").read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 5000, 100, 0):
        (tmp_path / "x.lmdb").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"x\.lmdb: is .*cut short") as caught:
            Records(tmp_path / "x.lmdb")
        assert "\n" not in str(caught.value)
        with pytest.raises(UserError, match=r"x\.lmdb: is .*cut short"):
            if length:
                convert(folder, tmp_path / "x.lmdb")
            else:  # an empty file is the beginning of one
                raise UserError("x.lmdb: is cut short")


def test_other_bytes_in_a_record_are_noticed(folder, tmp_path) -> None:
    """A bad sector that trains as noise."""
    file = tmp_path / "x.lmdb"
    convert(folder, file)
    with open_file(file, map_size=1 << 24) as environment:
        with environment.begin(write=True) as transaction:
            record = bytearray(transaction.get(b"5"))
            record[-20] ^= 1
            transaction.put(b"5", bytes(record))
            transaction.put(b"6", pack(unpack(transaction.get(b"6"))[0], 2, "n02/other.png"))
            transaction.put(b"7", b"?")
    records = Records(file)
    records.read(4)
    with pytest.raises(UserError, match=r"x\.lmdb: image 5 is damaged: other bytes"):
        records.read(5)
    with pytest.raises(UserError, match=r"image 6 \(n02/other.png\) is of class 2, not of 1"):
        records.read(6)
    with pytest.raises(UserError, match=r"x\.lmdb: image 7 is damaged: too short"):
        records.read(7)


def test_a_broken_tree_is_one_line(folder, tmp_path) -> None:
    """`lmdb.PageNotFoundError` in the middle of an epoch, where a bit of lmdb's own is other."""
    convert(folder, tmp_path / "x.lmdb")
    whole = (tmp_path / "x.lmdb").read_bytes()
    (place,) = [each.end() for each in re.finditer(rb"\x01\0\x01\x005(?=.\0{7})", whole, re.S)]
    file = tmp_path / "page.lmdb"
    file.write_bytes(whole[: place + 4] + b"\1" + whole[place + 5 :])
    records = Records(file)
    records.read(4)
    with pytest.raises(UserError, match=r"page\.lmdb: image 5 is damaged: .*PAGE_NOTFOUND"):
        records.read(5)
    (root,) = [at for at in range(0, len(whole), 4096) if whole[at + 10 : at + 12] == b"\2\0"]
    file = tmp_path / "root.lmdb"
    file.write_bytes(whole[: root + 10] + b"\0" + whole[root + 11 :])
    for read in (Records, partial(convert, folder)):
        with pytest.raises(UserError, match=r"root\.lmdb: .*CORRUPTED"):
            read(file)


def test_an_unreadable_image_stops_the_conversion_and_keeps_the_good_ones(folder, tmp_path) -> None:
    """A million images later, in the middle of an epoch, is a bad time to hear of it."""
    bad, file = folder / "n01" / "04.png", tmp_path / "x.lmdb"
    good = bad.read_bytes()
    bad.write_bytes(good[:200])
    with pytest.raises(UserError, match=r"n01/04\.png: does not decode as an image"):
        convert(folder, file)
    with pytest.raises(UserError, match=r"unfinished \(6 of 14 images\)"):
        Records(file)
    bad.write_bytes(good)
    convert(folder, file)
    np.testing.assert_array_equal(Records(file).read(6), decode(bad))
    bad.write_bytes(b"not an image")
    convert(folder, tmp_path / "y.lmdb", "--no-check")
    with pytest.raises(UserError, match=r"y\.lmdb: image 6 \(n01/04\.png\): does not decode"):
        Records(tmp_path / "y.lmdb").read(6)


def test_what_is_not_meant_is_refused_in_one_line(folder, tmp_path) -> None:
    """Another folder's images behind the first one's; another program's file written over."""
    file = tmp_path / "x.lmdb"
    convert(folder, file)
    Image.new("RGB", (9, 9)).save(folder / "n02" / "new.png")
    foreign = tmp_path / "foreign.lmdb"
    with lmdb.open(str(foreign), subdir=False) as environment, environment.begin(write=True) as t:
        t.put(b"0", b"something")
    (tmp_path / "text").write_text("no lmdb file, but long enough for one" * 1000)
    (tmp_path / "both/train/a").mkdir(parents=True)
    (tmp_path / "both/val/a").mkdir(parents=True)
    for half in ("train", "val"):
        Image.new("RGB", (9, 9)).save(tmp_path / "both" / half / "a" / "new.png")
    (tmp_path / "empty/a").mkdir(parents=True)
    for words, message in (
        ((folder, file), r"option --outpath \(=.*x\.lmdb\) holds the images of another folder"),
        ((folder, foreign), r"foreign\.lmdb: holds no __meta__: s3net\.imagenet\.folder2lmdb did"),
        ((folder, tmp_path / "text"), r"text: is no lmdb file"),
        ((folder, tmp_path), r"option --outpath \(=.*\) is a folder, not a file"),
        ((tmp_path / "no", file), r"option --dataset \(=.*no\) must be a folder"),
        ((tmp_path / "both", tmp_path / "z"), "holds train and val: convert each by itself"),
        ((tmp_path / "empty", tmp_path / "z"), "empty/a: holds no image"),
    ):
        with pytest.raises((UserError, UsageError), match=message) as caught:
            convert(*words)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"foreign\.lmdb: holds no __meta__"):
        Records(foreign)
    with pytest.raises(UsageError, match="option --outpath is missing"):
        main.main(["-d", str(folder)], standalone_mode=False)
