"""SVHN, Tiny ImageNet and image folders from small files that the test writes."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data.datasets import load
from common.data.image_folder import ImageFolder
from common.data.pixels import decode
from common.errors import UsageError, UserError

RANDOM = np.random.default_rng(7)


# --- SVHN -----------------------------------------------------------------------------------


def write_svhn(root: Path, **change: np.ndarray) -> dict[str, np.ndarray]:
    """Both files; `change` replaces X or y of the training file, whose contents it returns."""
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    train: dict[str, np.ndarray] = {}
    for name, n in (("test_32x32.mat", 3), ("train_32x32.mat", 5)):
        pixels = RANDOM.integers(0, 256, (32, 32, 3, n), np.uint8)
        train = {"X": pixels, "y": np.array([[10], [1], [9], [10], [2]][:n], np.uint8)}
        if name.startswith("train"):
            train |= change
        savemat(root / name, train, do_compression=True)
    return train


def test_svhn_turns_the_axes_and_calls_ten_zero(tmp_path):
    """Label 10 left as it is crashes a ten-class loss; labels minus one rotate every class."""
    written = write_svhn(tmp_path)
    data = load("svhn", tmp_path, download=False)
    assert data.train.labels.tolist() == [0, 1, 9, 0, 2] and len(data.test) == 3
    assert data.train.images[4, 30, 2, 1] == written["X"][30, 2, 1, 4]
    np.testing.assert_array_equal(data.train.images, np.moveaxis(written["X"], 3, 0))
    assert data.train.images.flags.c_contiguous and data.train.images.flags.writeable
    digest = hashlib.md5((tmp_path / "train_32x32.mat").read_bytes()).hexdigest()
    assert data.checksums["train_32x32.mat"] == digest


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"y": np.array([[1], [0], [2], [3], [4]], np.uint8)}, "label 1 is 0"),
        ({"y": np.array([[1], [2], [11], [3], [4]], np.uint8)}, "label 2 is 11"),
        ({"y": np.ones((4, 1), np.uint8)}, "4 labels for 5 images"),
        ({"X": np.zeros((32, 32, 3, 5))}, "float64"),
        ({"X": np.zeros((5, 32, 32, 3), np.uint8)}, "not uint8"),
    ],
)
def test_svhn_with_other_contents_is_one_error(tmp_path, change, word):
    """Axes in another order have the same number of bytes."""
    write_svhn(tmp_path, **change)
    with pytest.raises(UserError, match=word) as caught:
        load("svhn", tmp_path, download=False)
    assert str(caught.value).startswith(str(tmp_path / "train_32x32.mat"))


@pytest.mark.parametrize("length", [0, 100, 2000])
def test_svhn_cut_short_is_one_error(tmp_path, length):
    """scipy raises a different kind of error for every place where a file can end."""
    write_svhn(tmp_path)
    path = tmp_path / "test_32x32.mat"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError) as caught:
        load("svhn", tmp_path, download=False)
    assert str(caught.value).startswith(f"{path}: ")


def test_svhn_missing_names_the_file(tmp_path):
    """torchvision keeps these two directly in the root: the message has to show it."""
    write_svhn(tmp_path)
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(UserError, match="looked at") as caught:
        load("svhn", tmp_path, download=False)
    assert str(caught.value).endswith(f"looked at {tmp_path / 'test_32x32.mat'}")


# --- Tiny ImageNet --------------------------------------------------------------------------

WNIDS = ("n09", "n01", "n05")


def save(path: Path, pixels: np.ndarray) -> None:
    """Under whatever name, as PNG, so that pixels can be compared exactly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG")


