"""A panel as a file of its own, cut from the stored image when it is asked for: no crop is ever stored.

What does not belong here: where the panels are (the room `panels`), thumbnails of whole images.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image, JpegImagePlugin

from biomedica_assets.images.probe import UNREADABLE, DamagedImage, ImageFacts, open_image
from biomedica_assets.settings import MAX_PIXELS

QUALITY = 92
"""Of crops from JPEGs: they are encoded a second time, since a JPEG can be cut without only at its blocks."""

Box = tuple[int, int, int, int]
"""Left and upper edge, width and height, in pixels of the image as stored."""


def crop(data: bytes, box: Box, *, max_pixels: int = MAX_PIXELS) -> bytes:
    """One box of an image as a file: JPEG from a JPEG, PNG from all else; see `crop_media_type`.

    The same bytes and box give the same file as long as Pillow and its codecs are the same. Colour profile and chroma
    subsampling are those of the source; of several pages or frames the first is cut.

    Args:
        data: the image file.
        box: left and upper edge, width and height in pixels; what lies outside the image is left out.
        max_pixels: larger images are not decoded.

    Raises:
        ValueError: the box holds no pixel of the image.
        images.probe.ImageError: no image, too many pixels, or damaged.
    """
    return crops(data, [box], max_pixels=max_pixels)[0]


def crops(data: bytes, boxes: Sequence[Box], *, max_pixels: int = MAX_PIXELS) -> list[bytes]:
    """Several boxes of an image, which is decoded once; see `crop`."""
    image, facts = open_image(data, max_pixels=max_pixels)
    return [_crop(data, image, facts, box) for box in boxes]


def _crop(data: bytes, image: Image.Image, facts: ImageFacts, box: Box) -> bytes:
    x, y, width, height = box
    left, upper, right, lower = max(x, 0), max(y, 0), min(x + width, image.width), min(y + height, image.height)
    if left >= right or upper >= lower:
        raise ValueError(f"the box {box} holds no pixel of an image of {image.width} x {image.height}")
    if (left, upper, right, lower) == (0, 0, *image.size) and facts.media_type == crop_media_type(facts.media_type):
        return data  # nothing is cut off, so that nothing need be encoded again
    out = BytesIO()
    try:
        cut = image.crop((left, upper, right, lower))
        profile = image.info.get("icc_profile") if image.mode != "CMYK" else None
        if crop_media_type(facts.media_type) == "image/jpeg":
            sampling = JpegImagePlugin.get_sampling(image)
            cut = cut if cut.mode in ("L", "RGB") else cut.convert("RGB")
            cut.save(out, "JPEG", quality=QUALITY, subsampling=max(sampling, 0), icc_profile=profile)
        else:
            _for_png(cut).save(out, "PNG", icc_profile=profile)
    except UNREADABLE as error:
        raise DamagedImage(f"{facts.media_type}: {error or type(error).__name__}", facts) from error
    return out.getvalue()


def crop_media_type(media_type: str | None) -> str:
    """Media type of crops from images of a media type."""
    return "image/jpeg" if media_type == "image/jpeg" else "image/png"


def _for_png(image: Image.Image) -> Image.Image:
    """PNG holds all modes but floats, 32-bit integers and colours of print."""
    if image.mode in ("F", "I"):
        deep = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        low, high = deep.min(), deep.max()
        return Image.fromarray(np.rint((deep - low) * (255 / ((high - low) or 1))).astype(np.uint8))
    if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"):
        return image
    return image.convert("RGB")
