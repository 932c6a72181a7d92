"""Image files of every depth and sort, against Pillow's and torchvision's own reading."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data.pixels import decode
from common.errors import UserError

RANDOM = np.random.default_rng(11)
GREY = RANDOM.integers(0, 65536, (5, 7), np.uint16)
GREY[0, :4] = (0, 255, 256, 65535)


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "grey.ppm"])
def test_grey_of_16_bits_keeps_its_high_byte(tmp_path: Path, name: str):
    """Pillow's own conversion turns every value above 255 into white: a blank training set."""
    path = tmp_path / name
    if path.suffix == ".ppm":
        path.write_bytes(b"P5 7 5 65535\n" + GREY.astype(">u2").tobytes())
    else:
        Image.fromarray(GREY).save(path)
    pixels = decode(path)
    assert pixels.dtype == np.uint8 and pixels.shape == (5, 7, 3)
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], GREY >> 8)


def test_a_big_endian_tiff_has_the_same_pixels(tmp_path: Path):
    """Microscopes write them; bytes in the wrong order are noise."""
    path = tmp_path / "a.tif"
    Image.frombytes("I;16B", (7, 5), GREY.astype(">u2").tobytes()).save(path)
    np.testing.assert_array_equal(decode(path)[..., 1], GREY >> 8)


def test_colours_of_16_bits_keep_their_high_byte(tmp_path: Path):
    """The same scale for grey and for colours, or a mixed set has two."""
    import struct
    import zlib

    rgb = RANDOM.integers(0, 65536, (2, 3, 3), np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rgb)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
    )
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in (*chunks, (b"IEND", b"")):
        crc = struct.pack(">I", zlib.crc32(kind + body))
        data += struct.pack(">I", len(body)) + kind + body + crc
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), rgb >> 8)


REFUSED = {
    "floats": (Image.fromarray(np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)), {}, "float"),
    "wide": (Image.fromarray(GREY.astype(np.int32) * 9), {}, "integers of 32 bits"),
    "white is zero": (Image.fromarray(GREY), {262: 0}, "of which 0 is white"),
}


@pytest.mark.parametrize("sort", REFUSED)
def test_a_tiff_without_a_scale_is_refused_by_name(tmp_path: Path, sort: str):
    """Floats in [0, 1] become 0 everywhere, and negatives of photographs look like photographs."""
    image, tags, word = REFUSED[sort]
    path = tmp_path / "a.tiff"
    image.save(path, tiffinfo=tags)
    with Image.open(path) as written:
        kept = written.getexif()[262]
    if tags and kept != 0:  # Pillow writes its own: as a camera has it
        data = bytearray(path.read_bytes())
        at = data.index(b"\x06\x01\x03\x00\x01\x00\x00\x00")
        data[at + 8] = 0
        path.write_bytes(bytes(data))
    with pytest.raises(UserError, match=word) as caught:
        decode(path)
    assert str(caught.value).startswith(f"{path}: holds ")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_orientation_is_what_torchvisions_image_folder_makes_of_it(tmp_path, name, orientation):
    """Photographs turned here and not there are two data sets under one name."""
    folder = pytest.importorskip("torchvision.datasets.folder")
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(RANDOM.integers(0, 256, (12, 20, 3), np.uint8))
    picture.save(tmp_path / name, exif=exif)
    pixels = decode(tmp_path / name)
    np.testing.assert_array_equal(pixels, np.asarray(folder.default_loader(tmp_path / name)))
    if name != "a.tif":
        assert pixels.shape == (12, 20, 3)


def test_cut_outs_of_the_study_are_read_by_the_same_rules(tmp_path: Path):
    """A second reader of image files has the faults of the first one."""
    pytest.importorskip("torch")
    from s3net.interpretability.segmentation import red_mask

    mask = np.zeros((4, 4), np.uint16)
    mask[1, 1], mask[2, 2] = 65535, 200  # 200 of 65,535 is black in 8 bits
    Image.fromarray(mask).save(tmp_path / "a.png")
    result = red_mask(tmp_path / "a.png", 4)
    assert result[1, 1] and not result[2, 2]