def write_tiny(root: Path, name: str = "tiny-imagenet-3") -> Path:
    """Three classes, two training images each, three validation images. Image 0 of each is grey."""
    folder = root / name
    for wnid in WNIDS:
        for index in range(2):
            shape = (8, 8) if index == 0 else (8, 8, 3)
            pixels = RANDOM.integers(0, 256, shape, np.uint8)
            save(folder / "train" / wnid / "images" / f"{wnid}_{index}.JPEG", pixels)
    for index in range(3):
        pixels = RANDOM.integers(0, 256, (8, 8, 3), np.uint8)
        save(folder / "val" / "images" / f"val_{index}.JPEG", pixels)
    lines = [
        f"val_{i}.JPEG\t{wnid}\t0\t0\t7\t7" for i, wnid in ((1, "n05"), (0, "n09"), (2, "n01"))
    ]
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    (folder / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
    (folder / "words.txt").write_text("n01\ttench, Tinca tinca\nn09\tking penguin\nn77\tother\n")
    return folder


def test_tiny_imagenet_follows_wnids_and_the_annotations(tmp_path):
    """Classes in the order of folder names instead of wnids.txt: labels of others do not match."""
    folder = write_tiny(tmp_path)
    data = load("tiny_imagenet", tmp_path, download=False)
    assert data.classes == ("king penguin", "tench", "n05") and data.shape == (8, 8, 3)
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test.labels.tolist() == [2, 0, 1]
    with Image.open(folder / "val" / "images" / "val_1.JPEG") as image:
        np.testing.assert_array_equal(data.test.images[0], np.asarray(image))
    with Image.open(folder / "train" / "n01" / "images" / "n01_1.JPEG") as image:
        np.testing.assert_array_equal(data.train.images[3], np.asarray(image))


def test_tiny_imagenet_repeats_grey_over_three_channels(tmp_path):
    """Some of the official photographs are grey: they must not stop the run or turn colourful."""
    folder = write_tiny(tmp_path)
    data = load("tiny_imagenet", tmp_path, download=False)
    with Image.open(folder / "train" / "n09" / "images" / "n09_0.JPEG") as image:
        grey = np.asarray(image)
    assert grey.ndim == 2
    for channel in range(3):
        np.testing.assert_array_equal(data.train.images[0, :, :, channel], grey)


def test_tiny_imagenet_checksums_change_with_any_image(tmp_path):
    """The environment record has to tell two versions of the folder apart."""
    folder = write_tiny(tmp_path)
    before = load("tiny_imagenet", tmp_path, download=False).checksums
    save(folder / "train" / "n05" / "images" / "n05_1.JPEG", np.zeros((8, 8, 3), np.uint8))
    after = load("tiny_imagenet", tmp_path, download=False).checksums
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"tiny-imagenet-3/train"} and before.keys() == after.keys()


def rewrite(name: str, old: str, new: str):
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def cut(name: str):
    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:60])

    return change


TINY_DEFECTS = {
    "unknown class": (
        rewrite("val/val_annotations.txt", "n09", "n08"),
        "val/val_annotations.txt",
        "line 2",
    ),
    "unlabelled image": (
        rewrite("val/val_annotations.txt", "val_2.JPEG\tn01\t0\t0\t7\t7\n", ""),
        "val/val_annotations.txt",
        "labels 2 images where 3",
    ),
    "lost image": (
        lambda folder: (folder / "val/images/val_2.JPEG").unlink(),
        "val/images/val_2.JPEG",
        "missing",
    ),
    "lost class": (rewrite("wnids.txt", "n05", "n06"), "train/n06/images", "cannot be read"),
    "class twice": (rewrite("wnids.txt", "n05", "n01"), "wnids.txt", "twice"),
    "lost annotations": (
        lambda folder: (folder / "val/val_annotations.txt").unlink(),
        "val/val_annotations.txt",
        "cannot be read",
    ),
    "cut image": (cut("train/n05/images/n05_1.JPEG"), "train/n05/images/n05_1.JPEG", "decode"),
    "image that is text": (
        lambda folder: (folder / "val/images/val_0.JPEG").write_text("not found"),
        "val/images/val_0.JPEG",
        "decode",
    ),
    "image of another size": (
        lambda folder: save(folder / "train/n01/images/n01_1.JPEG", np.zeros((8, 9), np.uint8)),
        "train/n01/images/n01_1.JPEG",
        "8x9",
    ),
}


@pytest.mark.parametrize("defect", TINY_DEFECTS)
def test_a_defect_of_tiny_imagenet_is_one_error_that_names_the_file(tmp_path, defect):
    """Among 110,000 files only the name helps."""
    spoil, name, word = TINY_DEFECTS[defect]
    folder = write_tiny(tmp_path)
    spoil(folder)
    with pytest.raises(UserError, match=word) as caught:
        load("tiny_imagenet", tmp_path, download=False)
    assert str(caught.value).startswith(f"{folder / name}: ")


def test_the_official_folder_with_too_few_images_is_refused(tmp_path):
    """An unzip that was interrupted leaves a folder that looks right."""
    folder = write_tiny(tmp_path, "tiny-imagenet-200")
    with pytest.raises(UserError, match="6 training and 3 validation") as caught:
        load("tiny_imagenet", tmp_path, download=False)
    assert str(folder) in str(caught.value)


