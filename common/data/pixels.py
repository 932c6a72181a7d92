"""From the bytes of an image file to uint8 pixels, or to an error that names the file.

Grey, palette, CMYK and transparent images become RGB as `PIL.Image.convert` makes them, which is
what torchvision's ImageFolder does. Two things differ from that or are worth knowing:

    16 bits a channel    become 8 by their high byte (v >> 8); Pillow alone would turn every grey
                         value above 255 into white. Integers of 32 bits, floating-point numbers
                         and the rarer sorts of TIFF have no such scale and are refused by name
    EXIF orientation     is not applied, as in torchvision: a photograph that a viewer turns upright
                         comes as it lies in the file (but Pillow itself turns TIFF images)
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.files.reading import damaged, read

if TYPE_CHECKING:
    from PIL import Image

BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
"""TIFF's tags of the bits a channel and of what 0 means, and the value of that for white."""
SCALED = ("PNG", "PPM")
"""Formats whose whole numbers end at 65,535 where Pillow calls them 32 bits wide."""


def decode(path: str | Path) -> np.ndarray:
    """The image as uint8 `(H, W, 3)`, grey repeated. Raises UserError naming the file."""
    return decode_bytes(read(path), path)


def decode_bytes(data: bytes, path: str | Path) -> np.ndarray:
    """As `decode`, from the bytes of the file; `path` is for the error."""
    return np.array(opened(data, path).convert("RGB"))


def opened(data: bytes, path: str | Path) -> "Image.Image":
    """The whole image, 8 bits a channel, alpha kept. Raises UserError naming the file."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            unclear = _unclear(image)
            image.load()
            if unclear is None and image.mode.startswith("I"):
                return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if unclear is None:
                return image.copy()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        # Pillow's own text names a memory address instead of the file.
        why = "truncated" if "truncated" in str(error).lower() else type(error).__name__
        raise damaged(path, f"does not decode as an image ({why})") from error
    raise damaged(path, f"holds {unclear}, which have no scale of 8 bits: convert it first")


def _unclear(image: "Image.Image") -> str | None:
    """What the pixels are, where it is not said how they become 8 bits."""
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        return "floating-point numbers"
    if image.mode == "I" and image.format not in SCALED:
        return "integers of 32 bits or with a sign"
    if image.mode.startswith("I;16") and tags:
        if tuple(tags.get(BITS, (16,))) != (16,):
            return f"integers of {tags[BITS][0]} bits"
        if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            return "integers of 16 bits of which 0 is white"
    return None
