"""Contact sheets: small enough for a page, whatever the images are."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from biomedica_assets.images import contact_sheet


def noise(kind: str, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.effect_noise((900, 700), 90).convert(mode).save(out, kind)
    return out.getvalue()


def read(sheet: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(sheet))
    image.load()
    return image


def test_six_thumbnails_fit_into_an_event() -> None:
    images = [noise("JPEG"), noise("PNG"), noise("PNG", "LA"), noise("GIF", "P"), noise("TIFF", "1"), noise("WEBP")]
    sheet = contact_sheet(images, [f"Figure {n}. Survival of the mice" for n in range(6)])
    assert read(sheet).size == (6 * 96, 96 + 12)
    assert len(sheet) <= 14_000


def test_rows_and_columns() -> None:
    assert read(contact_sheet([noise("PNG")] * 5, [""] * 5, side=50, columns=2)).size == (100, 3 * 62)


def test_thumbnails_are_where_they_belong() -> None:
    def plain(colour: str, size: tuple[int, int]) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", size, colour).save(out, "PNG")
        return out.getvalue()

    sheet = read(contact_sheet([plain("red", (400, 400)), plain("blue", (400, 100))], ["", ""]))
    red, blue, paper = sheet.getpixel((48, 48)), sheet.getpixel((96 + 48, 48)), sheet.getpixel((96 + 48, 10))
    assert red[0] > 200 and red[2] < 60  # type: ignore[index]
    assert blue[2] > 200 and blue[0] < 60  # type: ignore[index]
    assert min(paper) > 240  # type: ignore[type-var, arg-type]


def test_bad_images_leave_an_empty_cell() -> None:
    sheet = read(contact_sheet([b"<html>", noise("JPEG")[:3000], noise("PNG")], ["Ω µm", "", "c"], max_pixels=10))
    assert sheet.size == (3 * 96, 108)
    assert sheet.convert("L").crop((0, 0, 3 * 96, 90)).getextrema()[0] > 240  # type: ignore[operator]


@pytest.mark.parametrize(("images", "captions"), [([], []), ([b""], [])])
def test_one_caption_per_image(images: list[bytes], captions: list[str]) -> None:
    with pytest.raises(ValueError, match="images"):
        contact_sheet(images, captions)
