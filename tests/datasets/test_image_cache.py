"""Pixels decoded once: when a cache is believed, and when it is not."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import common.data.image_cache
from common.data.image_cache import decode_once
from common.errors import UserError


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Five photographs of noise."""
    random, made = np.random.RandomState(0), []
    for i in range(5):
        made.append(tmp_path / "images" / f"{i}.png")
        made[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(random.randint(0, 255, (6, 7, 3), np.uint8)).save(made[-1])
    return made


@pytest.fixture
def decodings(monkeypatch) -> list[Path]:
    """Files that were decoded so far."""
    seen: list[Path] = []
    true = common.data.image_cache.decode_bytes

    def decode(data: bytes, path: Path) -> np.ndarray:
        seen.append(path)
        return true(data, path)

    monkeypatch.setattr(common.data.image_cache, "decode_bytes", decode)
    return seen


def test_a_second_look_decodes_nothing_and_sees_the_same(tmp_path, files, decodings):
    """A cache that is never used, or holds other pixels than the files."""
    cache = tmp_path / "c" / "train.safetensors"
    first, digest = decode_once(files, cache)
    assert len(decodings) == 5 and [p.name for p in cache.parent.iterdir()] == [cache.name]
    again, same = decode_once(files, cache)
    assert len(decodings) == 5 and same == digest
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(again[3], np.asarray(Image.open(files[3])))


def test_another_picture_of_the_same_size_is_seen(tmp_path, files, decodings):
    """Training on pictures that somebody has replaced since."""
    cache = tmp_path / "train.safetensors"
    _, digest = decode_once(files, cache)
    Image.fromarray(np.full((6, 7, 3), 9, np.uint8)).save(files[2])
    images, other = decode_once(files, cache)
    assert (images[2] == 9).all() and other != digest and len(decodings) == 10
    assert decode_once(files[::-1], cache)[0][2].max() == 9 and len(decodings) == 15


@pytest.mark.parametrize("spoil", ["cut", "flip", "nonsense"])
def test_a_damaged_cache_is_made_anew(tmp_path, files, decodings, spoil):
    """A power cut while it was written, or a bit that fell over on the disk."""
    cache = tmp_path / "train.safetensors"
    whole, _ = decode_once(files, cache)
    data = bytearray(cache.read_bytes())
    data[-1] ^= 1
    cache.write_bytes({"cut": bytes(data[:-40]), "flip": bytes(data), "nonsense": b"x"}[spoil])
    images, _ = decode_once(files, cache)
    np.testing.assert_array_equal(images, whole)
    assert len(decodings) == 10
    decode_once(files, cache)
    assert len(decodings) == 10


def test_a_folder_that_takes_no_file_is_done_without(tmp_path, files, decodings):
    """Read-only data folders are common on clusters."""
    (tmp_path / "c").write_text("a file where the folder should be")
    for times in (1, 2):
        images, _ = decode_once(files, tmp_path / "c" / "train.safetensors")
        assert len(images) == 5 and len(decodings) == 5 * times


def test_a_picture_of_another_size_or_none_is_named(tmp_path, files):
    """A thousand files and no word which one it was; and no cache of half of them."""
    Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(files[4])
    with pytest.raises(UserError, match="4.png: is 3x3, unlike"):
        decode_once(files, tmp_path / "a")
    files[4].write_bytes(b"none")
    with pytest.raises(UserError, match="4.png: does not decode"):
        decode_once(files, tmp_path / "a")
    assert not (tmp_path / "a").exists()
