"""Small sets of one's own in the published formats, whole or damaged."""

import dataclasses
import gzip
import hashlib
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import edits
from tests.fuzz.case import EITHER, REFUSED, TAKEN


def _idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def idx(chance: random.Random, root: Path, folder: str = "MNIST") -> tuple[str, str]:
    """MNIST of 60 and 20 images."""
    draw, raw = np.random.default_rng(chance.getrandbits(32)), root / folder / "raw"
    raw.mkdir(parents=True)
    side = chance.choice((28, 28, 28, 28, 20, 1))
    arrays, note, expect = {}, "whole", TAKEN if side == 28 else EITHER
    for name, count in (("train", 60), ("t10k", 20)):
        arrays[f"{name}-images-idx3-ubyte"] = draw.integers(0, 256, (count, side, side))
        arrays[f"{name}-labels-idx1-ubyte"] = np.arange(count) % 10
    name = chance.choice(sorted(arrays))
    what = chance.choice(
        ("whole", "label", "count", "rank", "shape", "bytes", "bytes", "missing", "none", "folder")
    )
    if what == "label" and "labels" in name:
        arrays[name] = arrays[name] + chance.choice((1, 200))
        note, expect = f"{name}: labels of 10 and more", REFUSED
    elif what == "count":
        arrays[name] = arrays[name][:-1]
        note, expect = f"{name} has one less", REFUSED
    elif what == "rank":
        arrays[name] = arrays[name][None]
        note, expect = f"{name} has another rank", REFUSED
    elif what == "shape" and "images" in name:
        arrays[name] = arrays[name][:, :, : side // 2]
        note, expect = f"{name} has half of its columns", REFUSED
    elif what == "none":
        half = name.split("-")[0]
        arrays |= {n: a[:0] for n, a in arrays.items() if n.startswith(half)}
        note, expect = f"{half} has no image", REFUSED
    for each, array in arrays.items():
        (raw / each).write_bytes(_idx(array))
    path = raw / name
    if what == "bytes":
        note, broken = edits.bytes_file(chance, path)
        expect = REFUSED if broken or "longer" in note else EITHER
    elif what == "missing":
        path.unlink()
        note, expect = f"{name} is missing", REFUSED
    elif what == "folder":
        path.unlink()
        path.mkdir()
        note, expect = f"{name} is a folder", REFUSED
    if chance.random() < 0.3 and path.is_file():
        packed = gzip.compress(path.read_bytes())
        path.unlink()
        if chance.random() < 0.5:
            packed, how, broken = edits.bytes_of(chance, packed)
            note, expect = f"{note}, gzipped and {how}", REFUSED if broken else EITHER
        path.with_name(name + ".gz").write_bytes(packed)
    return f"{note}, {side} x {side}", expect


def fashion(chance: random.Random, root: Path) -> tuple[str, str]:
    """As `idx`."""
    return idx(chance, root, "FashionMNIST")


BAD_BATCHES: tuple[dict[str, Any], ...] = (
    {"data": np.zeros((9, 3071), np.uint8)},
    {"data": np.zeros((9, 3072), np.float32)},
    {"data": [1, 2]},
    {"data": None},
    {"labels": [0] * 9},
    {"labels": [10] * 30},
    {"labels": ["a"] * 30},
    {"labels": [-1] * 30},
    {"labels": [1.5] * 30},
    {"labels": None},
    {"data": np.zeros((0, 3072), np.uint8), "labels": []},
    {"labels": [[0]] * 30},
    {"labels": [None] * 30},
    {"labels": [10**30] * 30},
    {"labels": [True] * 30},
)


def _cifar(chance: random.Random, root: Path, name: str) -> tuple[str, str]:
    from common.data.cifar import LAYOUTS

    layout, draw = LAYOUTS[name], np.random.default_rng(chance.getrandbits(32))
    folder = root / layout.folder
    folder.mkdir()
    classes = 10 if name == "cifar10" else 100
    files: dict[str, dict[str, Any]] = {}
    for file in (*layout.train, *layout.test):
        pixels = draw.integers(0, 256, (30, 3072), np.uint8)
        files[file] = {"data": pixels, layout.labels: (np.arange(30) % 10).tolist()}
    files[next(iter(layout.meta))] = {layout.names: [f"class {i}" for i in range(classes)]}
    note, expect, chosen = "whole", TAKEN, chance.choice(sorted(files))
    what = chance.choice(("whole", "value", "value", "key", "bytes", "missing"))
    if what == "value" and "data" in files[chosen]:
        bad = chance.choice(BAD_BATCHES)
        new = {layout.labels if k == "labels" else k: v for k, v in bad.items()}
        files[chosen] |= new
        note, expect = f"{chosen}: {new!r:.60}", REFUSED
        if "[10" in note and classes == 100 and "1000" not in note:
            expect = EITHER
    elif what == "key":
        key = chance.choice(sorted(files[chosen]))
        del files[chosen][key]
        note, expect = f"{chosen}: no {key}", REFUSED
    for file, content in files.items():
        (folder / file).write_bytes(pickle.dumps(content, protocol=2))
    if what == "bytes":
        note, broken = edits.bytes_file(chance, folder / chosen)
        expect = REFUSED if broken else EITHER
    elif what == "missing":
        (folder / chosen).unlink()
        note, expect = f"{chosen} is missing", REFUSED
    return note, expect


def cifar10(chance: random.Random, root: Path) -> tuple[str, str]:
    """CIFAR-10 of 30 images a file."""
    return _cifar(chance, root, "cifar10")


def cifar100(chance: random.Random, root: Path) -> tuple[str, str]:
    """As `cifar10`."""
    return _cifar(chance, root, "cifar100")


def known_hashes(root: Path, dataset: str) -> list[Callable[[], None]]:
    """What makes the MD5s of these files CIFAR's published ones, so that their reader is reached;
    nothing for the other sets, which take one's own."""
    if not dataset.startswith("cifar"):
        return []

    def patch() -> None:
        from common.data import cifar

        layout = cifar.LAYOUTS[dataset]

        def hashes(names: Any) -> dict[str, str]:
            paths = {name: root / layout.folder / name for name in names}
            return {
                n: hashlib.md5(p.read_bytes()).hexdigest() if p.is_file() else names[n]
                for n, p in paths.items()
            }

        parts = {part: hashes(getattr(layout, part)) for part in ("train", "test", "meta")}
        cifar.LAYOUTS[dataset] = dataclasses.replace(layout, **parts)  # type: ignore[arg-type]

    return [patch]


def svhn(chance: random.Random, root: Path) -> tuple[str, str]:
    """SVHN of 30 images a half."""
    from scipy.io import savemat

    note, expect = "whole", TAKEN
    chosen = chance.choice(("train_32x32.mat", "test_32x32.mat"))
    what = chance.choice(("whole", "value", "value", "bytes"))
    for file in ("train_32x32.mat", "test_32x32.mat"):
        content: dict[str, Any] = {
            "X": np.zeros((32, 32, 3, 30), np.uint8),
            "y": np.arange(30)[:, None] % 10 + 1,
        }
        if file == chosen and what == "value":
            new: dict[str, Any] = chance.choice(
                (
                    {"X": np.zeros((32, 32, 30), np.uint8)},
                    {"X": np.zeros((32, 32, 3, 30))},
                    {"y": np.zeros((30, 1))},
                    {"y": np.full((30, 1), 11)},
                    {"y": "abc"},
                    {"y": [[]]},
                    {"y": np.full((30, 1), np.nan)},
                    {"y": np.ones((29, 1))},
                    {"X": "x"},
                    {"y": {"a": 1}},
                    {"y": np.array([["a"] * 30], object)},
                    {"y": np.full((30, 1), 1.5)},
                    {"y": np.full((30, 1), -1)},
                    {"X": np.zeros((32, 32, 3, 0), np.uint8), "y": []},
                )
            )
            content |= new
            note, expect = f"{file}: {new!r:.50}", REFUSED
        savemat(root / file, content)
    if what == "bytes":
        note, broken = edits.bytes_file(chance, root / chosen)
        expect = REFUSED if broken else EITHER
    return note, expect


def table(chance: random.Random, work: Path) -> tuple[str, str, Path]:
    """Boston housing as csv or npz: 40 rows of 13 features and a price."""
    draw = np.random.default_rng(chance.getrandbits(32))
    x, y = draw.normal(size=(40, 13)), draw.normal(size=40)
    note, expect = "whole", TAKEN
    what = chance.choice(("whole", "shape", "nan", "object", "bytes", "bytes"))
    if what == "shape":
        x, note, expect = x[:, :-1], "12 features", REFUSED
    elif what == "nan":
        x[3, 4], note, expect = chance.choice((np.nan, np.inf)), "a value is not finite", REFUSED
    if chance.random() < 0.5:
        file = work / "boston.npz"
        held: dict[str, Any] = {"x": x, "y": y}
        if what == "object":
            held["x"] = np.array([{}], object)
            note, expect = "an array of objects", REFUSED
        np.savez(file, **held)
    else:
        file = work / "boston.csv"
        rows = np.column_stack([x, y]).tolist()
        lines = [",".join(map(str, row)) for row in rows]
        if what == "object":
            at = chance.randrange(len(lines))
            lines[at] = chance.choice(("a,b", ",".join("x" * 14), "1,2,3", "µ"))
            note, expect = f"line {at + 1} is {lines[at]!r}", REFUSED if at else EITHER
        file.write_text("\n".join(lines))
    if what == "bytes":
        note, broken = edits.bytes_file(chance, file)
        expect = REFUSED if broken and "cut" not in note else EITHER  # fewer rows are rows
    return f"{file.name}: {note}", expect, file
