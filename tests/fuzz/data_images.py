"""Folders of images, Tiny ImageNet and its archive, whole or damaged."""

import os
import random
import shutil
import zipfile
from pathlib import Path

from PIL import Image

from tests.fuzz import edits
from tests.fuzz.case import EITHER, REFUSED, TAKEN


def _noise(chance: random.Random, path: Path, size: int = 40, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = len(Image.new(mode, (1, 1)).tobytes())
    Image.frombytes(mode, (size, size), chance.randbytes(bands * size**2)).save(path, format="PNG")


def folder(chance: random.Random, root: Path) -> tuple[str, str]:
    """train/ and val/ of two classes."""
    for half in ("train", "val"):
        for name in ("n01", "n02"):
            for index in range(12):
                _noise(chance, root / half / name / f"{index}.png")
    half, name = chance.choice(("train", "val")), chance.choice(("n01", "n02"))
    place = root / half / name
    what = chance.choice(
        (
            "whole",
            "dots",
            "link",
            "empty",
            "only",
            "no half",
            "size",
            "mode",
            "bytes",
            "bytes",
            "odd name",
            "file",
            "huge",
            "dangling",
        )
    )
    if what == "dots":
        (place / "._0.png").write_bytes(b"\x00\x05\x16\x07")
        (place / ".ipynb_checkpoints").mkdir()
        _noise(chance, place / ".ipynb_checkpoints/0-checkpoint.png")
        return "names that begin with a dot", TAKEN
    if what == "link":
        os.symlink(chance.choice((".", "..", "../..")), place / "again")
        return "a link in a circle", TAKEN
    if what == "dangling":
        os.symlink("nowhere", place / "99.png")
        return "a link to nowhere", EITHER
    if what == "empty":
        shutil.rmtree(place)
        place.mkdir()
        return f"{half}/{name} is empty", REFUSED
    if what == "only":
        shutil.rmtree(place)
        return f"{half} has one class", REFUSED
    if what == "no half":
        shutil.rmtree(root / half)
        return f"no {half}", REFUSED
    if what == "size":
        _noise(chance, place / "99.png", chance.choice((1, 2, 300)))
        return "an image of another size", EITHER
    if what == "mode":
        mode = chance.choice(("L", "RGBA", "1", "P", "LA"))
        _noise(chance, place / "99.png", 40, "L" if mode in "1P" else mode)
        return f"an image of mode {mode}", TAKEN
    if what == "bytes":
        note, broken = edits.bytes_file(chance, place / "0.png")
        return note, EITHER  # it may not be among the images that are asked for
    if what == "odd name":
        odd = chance.choice(("ä ö.png", "a\nb.png", "-x.png", "%s.png", os.fsdecode(b"\xff.png")))
        shutil.copy(place / "0.png", place / odd)
        return f"a file called {odd!r}", TAKEN
    if what == "file":
        shutil.rmtree(place)
        place.write_text("no folder")
        return f"{half}/{name} is a file", REFUSED
    if what == "huge":
        data = (place / "0.png").read_bytes()
        (place / "0.png").write_bytes(data[:16] + b"\x7f\xff\xff\xff" * 2 + data[24:])
        return "a header of 2**31 pixels a side", EITHER
    return "whole", TAKEN


def records(chance: random.Random, root: Path) -> tuple[str, str]:
    """train.lmdb and val.lmdb in the place of train/ and val/, whole, unfinished or damaged."""
    import lmdb

    from s3net.imagenet.folder2lmdb import main

    for half in ("train", "val"):
        for name in ("n01", "n02"):
            for index in range(12):
                _noise(chance, root / half / name / f"{index}.png")
        words = ["-d", str(root / half), "-o", str(root / f"{half}.lmdb"), "--quiet"]
        main.main(words, standalone_mode=False)
        shutil.rmtree(root / half)
    file = root / f"{chance.choice(('train', 'val'))}.lmdb"
    what = chance.choice(("whole", "bytes", "bytes", "bytes", "gone", "foreign", "record"))
    if what == "bytes":
        note, broken = edits.bytes_file(chance, file)
        return note, REFUSED if broken else EITHER
    if what == "foreign":
        file.unlink()
    if what in ("gone", "foreign", "record"):
        key = chance.choice((b"__labels__", b"__meta__", b"3", b"11"))
        with lmdb.open(str(file), subdir=False, lock=False) as environment:
            with environment.begin(write=True) as transaction:
                if what == "gone":
                    transaction.delete(key)
                else:
                    transaction.put(key, chance.choice((b"", b"null", b"{}", chance.randbytes(96))))
        return f"{file.name}: {key.decode()} of a {what} one", REFUSED
    return "whole lmdb files", TAKEN


def whole_tiny(chance: random.Random, root: Path) -> list[str]:
    """Tiny ImageNet's layout with two classes; the lines of its annotations."""
    base, wnids, lines = root / "tiny-imagenet-2", ["n01", "n02"], []
    for wnid in wnids:
        for index in range(12):
            _noise(chance, base / f"train/{wnid}/images/{wnid}_{index}.JPEG", 64)
    for index in range(12):
        _noise(chance, base / f"val/images/val_{index}.JPEG", 64)
        lines.append(f"val_{index}.JPEG\t{wnids[index % 2]}\t0\t0\t62\t62")
    (base / "wnids.txt").write_text("\n".join(wnids) + "\n")
    (base / "words.txt").write_text("n01\ta, b\nn02\tc\n")
    (base / "val/val_annotations.txt").write_text("\n".join(lines) + "\n")
    return lines


def tiny(chance: random.Random, root: Path) -> tuple[str, str]:
    """Tiny ImageNet's layout with two classes, in order or not."""
    lines, base = whole_tiny(chance, root), root / "tiny-imagenet-2"
    texts = ("wnids.txt", "words.txt", "val/val_annotations.txt")
    what = chance.choice(
        (
            "whole",
            "text",
            "text",
            "line",
            "image",
            "missing",
            "bom",
            "twice",
            "size",
            "sorted",
            "cache",
        )
    )
    if what == "text":
        name = chance.choice(texts)
        note, broken = edits.bytes_file(chance, base / name)
        return note, REFUSED if broken and "cut" not in note and "words" not in name else EITHER
    if what == "line":
        lines[1] = chance.choice(
            ("val_1.JPEG", "\t\t", "val_1.JPEG\tn77", "nothing.JPEG\tn01", "x")
        )
        (base / texts[2]).write_text("\n".join(lines))
        return f"an annotation is {lines[1]!r}", REFUSED
    if what == "image":
        image = chance.choice(sorted(base.rglob("*.JPEG")))
        note, broken = edits.bytes_file(chance, image)
        return note, REFUSED if broken and "cut" not in note else EITHER
    if what == "missing":
        gone = chance.choice(("wnids.txt", "val/val_annotations.txt", "val/images/val_0.JPEG"))
        (base / gone).unlink()
        return f"no {gone}", REFUSED
    if what == "bom":
        (base / "wnids.txt").write_bytes("\ufeffn01\r\nn02\r\n\r\n".encode())
        return "a mark, CRLF and a blank line in wnids.txt", TAKEN
    if what == "twice":
        (base / "wnids.txt").write_text("n01\nn01\n")
        return "a class twice", REFUSED
    if what == "size":
        _noise(chance, base / "train/n01/images/n01_0.JPEG", 32)
        return "an image of another size", REFUSED
    if what == "sorted":
        shutil.rmtree(base / "val/images")
        _noise(chance, base / "val/n01/0.JPEG", 64)
        return "val sorted into classes", REFUSED
    if what == "cache":
        cache = root / "tiny-imagenet-2-decoded"
        cache.mkdir()
        for half in ("train", "val"):
            (cache / f"{half}.safetensors").write_bytes(chance.randbytes(500))
        return "noise in the place of decoded pixels", EITHER
    return "whole", TAKEN


def pack(root: Path, path: Path) -> None:
    """A zip archive of what is in a folder, but of no decoded pixels."""
    with zipfile.ZipFile(path, "w") as packed:
        for file in sorted(root.rglob("*")):
            if file.is_file() and "decoded" not in str(file):
                packed.write(file, file.relative_to(root))


def archive(chance: random.Random, path: Path) -> tuple[str, str]:
    """A zip archive of `tiny`'s folder, of something else, or damaged."""
    root = path.parent / "packed"
    root.mkdir()
    note, expect = tiny(chance, root)
    pack(root, path)
    if chance.random() < 0.2:
        with zipfile.ZipFile(path, "a") as packed:
            packed.writestr(chance.choice(("../out", "/abs", "tiny-imagenet-2/../../up")), "x")
        note, expect = f"{note}, a name that leads out", EITHER
    if chance.random() < 0.3:
        note, broken = edits.bytes_file(chance, path)
        expect = REFUSED if broken else EITHER
    # What is in the images is not looked at here.
    image = "JPEG" in note or "size" in note or "words" in note
    return note, EITHER if image and expect == REFUSED and "tiny.zip" not in note else expect
