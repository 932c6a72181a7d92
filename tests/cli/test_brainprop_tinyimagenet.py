"""Extracting Tiny ImageNet: what is in the archive, what is there already, what breaks it off."""

import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from brainprop.tinyimagenet import main
from common.data import tiny_imagenet
from common.errors import UsageError, UserError

ROOT = Path(__file__).resolve().parents[2]
NAME = "tiny-imagenet-200.zip"
WNIDS = ("n01", "n02")


def members(folder: str = "tiny-imagenet-200") -> dict[str, bytes]:
    """A set of two classes with three training images each, and two validation images."""
    names = {
        "wnids.txt": "\n".join(WNIDS).encode(),
        "words.txt": b"n01\ttench\nn02\tgoldfish",
        "val/val_annotations.txt": b"v0.JPEG\tn02\t0\t0\t1\t1\nv1.JPEG\tn01\t0\t0\t1\t1\n",
        "val/images/v0.JPEG": b"v0",
        "val/images/v1.JPEG": b"v1",
    }
    for wnid in WNIDS:
        for i in range(3):
            names[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = f"{wnid} {i}".encode() * 200
    return {f"{folder}/{name}": data for name, data in names.items()}


def pack(target: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty current folder, and a Tiny ImageNet of six and two images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tiny_imagenet, "COUNTS", (6, 2))
    return tmp_path


def run(*words: object) -> None:
    main.main([str(word) for word in words], standalone_mode=False)


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith((".zip", ".lock"))
    }


@pytest.mark.parametrize("words", [(), (NAME,), ("--out", ".")])
def test_the_archive_beside_is_extracted_here(here, words, capsys):
    """The command of the original's README, byte for byte what is in the archive."""
    pack(here / NAME, members())
    run(*words)
    assert everything(here) == members()
    assert "2 classes, 6 training and 2 validation images" in capsys.readouterr().out


def test_another_folder_and_another_archive_may_be_named(here):
    """Data belong where the other data are, not where one happens to stand."""
    archive = pack(here / "somewhere.zip", members())
    run(archive, "--out", here / "data" / "deep")
    assert everything(here / "data" / "deep") == members()


def test_a_subset_keeps_its_own_name(here):
    """Under the official name a subset would be taken for the whole."""
    run(pack(here / "small.zip", members("tiny-imagenet-2")), "--out", here)
    data = tiny_imagenet.inventory(here / "tiny-imagenet-2")
    assert data[0] == WNIDS and len(data[1]) == 6


@pytest.mark.parametrize("words", [(), (NAME,)])
def test_a_folder_that_is_there_is_checked_and_left_alone(here, words, capsys):
    """Extracted again, it would lose what somebody added; unchecked, half a set stays half."""
    pack(here / NAME, members())
    run()
    (here / "tiny-imagenet-200" / "notes.txt").write_text("mine")
    run(*words)
    assert "is there already: 2 classes, 6 training" in capsys.readouterr().out
    assert (here / "tiny-imagenet-200" / "notes.txt").read_text() == "mine"
    (here / "tiny-imagenet-200/train/n02/images/n02_1.JPEG").unlink()
    with pytest.raises(UserError, match="5 training and 2 validation images, not the official 6"):
        run(*words)


def test_no_archive_needs_to_stay_once_the_folder_is_there(here):
    """Half a gigabyte that nobody keeps."""
    pack(here / NAME, members()).rename(here / "elsewhere")
    (here / "elsewhere").rename(here / NAME)
    run()
    (here / NAME).unlink()
    run()


