"""Images decoded once: pixels of a folder of files, kept beside it as one checked file.

    >>> from pathlib import Path
    >>> from common.data.image_cache import decode_once
    >>> files = sorted(Path(root).rglob("*.png"))       # root: a folder of images of one size
    >>> images, digest = decode_once(files, Path(root) / "pixels")
    >>> images.dtype, images.shape[3]
    (dtype('uint8'), 3)

A cache is believed only if it was made from files of the same contents (their MD5s are compared,
which costs one reading) and if its own pixels still have the MD5 that was noted with them; else it
is made anew, under a temporary name, and put in its place whole. A folder that cannot be written
to has no cache.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from common.data.pixels import decode_bytes
from common.files.reading import damaged, md5, read

FORMAT = "1"


def decode_once(files: Sequence[Path], cache: Path) -> tuple[np.ndarray, str]:
    """Images of the files, uint8 (N, H, W, 3), and the MD5 of the MD5s of all files in order.

    Raises UserError naming the file that cannot be read or decoded, or differs in size from those
    before it.
    """
    kept = _kept(cache)
    if kept is not None:
        digest = _joined(list(_each(files, "checking", lambda path: md5(read(path)))))
        if digest == kept["files"] and (images := _pixels(cache, kept)) is not None:
            return images, digest
    images, digest = _decode(files)
    _keep(cache, images, digest)
    return images, digest


def _decode(files: Sequence[Path]) -> tuple[np.ndarray, str]:
    def one(path: Path) -> tuple[np.ndarray, str]:
        data = read(path)
        return decode_bytes(data, path), md5(data)

    images, digests = np.empty(0, np.uint8), []
    for index, (image, digest) in enumerate(_each(files, "decoding", one)):
        if index == 0:
            images = np.empty((len(files), *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            sides = "x".join(map(str, image.shape[:2]))
            raise damaged(files[index], f"is {sides}, unlike the images before it")
        images[index] = image
        digests.append(digest)
    return images, _joined(digests)


def _each(files: Sequence[Path], what: str, one: Callable[[Path], Any]) -> Iterator[Any]:
    """one(path) of every file in order, by several threads, with a progress bar."""
    from tqdm import tqdm

    # Pillow releases the interpreter lock while it decodes, and so does reading.
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield from tqdm(pool.map(one, files), what, len(files), leave=False, disable=None)
    finally:
        # After a damaged image nobody waits for the thousands behind it.
        pool.shutdown(cancel_futures=True)


def _joined(digests: list[str]) -> str:
    return md5("".join(digests).encode())


def _kept(cache: Path) -> dict[str, str] | None:
    """What a cache says of itself; None where there is none that can be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(cache, "np") as file:
            about = dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return None
    return about if about.keys() >= {"files", "pixels"} and about.get("format") == FORMAT else None


def _pixels(cache: Path, about: dict[str, str]) -> np.ndarray | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(cache, "np") as file:
            images = file.get_tensor("images")
    except (SafetensorError, OSError):
        return None
    return images if _digest(images) == about["pixels"] else None


def _keep(cache: Path, images: np.ndarray, digest: str) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    partial = cache.with_name(f"{cache.name}.{os.getpid()}.partial")
    about = {"format": FORMAT, "files": digest, "pixels": _digest(images)}
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_file({"images": images}, partial, about)
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, cache)
    except (OSError, SafetensorError):
        # A place that takes no file is no reason to stop: images are decoded again next time.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _digest(images: np.ndarray) -> str:
    return md5(images.reshape(-1).data)
