"""A contact sheet: small captioned thumbnails in one JPEG, for previews that must fit into a page or an event."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from biomedica_assets.images.probe import UNREADABLE, ImageError, open_image
from biomedica_assets.settings import MAX_PIXELS

_LINE = 12
"""Height in pixels of the caption line: Pillow's built-in bitmap font."""


def contact_sheet(
    images: Sequence[bytes | Image.Image | None],
    captions: Sequence[str],
    *,
    side: int = 96,
    columns: int = 6,
    max_bytes: int = 14_000,
    max_pixels: int = MAX_PIXELS,
) -> bytes:
    """JPEG of thumbnails on a white grid, each with the beginning of its caption below it.

    Args:
        images: whole image files, or thumbnails made by `thumbnail` before; what cannot be shown, and null, leaves an
            empty, captioned cell.
        captions: one per image; characters outside Latin-1 become "?".
        side: edge of a thumbnail in pixels.
        columns: thumbnails per row.
        max_bytes: quality is lowered until the file fits (14,000 bytes are 18,700 as a data URI); at the lowest
            quality the sheet is returned as it is.
        max_pixels: images of more pixels are not decoded.

    Raises:
        ValueError: no images, or not one caption per image.
    """
    if not images or len(images) != len(captions):
        raise ValueError(f"{len(images)} images, {len(captions)} captions")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + _LINE)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default_imagefont()
    for position, (data, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = position % columns * side, position // columns * (side + _LINE)
        small = thumbnail(data, side - 2, max_pixels) if isinstance(data, bytes) else data
        if small is not None:
            sheet.paste(small, (left + (side - small.width) // 2, top + (side - small.height) // 2))
        words = " ".join(caption.split()).encode("latin-1", "replace").decode("latin-1")
        while words and draw.textlength(words, font=font) > side - 4:
            words = words[:-1]
        draw.text((left + 2, top + side), words, fill="black", font=font)
    for quality in (60, 45, 30, 20, 10):
        out = BytesIO()
        sheet.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= max_bytes:
            break
    return out.getvalue()


def thumbnail(data: bytes, side: int, max_pixels: int) -> Image.Image | None:
    """The picture within ``side`` by ``side`` pixels on white, aspect kept; null when it cannot be decoded."""
    try:
        image, _ = open_image(data, max_pixels=max_pixels)
        image.draft("RGB", (2 * side, 2 * side))
        small: Image.Image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        small.thumbnail((side, side))
    except (ImageError, *UNREADABLE):
        return None
    if small.mode == "RGB":
        return small
    return Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")