def linked() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("tiny-imagenet-200/train/n01/images/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def truncated(path: Path) -> None:
    pack(path, members())
    path.write_bytes(path.read_bytes()[:-300])


def flipped(path: Path) -> None:
    pack(path, members())
    path.write_bytes(path.read_bytes().replace(b"n01 2n01 2", b"n01 2n01 3", 1))


def with_link(path: Path) -> None:
    pack(path, members())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(linked(), "/etc/passwd")


def without(name: str):
    def make(path: Path) -> None:
        files = members()
        del files[f"tiny-imagenet-200/{name}"]
        pack(path, files)

    return make


def with_more(name: str):
    return lambda path: pack(path, members() | {name: b"x"})


BAD = {
    "climbs": (with_more("tiny-imagenet-200/../../evil"), "which lies outside of it"),
    "absolute": (with_more("/tmp/evil-of-creditlab"), "which lies outside of it"),
    "backslashes": (with_more("tiny-imagenet-200\\..\\..\\evil"), "which lies outside of it"),
    "a link": (with_link, "which is no plain file"),
    "cut short": (truncated, "is no zip archive, or one that was cut short"),
    "a flipped bit": (flipped, "does not unpack (Bad CRC-32"),
    "no zip": (lambda path: path.write_bytes(b"<html>404</html>"), "is no zip archive"),
    "another set": (lambda path: pack(path, {"mnist/a": b"1"}), "it is not Tiny ImageNet"),
    "too few": (without("train/n02/images/n02_2.JPEG"), "holds 5 training and 2 validation"),
    "a lost class": (
        lambda path: pack(path, {k: v for k, v in members().items() if "/n02/" not in k}),
        "tiny-imagenet-200/train/n02/images: cannot be read",
    ),
    "a lost annotation": (
        without("val/val_annotations.txt"),
        "val_annotations.txt: cannot be read",
    ),
    "uneven classes": (
        lambda path: pack(
            path,
            {k.replace("n02/images/n02_2", "n01/images/n01_3"): v for k, v in members().items()},
        ),
        "train/n01: holds 4 images, not 3",
    ),
}


@pytest.mark.parametrize("words", [(), (NAME,)], ids=["found", "named"])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_archive_is_one_line_and_leaves_nothing(here, kind, words):
    """Half a folder, or a file outside of it: the next command trains on it or is overwritten."""
    spoil, part = BAD[kind]
    inside = here / "inside"
    inside.mkdir()
    spoil(inside / NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inside)
        with pytest.raises(UserError) as caught:
            run(*words)
    message = str(caught.value)
    assert caught.value.code == 1 and message.startswith(f"{NAME}: ") and part in message
    assert "\n" not in message and ".part" not in message
    assert everything(here) == {}


def test_a_killed_extraction_leaves_no_folder_and_the_next_one_cleans_up(here):
    """The power fails in the middle of a hundred thousand files."""
    pack(here / NAME, members())
    program = """
import os, shutil, signal
copy, count = shutil.copyfileobj, []
def copied(*arguments):
    count.append(copy(*arguments))
    if len(count) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
shutil.copyfileobj = copied
from brainprop.tinyimagenet import main
main([])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=here, env={"PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == -9 and not (here / "tiny-imagenet-200").exists()
    assert list(here.glob(".tiny-imagenet-200.*.part"))
    run()
    assert everything(here) == members() and not list(here.glob(".tiny-imagenet-200.*.part"))


def test_a_missing_archive_names_itself_and_where_to_get_it(here):
    """The original says so and exits 0: a script that goes on has no data."""
    with pytest.raises(UserError, match=f"{NAME} is missing .* http://.*{NAME}") as caught:
        run()
    assert caught.value.code == 1
    with pytest.raises(UsageError, match=r"ZIP \(=no.zip\) must be an existing file"):
        run("no.zip")


def test_the_original_tells_and_succeeds(here, capsys):
    """--compat original: what a user's old script relies on."""
    run("--compat", "original")
    assert "is missing" in capsys.readouterr().out
    truncated(here / NAME)
    run(NAME, "--always-succeed")
    assert "cut short" in capsys.readouterr().out


def test_the_official_counts_are_two_hundred_classes_of_five_hundred():
    """The constants that the tests above replace."""
    assert tiny_imagenet.COUNTS == (200 * 500, 10_000)
