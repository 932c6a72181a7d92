"""Tiny ImageNet as people have it: its own folder, edited text files, a subset, a sorted val."""

import shutil
from pathlib import Path

import pytest

from common.data import tiny_imagenet
from common.data.datasets import load
from common.errors import UserError
from tests.datasets.test_images import write_tiny


def test_the_data_sets_own_folder_is_a_root_too(tmp_path: Path, monkeypatch):
    """`--data-dir tiny-imagenet-200` is what everybody types first."""
    folder = write_tiny(tmp_path)
    above = load("tiny_imagenet", tmp_path, download=False)
    itself = load("tiny_imagenet", folder, download=False)
    monkeypatch.chdir(folder)
    here = load("tiny_imagenet", ".", download=False)
    for data in (itself, here):
        assert (data.train.images == above.train.images).all()
        assert (data.checksums, data.name) == (above.checksums, above.name)
        assert data.folder == folder
    # One copy of the pixels, beside the folder and not in it.
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        folder.name,
        f"{folder.name}-decoded",
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n   \n\t\n"])
def test_blank_lines_and_a_byte_order_mark_are_fine(tmp_path: Path, ending: str):
    """An editor of Windows leaves both behind."""
    folder = write_tiny(tmp_path)
    before = load("tiny_imagenet", tmp_path, download=False)
    for name in ("wnids.txt", "words.txt", "val/val_annotations.txt"):
        text = (folder / name).read_text() + ending
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    after = load("tiny_imagenet", tmp_path, download=False)
    assert after.classes == before.classes == ("king penguin", "tench", "n05")
    assert after.test.labels.tolist() == before.test.labels.tolist()
    assert tiny_imagenet.classes(folder) == ("n09", "n01", "n05")


def test_brainprop_reads_the_classes_without_the_mark(tmp_path: Path):
    """A second reader of wnids.txt called the first class "\\ufeffn09"."""
    from brainprop.tasks import data_name, tiny_classes

    folder = write_tiny(tmp_path)
    (folder / "wnids.txt").write_bytes(b"\xef\xbb\xbf" + (folder / "wnids.txt").read_bytes())
    assert tiny_classes(folder, "wnids", download=False) == (["n09", "n01", "n05"], None)
    assert data_name("tiny_imagenet", folder, download=False) == "tiny_imagenet_3"


@pytest.mark.parametrize("kept", [(), ("val_annotations.txt",), ("images",)])
def test_a_sorted_val_says_what_it_is(tmp_path: Path, kept: tuple[str, ...]):
    """A widespread script moves the images into a folder a class: "val_annotations.txt cannot be
    read" sends people to look for a file that they have deleted on purpose."""
    folder = write_tiny(tmp_path)
    val = folder / "val"
    for name, wnid in (("val_1", "n05"), ("val_0", "n09"), ("val_2", "n01")):
        (val / wnid / "images").mkdir(parents=True)
        (val / "images" / f"{name}.JPEG").rename(val / wnid / "images" / f"{name}.JPEG")
    for name in {"val_annotations.txt", "images"} - set(kept):
        path = val / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=r"sorted into 3 class folders \(n09, \.\.\.\)") as caught:
        load("tiny_imagenet", tmp_path, download=False)
    message = str(caught.value)
    assert message.startswith(f"{val}: ") and "unpack the archive anew" in message


def test_hidden_names_are_no_images(tmp_path: Path):
    """`._val_1.JPEG`, which macOS writes, was "labels 3 images where 4 are there"."""
    folder = write_tiny(tmp_path)
    for place in ("val/images/._val_1.JPEG", "train/n05/images/._n05_1.JPEG"):
        (folder / place).write_bytes(b"\0\5\x16\7")
    data = load("tiny_imagenet", tmp_path, download=False)
    assert (len(data.train), len(data.test)) == (6, 3)
    (tmp_path / ".old").mkdir()
    (tmp_path / ".old/wnids.txt").write_text("n1\n")
    assert tiny_imagenet.locate(tmp_path, False) == folder


def test_only_the_official_set_is_called_tiny_imagenet(tmp_path: Path, monkeypatch):
    """58 % of 200 classes and 84 % of ten stand in one column where they have one name."""
    write_tiny(tmp_path)
    data = load("tiny_imagenet", tmp_path, download=False)
    assert data.name == "tiny_imagenet_3"
    counts = "3 classes, 6 training and 3 test images"
    assert data.about == f"tiny_imagenet_3: {counts} of {tmp_path / 'tiny-imagenet-3'}"
    assert tiny_imagenet.set_name(200, 100_000, 10_000) == "tiny_imagenet"
    assert tiny_imagenet.set_name(10, 5_000, 500) == "tiny_imagenet_10"
    assert tiny_imagenet.set_name(200, 10_000, 1_000) == "tiny_imagenet_200"


def test_the_originals_name_says_it_too():
    """BrainProp names files and figures as its original did: ten classes by another name."""
    from brainprop.recipes import original_name

    assert original_name("mnist") == "MNIST" and original_name("tiny_imagenet") == "TinyImageNet"
    assert original_name("tiny_imagenet_10") == "TinyImageNet_10"
