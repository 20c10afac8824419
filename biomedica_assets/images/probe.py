"""Facts of one image file from its bytes: type, size, colour mode, checksums, perceptual hash.

What is stated by the header is reported even when the pixels cannot be had; why they cannot is the error.
Formats are opened by their own Pillow class, chosen by magic bytes: no other decoder ever sees the bytes, and
Pillow's process-wide limits (`MAX_IMAGE_PIXELS`, `LOAD_TRUNCATED_IMAGES`) are neither needed nor touched.
What does not belong here: names, extensions in file names, articles (see `matching`).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/gif": "gif",
    "image/tiff": "tif",
    "image/webp": "webp",
    "image/bmp": "bmp",
}
"""Canonical lower-case file extension by media type; a type that is not here is not an image we store."""

_OPENERS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "image/jpeg": JpegImageFile,
    "image/png": PngImageFile,
    "image/gif": GifImageFile,
    "image/tiff": TiffImageFile,
    "image/webp": WebPImageFile,
    "image/bmp": BmpImageFile,
}
_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),  # BigTIFF
    (b"MM\x00+", "image/tiff"),
)
# What Pillow's readers raise on bad bytes; a MemoryError can only come from a header that lies about sizes.
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, LookupError, EOFError, ArithmeticError, TypeError, AttributeError)
UNREADABLE = (*_PILLOW_ERRORS, struct.error, zlib.error, MemoryError, Image.DecompressionBombError)
"""What opening or decoding bad bytes may raise."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of one image file; null where the bytes do not tell.

    ``width`` and ``height`` in pixels, ``bytes`` the file's size, ``mode`` Pillow's name of the colour mode,
    ``frames`` the number of pages or animation frames, ``perceptual_hash`` 16 hex digits.
    """

    media_type: str | None
    width: int | None
    height: int | None
    mode: str | None
    frames: int | None
    bytes: int
    md5: str
    sha256: str
    perceptual_hash: str | None


class ImageError(ValueError):
    """The bytes are not, or not wholly, an image we can read. ``facts`` holds what is known all the same."""

    def __init__(self, message: str, facts: ImageFacts) -> None:
        super().__init__(message)
        self.facts = facts


class NotAnImage(ImageError):  # noqa: N818 - reads as what it says in the failures table
    """No format we know, or a header that cannot be read."""


class TooManyPixels(ImageError):  # noqa: N818
    """The header states more pixels than the limit; nothing was decoded."""


class DamagedImage(ImageError):  # noqa: N818
    """The header reads, the pixels do not: cut short or corrupt."""


def media_type_of(data: bytes) -> str | None:
    """Media type by magic bytes; null when it is none of the formats in `EXTENSIONS`."""
    for magic, media_type in _MAGIC:
        if data.startswith(magic):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    # Two letters are no proof: BMP also states the size of its header, 12 to 124 bytes.
    if (
        data[:2] == b"BM"
        and len(data) >= 18
        and data[14] in (12, 40, 52, 56, 64, 108, 124)
        and data[15:18] == b"\0\0\0"
    ):
        return "image/bmp"
    return None


def probe(data: bytes, *, max_pixels: int, md5: str | None = None) -> ImageFacts:
    """Read an image's facts without changing a byte of it.

    Args:
        data: the whole file.
        max_pixels: width x height above which nothing is decoded (decompression bombs).
        md5: the MD5 of ``data`` when the caller has just verified it, to spare a second pass.

    Raises:
        NotAnImage, TooManyPixels, DamagedImage: `ImageError.facts` then holds size, checksums and whatever the
            header told; the caller may keep the bytes with these and record the error.
    """
    image, facts = open_image(data, max_pixels=max_pixels, md5=md5)
    try:
        facts = replace(facts, frames=getattr(image, "n_frames", 1))
        return replace(facts, perceptual_hash=perceptual_hash(image))
    except UNREADABLE as error:
        raise DamagedImage(f"{facts.media_type}: {_words(error)}", facts) from error


def open_image(data: bytes, *, max_pixels: int, md5: str | None = None) -> tuple[ImageFile.ImageFile, ImageFacts]:
    """The image, pixels not yet decoded (that may raise `UNREADABLE`), and its facts without frames and hash.

    Raises:
        NotAnImage, TooManyPixels, DamagedImage: as for `probe`.
    """
    media_type = media_type_of(data)
    digest = md5 or hashlib.md5(data, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(data).hexdigest()
    facts = ImageFacts(media_type, None, None, None, None, len(data), digest, sha256, None)
    if media_type is None:
        raise NotAnImage(f"unknown format, first bytes {data[:8]!r}", facts)
    if size := _stated_size(data, media_type):
        # Before Pillow opens the file, since for WebP that allocates the whole canvas.
        facts = replace(facts, width=size[0], height=size[1])
        _check_pixels(facts, max_pixels)
    try:
        image = _OPENERS[media_type](BytesIO(data))
    except UNREADABLE as error:
        kind = DamagedImage if size else NotAnImage
        raise kind(f"{media_type} header: {_words(error)}", facts) from error
    facts = replace(facts, width=image.width, height=image.height, mode=image.mode)
    _check_pixels(facts, max_pixels)
    return image, facts


def _check_pixels(facts: ImageFacts, max_pixels: int) -> None:
    if (facts.width or 0) * (facts.height or 0) > max_pixels:
        raise TooManyPixels(f"{facts.width} x {facts.height} pixels, the limit is {max_pixels}", facts)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _stated_size(data: bytes, media_type: str) -> tuple[int, int] | None:
    """Size from the first bytes of a PNG (IHDR) or WebP file (RFC 9649, sections 2.5 to 2.7); null for all others."""
    if len(data) < 30:
        return None
    if media_type == "image/png":
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if media_type != "image/webp":
        return None
    kind, head = data[12:16], data[20:30]
    if kind == b"VP8X":  # 24-bit width - 1 and height - 1
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if kind == b"VP8L":  # 14 bits each behind a signature byte
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":  # frame tag and start code, then 14 bits each
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    return None


_HASH_SIDE, _LUMA_SIDE = 8, 32
# Type-II DCT basis of the 8 lowest frequencies over 32 samples, as integers: sums are then exact and the same on
# every machine, and a blank picture has frequencies of exactly zero instead of rounding noise of either sign.
_BASIS = np.rint(
    np.cos(np.pi / (2 * _LUMA_SIDE) * np.outer(np.arange(_HASH_SIDE), 2 * np.arange(_LUMA_SIDE) + 1)) * (1 << 20)
).astype(np.int64)


def perceptual_hash(image: Image.Image) -> str:
    """64-bit DCT hash of a picture: 32 x 32 luma, 8 x 8 lowest frequencies, a bit for each above the median.

    Same definition and bit order as `phash` of the ImageHash package, so distances mean the same. Not that package:
    its floating-point sums give blank regions bits of rounding noise, it draws transparency as black, and it brings
    SciPy and PyWavelets (150 MB) for these few lines; the cost, decoding, is the same.
    JPEGs are decoded at up to one eighth of their size, which the DCT coefficients give for free.
    Transparent pixels count as white: figures are drawn on paper.

    Raises: whatever Pillow raises on damaged pixels.
    """
    image.draft("L", (2 * _LUMA_SIDE, 2 * _LUMA_SIDE))
    low = _BASIS @ np.rint(_luma(image)).astype(np.int64) @ _BASIS.T
    middle = np.sort(low, axis=None)[_HASH_SIDE * _HASH_SIDE // 2 - 1 :][:2]
    return np.packbits(2 * low > middle.sum()).tobytes().hex()


def _luma(image: Image.Image) -> np.ndarray:
    """32 x 32 brightness, 0 to 255."""
    if image.mode[0] in "IF":  # 16 and 32 bits a sample, as microscopes write them: stretch to 8
        deep = np.nan_to_num(_small(image), posinf=0, neginf=0)
        low, high = deep.min(), deep.max()
        return (deep - low) * (255 / ((high - low) or 1))
    if not image.has_transparency_data:
        return _small(image.convert("L"))
    # Brightness weighted by opacity, and white for the rest; band by band, since whole RGBA copies cost memory.
    image = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    opacity = image.getchannel("A")
    return _small(ImageChops.multiply(image.convert("L"), opacity)) + 255 - _small(opacity)


def _small(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((_LUMA_SIDE, _LUMA_SIDE), Image.Resampling.BOX), dtype=np.float64)
