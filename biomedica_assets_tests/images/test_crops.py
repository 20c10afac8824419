"""Crops: the very pixels of a box, in the source's kind of file, the same every time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from biomedica_assets.images.crops import crop, crop_media_type
from biomedica_assets.images.probe import DamagedImage, NotAnImage, TooManyPixels
from biomedica_assets_tests.panels.pages import file_of


@pytest.fixture
def image():
    """Each pixel of 8 x 6 says where it is: red is x, green is y."""
    y, x = np.mgrid[0:6, 0:8]
    return Image.fromarray(np.stack([x, y, x * 0], axis=-1).astype(np.uint8))


def opened(data):
    return Image.open(io.BytesIO(data))


def test_a_png_gives_the_pixels_of_the_box(image):
    cut = opened(crop(file_of(image), (2, 1, 3, 4)))
    assert (cut.format, cut.size) == ("PNG", (3, 4))
    assert cut.getpixel((0, 0)) == (2, 1, 0)
    assert cut.getpixel((2, 3)) == (4, 4, 0)


def test_what_lies_outside_is_left_out(image):
    cut = opened(crop(file_of(image), (6, 4, 10, 10)))
    assert cut.size == (2, 2)
    assert cut.getpixel((1, 1)) == (7, 5, 0)


def test_a_jpeg_gives_a_jpeg_and_always_the_same(image):
    data = file_of(image.resize((64, 48)), "JPEG")
    assert opened(crop(data, (0, 0, 32, 48))).format == "JPEG"
    assert crop(data, (0, 0, 32, 48)) == crop(data, (0, 0, 32, 48))
    assert crop_media_type("image/jpeg") == "image/jpeg"
    assert crop_media_type("image/tiff") == crop_media_type(None) == "image/png"


@pytest.mark.parametrize(
    ("mode", "kind", "result"),
    [("CMYK", "JPEG", "RGB"), ("L", "JPEG", "L"), ("P", "GIF", "P"), ("RGBA", "PNG", "RGBA"), ("F", "TIFF", "L"),
     ("I;16", "PNG", "I;16"), ("1", "TIFF", "1"), ("RGB", "WEBP", "RGB")],
)  # fmt: skip
def test_every_mode_can_be_cut(mode, kind, result):
    cut = opened(crop(file_of(Image.new(mode, (20, 20)), kind), (5, 5, 10, 10)))
    assert (cut.mode, cut.size) == (result, (10, 10))


def test_a_box_without_pixels_is_an_error(image):
    for box in ((8, 0, 2, 2), (0, 0, 0, 3), (-4, 0, 4, 4)):
        with pytest.raises(ValueError, match="holds no pixel"):
            crop(file_of(image), box)


def test_bad_images_are_typed_errors(image):
    with pytest.raises(NotAnImage):
        crop(b"no image", (0, 0, 1, 1))
    with pytest.raises(TooManyPixels):
        crop(file_of(image), (0, 0, 1, 1), max_pixels=47)
    data = file_of(image.resize((600, 400)), "JPEG")
    with pytest.raises(DamagedImage):
        crop(data[: len(data) - 400], (0, 0, 100, 50))
