"""Facts of image files: every format, damaged and hostile bytes, the perceptual hash."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFile

from biomedica_assets.images import (
    DamagedImage,
    ImageError,
    ImageFacts,
    NotAnImage,
    TooManyPixels,
    media_type_of,
    probe,
)

LIMIT = 10_000_000


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def picture(width: int = 640, height: int = 480) -> Image.Image:
    """Something with shapes at several scales."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((width * 0.1, height * 0.1, width * 0.5, height * 0.8), fill="navy")
    draw.ellipse((width * 0.4, height * 0.3, width * 0.95, height * 0.9), fill="orange")
    draw.line((0, height, width, 0), fill="black", width=width // 40)
    return image


def step() -> Image.Image:
    """Left half black, right half white."""
    image = Image.new("L", (64, 64), 0)
    image.paste(255, (32, 0, 64, 64))
    return image


# Of a step only the odd horizontal frequencies differ from zero, with the signs - + - + (k = 1, 3, 5, 7), and the
# mean; the median of the 64 values is zero: bits 0, 3 and 7 of the first row.
STEP_HASH = "91" + "00" * 7


def distance(one: str | None, other: str | None) -> int:
    assert one and other
    return (int(one, 16) ^ int(other, 16)).bit_count()


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def failure(data: bytes, max_pixels: int = LIMIT) -> ImageError:
    with pytest.raises(ImageError) as caught:
        probe(data, max_pixels=max_pixels)
    assert caught.value.facts.bytes == len(data)
    assert caught.value.facts.md5 == hashlib.md5(data).hexdigest()
    assert caught.value.facts.sha256 == hashlib.sha256(data).hexdigest()
    assert caught.value.facts.perceptual_hash is None
    return caught.value


@pytest.mark.parametrize(
    ("kind", "mode", "media_type", "seen_mode"),
    [
        ("JPEG", "RGB", "image/jpeg", "RGB"),
        ("JPEG", "L", "image/jpeg", "L"),
        ("JPEG", "CMYK", "image/jpeg", "CMYK"),
        ("PNG", "RGB", "image/png", "RGB"),
        ("PNG", "1", "image/png", "1"),
        ("PNG", "P", "image/png", "P"),
        ("PNG", "RGBA", "image/png", "RGBA"),
        ("PNG", "LA", "image/png", "LA"),
        ("PNG", "I;16", "image/png", "I;16"),
        ("GIF", "P", "image/gif", "P"),
        ("TIFF", "RGB", "image/tiff", "RGB"),
        ("TIFF", "1", "image/tiff", "1"),
        ("TIFF", "F", "image/tiff", "F"),
        ("TIFF", "LAB", "image/tiff", "LAB"),
        ("WEBP", "RGB", "image/webp", "RGB"),
        ("BMP", "RGB", "image/bmp", "RGB"),
    ],
)
def test_formats_and_modes(kind: str, mode: str, media_type: str, seen_mode: str) -> None:
    image = Image.new(mode, (70, 40)) if mode == "LAB" else step().convert(mode).resize((70, 40))
    data = encode(image, kind)
    try:
        facts = probe(data, max_pixels=LIMIT)
    except DamagedImage as error:  # Pillow has no way from LAB to grey
        assert mode == "LAB"
        facts = error.facts
    assert (facts.media_type, facts.width, facts.height, facts.mode) == (media_type, 70, 40, seen_mode)
    assert facts.frames == 1
    assert facts.bytes == len(data)
    assert facts.md5 == hashlib.md5(data).hexdigest()
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert (facts.perceptual_hash is None) == (mode == "LAB")


def test_the_smallest_gif() -> None:
    """1 x 1, transparent: a blank sheet of paper."""
    data = bytes.fromhex("47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b")
    assert probe(data, max_pixels=1) == ImageFacts(
        "image/gif",
        1,
        1,
        "P",
        1,
        len(data),
        "325472601571f31e1bf00674c368d335",
        hashlib.sha256(data).hexdigest(),
        "8000000000000000",
    )


def test_a_verified_md5_is_taken_over() -> None:
    assert probe(encode(step(), "PNG"), max_pixels=LIMIT, md5="0" * 32).md5 == "0" * 32


@pytest.mark.parametrize(("kind", "count"), [("GIF", 3), ("TIFF", 3), ("WEBP", 3), ("PNG", 3)])
def test_frames_are_counted(kind: str, count: int) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert probe(data, max_pixels=LIMIT).frames == count


# --- perceptual hash ---


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_hash_of_a_step(mode: str) -> None:
    assert probe(encode(step().convert(mode), "PNG"), max_pixels=LIMIT).perceptual_hash == STEP_HASH


def test_hash_of_a_step_in_deep_grey() -> None:
    deep = np.where(np.asarray(step()) > 0, 900, 300)
    for image in (
        Image.fromarray(deep.astype(np.uint16)),
        Image.fromarray(deep.astype(np.int32)),
        Image.fromarray(deep.astype(np.float32)),
    ):
        assert probe(encode(image, "TIFF"), max_pixels=LIMIT).perceptual_hash == STEP_HASH
    not_numbers = deep.astype(np.float32)
    not_numbers[:, 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert probe(encode(Image.fromarray(not_numbers), "TIFF"), max_pixels=LIMIT).perceptual_hash


def test_transparent_pixels_are_paper() -> None:
    drawn = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    drawn.paste((0, 0, 0, 255), (0, 0, 32, 64))
    assert probe(encode(drawn, "PNG"), max_pixels=LIMIT).perceptual_hash == STEP_HASH
    palette = Image.new("P", (64, 64), 1)
    palette.putpalette([0, 0, 0, 0, 0, 0])
    palette.paste(0, (0, 0, 32, 64))
    assert probe(encode(palette, "GIF", transparency=1), max_pixels=LIMIT).perceptual_hash == STEP_HASH


@pytest.mark.parametrize(
    ("colour", "expected"), [("white", "8" + "0" * 15), ("grey", "8" + "0" * 15), ("black", "0" * 16)]
)
def test_blank_pictures_have_no_noise_in_their_hash(colour: str, expected: str) -> None:
    for size in ((1, 1), (31, 77), (640, 480)):
        assert probe(encode(Image.new("RGB", size, colour), "PNG"), max_pixels=LIMIT).perceptual_hash == expected


def test_hash_survives_size_and_format() -> None:
    first = probe(encode(picture(), "PNG"), max_pixels=LIMIT).perceptual_hash
    for data in (
        encode(picture(), "JPEG", quality=60),
        encode(picture(), "JPEG", quality=60, progressive=True),
        encode(picture(2000, 1500), "JPEG"),
        encode(picture(320, 240), "WEBP"),
        encode(picture().convert("P"), "GIF"),
        encode(picture().convert("CMYK"), "JPEG"),
    ):
        assert distance(first, probe(data, max_pixels=LIMIT).perceptual_hash) <= 6


def test_hash_tells_pictures_apart() -> None:
    first = probe(encode(picture(), "JPEG"), max_pixels=LIMIT).perceptual_hash
    for other in (picture().rotate(180), picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT), step()):
        assert distance(first, probe(encode(other, "PNG"), max_pixels=LIMIT).perceptual_hash) >= 16


# --- bad bytes ---


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"<html><title>404 Not Found</title></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.4",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"BMxx, a text that begins with two letters",
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"II*\x00\xff\xff\xff\xff",
        b"RIFF\x10\0\0\0WEBPVP8L\0\0\0\0\0",
    ],
)
def test_what_is_not_an_image(data: bytes) -> None:
    error = failure(data)
    assert type(error) is NotAnImage
    assert error.facts.width is None
    assert error.facts.media_type == media_type_of(data)