def test_several_folders_of_the_layout_are_not_guessed_between(tmp_path):
    """The wrong one of two subsets would train silently."""
    write_tiny(tmp_path, "tiny-a")
    write_tiny(tmp_path, "tiny-b")
    with pytest.raises(UserError, match="tiny-a, tiny-b"):
        load("tiny_imagenet", tmp_path, download=False)


def test_tiny_imagenet_missing_names_the_folder(tmp_path):
    """`--no-download` has to say where it looked."""
    with pytest.raises(UserError) as caught:
        load("tiny_imagenet", tmp_path, download=False)
    assert str(tmp_path / "tiny-imagenet-200") in str(caught.value)


# --- image folders --------------------------------------------------------------------------


def write_folder(root: Path) -> Path:
    for half, names in (("train", ("b", "a", "c")), ("val", ("a",))):
        for wnid in ("n2", "n1"):
            for name in names:
                save(root / half / wnid / f"{name}.png", np.full((4, 6, 3), 9, np.uint8))
    (root / "train" / "n1" / "notes.txt").write_text("no image")
    return root


def test_an_image_folder_is_listed_in_order_and_not_read(tmp_path):
    """An order that depends on the file system makes runs on two machines differ."""
    root = write_folder(tmp_path)
    (root / "train" / "n1" / "a.png").write_bytes(b"broken")
    folder = ImageFolder(root)
    assert folder.classes == ("n1", "n2") and len(folder.val) == 2
    names = [str(Path(path).relative_to(root / "train")) for path in folder.train.paths]
    assert names == ["n1/a.png", "n1/b.png", "n1/c.png", "n2/a.png", "n2/b.png", "n2/c.png"]
    assert folder.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert folder.train.labels.dtype == np.int64


def test_a_limit_of_an_image_folder_keeps_paths_and_labels_together(tmp_path):
    """Shuffled paths with unshuffled labels train to chance."""
    train = ImageFolder(write_folder(tmp_path)).train
    few = train.limit(4)
    order = np.random.RandomState(0).permutation(6)[:4]
    assert few.paths == tuple(train.paths[i] for i in order)
    assert few.labels.tolist() == [int(f"{Path(path).parent.name}"[1]) - 1 for path in few.paths]
    with pytest.raises(UsageError, match="limit_train"):
        train.limit(7)


def test_images_in_deeper_folders_belong_to_their_class(tmp_path):
    """Tiny ImageNet's train folder keeps images one level down."""
    root = write_folder(tmp_path)
    save(root / "train" / "n2" / "images" / "z.JPEG", np.zeros((4, 6, 3), np.uint8))
    folder = ImageFolder(root)
    assert folder.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_the_checksum_of_an_image_folder_changes_with_its_files(tmp_path):
    """A folder that lost an image has to look different in the run's record."""
    root = write_folder(tmp_path)
    before = ImageFolder(root).checksums
    (root / "train" / "n2" / "b.png").unlink()
    after = ImageFolder(root).checksums
    assert before["val"] == after["val"] and before["train"] != after["train"]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda root: (root / "val").rename(root / "test"), "val"),
        (lambda root: (root / "val" / "n2").rename(root / "val" / "n3"), "n2 is not in both"),
        (lambda root: (root / "val" / "n2" / "a.png").unlink(), "n2: holds no image"),
    ],
)
def test_an_image_folder_with_a_hole_is_one_error(tmp_path, spoil, word):
    """A class that only one half has shifts the labels of all classes after it."""
    root = write_folder(tmp_path)
    spoil(root)
    with pytest.raises(UserError, match=word) as caught:
        ImageFolder(root)
    assert str(tmp_path) in str(caught.value)


def test_every_kind_of_image_decodes_to_rgb(tmp_path):
    """ImageNet holds grey, palette and CMYK files; one of them must not stop the epoch."""
    grey = RANDOM.integers(0, 256, (5, 7), np.uint8)
    for mode, suffix in (("L", "png"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg")):
        path = tmp_path / f"{mode}.{suffix}"
        Image.fromarray(grey).convert(mode).save(path)
        pixels = decode(path)
        assert pixels.shape == (5, 7, 3) and pixels.dtype == np.uint8
        if suffix == "png":
            np.testing.assert_array_equal(pixels, np.repeat(grey[..., None], 3, axis=2))


def test_a_truncated_photograph_is_an_error_and_not_half_grey(tmp_path):
    """Pillow can be told to fill the missing part; then nobody notices."""
    path = tmp_path / "a.jpg"
    Image.fromarray(RANDOM.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(UserError, match="truncated") as caught:
        decode(path)
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(UserError, match="cannot be read"):
        decode(tmp_path / "none.jpg")
