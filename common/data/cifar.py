"""CIFAR-10 and CIFAR-100: Python pickles, opened only once their MD5 is the published one.

A pickle is a program. The MD5 is compared first, on the very bytes that are then unpickled, and
the unpickler knows only what an array of bytes needs.
"""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.data.download import Remote, fetch_folder
from common.files.reading import Arrays, Contents, checked_labels, damaged, md5, read


@dataclass(frozen=True)
class Layout:
    """Where one of the sets lies, the MD5 of each of its files, and the keys that it uses."""

    folder: str
    archive: Remote
    train: Mapping[str, str]
    test: Mapping[str, str]
    meta: Mapping[str, str]
    labels: str
    names: str

    @property
    def files(self) -> dict[str, str]:
        return {**self.train, **self.test, **self.meta}


CIFAR10 = Layout(
    folder="cifar-10-batches-py",
    archive=Remote(
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    ),
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
    labels="labels",
    names="label_names",
)

CIFAR100 = Layout(
    folder="cifar-100-python",
    archive=Remote(
        "cifar-100-python.tar.gz",
        "eb9058c3a382ffc7106e4002c42a8d85",
        ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
    ),
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
    labels="fine_labels",
    names="fine_label_names",
)


LAYOUTS = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def load(name: str, root: Path, download: bool) -> Contents:
    """Both halves of the set; the archive is downloaded first where the folder is missing.

    Raises UserError when a file is missing, has another MD5, or holds something else.
    """
    layout = LAYOUTS[name]
    folder = fetch_folder(layout.archive, root, layout.folder, download)
    absent = [file for file in layout.files if not (folder / file).is_file()]
    if absent:
        # The folder is somebody's: it is never completed or replaced behind their back.
        why = f"lacks {', '.join(absent)}: move it away to have the set downloaded"
        raise damaged(folder, why)
    (meta,) = layout.meta
    names = unpickle(folder / meta, layout.meta[meta]).get(layout.names)
    if not isinstance(names, list) or not names:
        raise damaged(folder / meta, f"holds no {layout.names}")
    classes = tuple(n.decode() if isinstance(n, bytes) else str(n) for n in names)
    train = batches(layout, folder, layout.train, len(classes))
    test = batches(layout, folder, layout.test, len(classes))
    # No file is read whose MD5 is not the published one.
    return Contents(train, test, classes, layout.files, (), folder)


def batches(layout: Layout, folder: Path, files: Mapping[str, str], classes: int) -> Arrays:
    """The batch files one after the other, planes `(3, 32, 32)` turned into `(32, 32, 3)`."""
    planes, labels = [], []
    for name, checksum in files.items():
        path = folder / name
        batch = unpickle(path, checksum)
        pixels, marks = batch.get("data"), batch.get(layout.labels)
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != 3072:
            raise damaged(path, "holds no data of 3072 bytes an image")
        if not isinstance(marks, list) or not all(type(mark) is int for mark in marks):
            raise damaged(path, f"holds no {layout.labels}, whole numbers in a list")
        labels.append(checked_labels(path, np.asarray(marks), len(pixels), classes))
        planes.append(pixels.reshape(-1, 3, 32, 32))
    images = np.concatenate(planes).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.concatenate(labels)


def unpickle(path: Path, checksum: str) -> dict[str, Any]:
    """The dictionary in a batch file, its keys as text.

    Raises UserError when the file's MD5 is not `checksum`, and then has unpickled nothing.
    """
    data = read(path)
    actual = md5(data)
    if actual != checksum:
        raise damaged(path, f"MD5 is {actual}, not the published {checksum}: truncated or changed")
    try:
        # The originals are Python 2 pickles: their strings are bytes.
        batch = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a broken pickle may raise anything
        raise damaged(path, f"is no CIFAR pickle ({error})") from error
    if not isinstance(batch, dict):
        raise damaged(path, "is no CIFAR pickle (no dictionary)")
    return {k.decode("latin1") if isinstance(k, bytes) else str(k): v for k, v in batch.items()}


def _byte_type(code: str | bytes, *_: object) -> np.dtype:
    # The flags that follow the code are integers in these files, which numpy 2.4 warns about.
    if code not in ("u1", b"u1"):
        raise pickle.UnpicklingError(f"array of {code!r}")
    return np.dtype(np.uint8)


def _empty_array(*_: object) -> np.ndarray:
    return np.ndarray((0,), np.uint8)


def _latin1(text: str, *_: object) -> bytes:
    # How Python 3 writes bytes in the older pickle protocols.
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """Builds plain containers and arrays of unsigned bytes, and refuses every other name."""

    known = {
        "numpy.ndarray": np.ndarray,
        "numpy.dtype": _byte_type,
        "numpy.core.multiarray._reconstruct": _empty_array,
        "numpy._core.multiarray._reconstruct": _empty_array,
        "_codecs.encode": _latin1,
    }

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in self.known:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in it")
        return self.known[f"{module}.{name}"]
