"""MNIST and Fashion-MNIST: four IDX files in `ROOT/<folder>/raw`, as they are or gzipped.

An IDX file is a big-endian header (two zero bytes, a type code, the number of dimensions, then
each size as uint32) followed by the values; here the type is always 8, unsigned byte.
"""

import gzip
import math
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.data.download import Remote, fetch
from common.files.reading import (
    Arrays,
    Contents,
    checked_labels,
    damaged,
    differs,
    md5,
    missing,
    read,
)

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)

SHAPES = ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,))
"""Of the published sets, both, in the order of FILES: what has another shape is a set of your own
and is taken; what has this shape has the published contents, or a flipped bit."""


@dataclass(frozen=True)
class Layout:
    """Where one of the sets lies, who has it, and two MD5s of each file in the order of FILES: of
    the published `.gz` and of what is in it."""

    folder: str
    hosts: tuple[str, ...]
    md5: tuple[str, ...]
    unpacked: tuple[str, ...]
    classes: tuple[str, ...]

    def remote(self, name: str) -> Remote:
        """The published gzip file of the IDX file `name`."""
        urls = tuple(f"{host}/{name}.gz" for host in self.hosts)
        return Remote(f"{self.folder}/raw/{name}.gz", self.md5[FILES.index(name)], urls)


MNIST = Layout(
    "MNIST",
    hosts=(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
        "http://yann.lecun.com/exdb/mnist",
    ),
    md5=(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    unpacked=(
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    classes=tuple("0123456789"),
)

FASHION_MNIST = Layout(
    "FashionMNIST",
    hosts=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",),
    md5=(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    unpacked=(
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
    classes=tuple(
        "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")
    ),
)

LAYOUTS = {"mnist": MNIST, "fashion_mnist": FASHION_MNIST}


def load(name: str, root: Path, download: bool) -> Contents:
    """Both halves of the set; what is missing is downloaded first.

    Raises UserError when a file is missing (and `download` is false or fails), is damaged, or has
    a published file's shape and other contents.
    """
    layout = LAYOUTS[name]
    paths = locate(layout, root, download)
    # Reading, unpacking and hashing all release the interpreter lock.
    with ThreadPoolExecutor(len(FILES)) as pool:
        arrays, digests, contents = zip(*pool.map(read_idx, paths), strict=True)
    unverified = []
    for path, array, actual, known, shape in zip(
        paths, arrays, contents, layout.unpacked, SHAPES, strict=True
    ):
        if actual != known and array.shape == shape:
            raise differs(path, actual, known)
        if actual != known:
            unverified.append(path.name)
    halves: list[Arrays] = []
    for at in (0, 2):
        images, labels = arrays[at : at + 2]
        if images.ndim != 3:
            raise damaged(paths[at], "holds labels instead of images")
        labels = checked_labels(paths[at + 1], labels, len(images), len(layout.classes))
        halves.append((images[..., None], labels))
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise damaged(paths[2], f"images are {arrays[2].shape[1:]}, not {arrays[0].shape[1:]}")
    checksums = {path.name: digest for path, digest in zip(paths, digests, strict=True)}
    folder = root / layout.folder
    return Contents(halves[0], halves[1], layout.classes, checksums, tuple(unverified), folder)


def locate(layout: Layout, root: Path, download: bool) -> list[Path]:
    """The paths of the four files in the order of `FILES`, each raw if there, else gzipped."""
    folder = root / layout.folder / "raw"
    choices = {name: (folder / name, folder / f"{name}.gz") for name in FILES}
    absent = [name for name in FILES if not any(path.is_file() for path in choices[name])]
    if absent and not download:
        raise missing(layout.folder, [p for name in absent for p in choices[name]])
    for name in absent:
        fetch(layout.remote(name), root)
    return [next(p for p in choices[name] if p.is_file()) for name in FILES]


def read_idx(path: Path) -> tuple[np.ndarray, str, str]:
    """The uint8 array in an IDX file, the MD5 of the file, and that of what is in it where it is
    gzipped (else the same). Raises UserError naming the file."""
    data = read(path)
    digest = unpacked = md5(data)
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise damaged(path, f"truncated or not gzip ({error})") from error
        unpacked = md5(data)
    if len(data) < 4:
        raise damaged(path, f"truncated: {len(data)} bytes")
    zeros, kind, rank = struct.unpack(">HBB", data[:4])
    if zeros != 0 or kind != 8 or rank not in (1, 3):
        raise damaged(path, f"not an IDX file of unsigned bytes (magic 0x{data[:4].hex()})")
    start = 4 + 4 * rank
    if len(data) < start:
        raise damaged(path, f"truncated: {len(data)} bytes")
    shape = struct.unpack(f">{rank}I", data[4:start])
    expected = start + math.prod(shape)
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "too long"
        raise damaged(path, f"{what}: {len(data)} bytes where its header says {expected}")
    # A copy, because arrays over `bytes` are read-only and frameworks warn about those.
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy(), digest, unpacked