def bombs() -> list[Any]:
    jpeg = bytearray(encode(picture(64, 64), "JPEG"))
    start = jpeg.index(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = struct.pack(">HH", 50_000, 50_000)
    gif = bytearray(encode(Image.new("P", (8, 8)), "GIF"))
    gif[6:10] = struct.pack("<HH", 50_000, 50_000)
    bmp = bytearray(encode(Image.new("RGB", (8, 8)), "BMP"))
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    tiff = bytearray(encode(Image.new("L", (8, 8)), "TIFF"))
    for tag in (256, 257):  # ImageWidth, ImageLength: one value of type LONG or SHORT
        at = max(tiff.find(struct.pack("<HHI", tag, kind, 1)) for kind in (3, 4))
        tiff[at : at + 12] = struct.pack("<HHII", tag, 4, 1, 50_000)
    return [
        pytest.param(png_header(50_000, 50_000), 50_000, id="png"),
        pytest.param(bytes(jpeg), 50_000, id="jpeg"),
        pytest.param(bytes(gif), 50_000, id="gif"),
        pytest.param(bytes(bmp), 50_000, id="bmp"),
        pytest.param(bytes(tiff), 50_000, id="tiff"),
        pytest.param(b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x4f\xc3\0\x4f\xc3\0", 50_000, id="webp-extended"),
        pytest.param(b"RIFF\x1e\0\0\0WEBPVP8L\x0a\0\0\0\x2f\xff\xff\xff\x0f\0\0\0\0\0", 16_384, id="webp-lossless"),
        pytest.param(b"RIFF\x1e\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f", 16_383, id="webp-lossy"),
    ]


@pytest.mark.parametrize(("data", "side"), bombs())
def test_bombs_are_not_decoded(data: bytes, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error = failure(data)
    assert type(error) is TooManyPixels
    assert (error.facts.width, error.facts.height) == (side, side)
    assert str(error) == f"{side} x {side} pixels, the limit is 10000000"


def test_the_limit_itself_is_allowed() -> None:
    data = encode(step(), "PNG")
    assert probe(data, max_pixels=64 * 64).width == 64
    assert type(failure(data, 64 * 64 - 1)) is TooManyPixels


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_files_cut_short(kind: str) -> None:
    data = encode(picture(), kind)
    cut = data[: len(data) // 2] if kind != "TIFF" else data[:-100]
    error = failure(cut)
    if kind != "TIFF":  # a TIFF may keep its directory at the end
        assert type(error) is DamagedImage
        assert (error.facts.width, error.facts.height) == (640, 480)
        assert str(error).startswith(f"image/{kind.lower()}")


def test_corrupt_pixels() -> None:
    data = bytearray(encode(picture(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    assert type(failure(bytes(data))) is DamagedImage


def test_pillow_stays_as_it_was() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    probe(encode(picture(), "JPEG"), max_pixels=LIMIT)
    failure(png_header(50_000, 50_000))
    failure(encode(picture(), "JPEG")[:5000])
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


_SEEDS = [encode(picture(48, 32), kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")]


@given(st.sampled_from(_SEEDS), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8), st.data())
def test_no_bytes_raise_anything_else(seed: bytes, changes: list[tuple[int, int]], data: st.DataObject) -> None:
    changed = bytearray(seed)
    for position, value in changes:
        changed[position % len(changed)] = value
    cut = bytes(changed[: data.draw(st.integers(0, len(changed)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow remarks on odd TIFF tags
        try:
            facts = probe(cut, max_pixels=LIMIT)
        except ImageError as error:
            facts = error.facts
    assert facts.bytes == len(cut)
