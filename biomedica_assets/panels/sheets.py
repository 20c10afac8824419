"""Images with the boxes and letters of their panels drawn in, and sheets of many, for people to look at.

What does not belong here: finding panels; contact sheets of clusters (`labels.sheets`).
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from biomedica_assets.images.sheet import contact_sheet, thumbnail
from biomedica_assets.panels.finding import Panel
from biomedica_assets.settings import MAX_PIXELS

COLOURS = ("#d81b60", "#1e88e5", "#e08e00", "#00897b", "#8e24aa", "#43a047")
LEAST_SIDE = 64
"""Smaller cells, in pixels, show nothing."""


def outlined(data: bytes, panels: Sequence[Panel], size: tuple[int, int], side: int = 240) -> Image.Image | None:
    """A thumbnail with its panels outlined; null when the image cannot be decoded.

    Args:
        data: the image file.
        panels: of this image.
        size: width and height of the image as stored.
        side: of the thumbnail's longer side at most, in pixels.
    """
    small = thumbnail(data, side, MAX_PIXELS)
    if small is None:
        return None
    draw = ImageDraw.Draw(small)
    across, down = small.width / size[0], small.height / size[1]
    for number, panel in enumerate(panels):
        x, y, width, height = panel.box
        colour = COLOURS[number % len(COLOURS)]
        corners = (x * across, y * down, (x + width) * across - 1, (y + height) * down - 1)
        draw.rectangle(corners, outline=colour, width=2)
        mark = (panel.letter or "") + {"order": "?", "file": "*"}.get(panel.letter_source or "", "")
        if mark:
            box = draw.textbbox((corners[0] + 4, corners[1] + 3), mark)
            draw.rectangle((box[0] - 2, box[1] - 1, box[2] + 2, box[3] + 1), fill=colour)
            draw.text((corners[0] + 4, corners[1] + 3), mark, "white")
    return small


def panel_sheet(
    images: Sequence[tuple[bytes, Sequence[Panel], tuple[int, int], str]],
    *,
    side: int = 160,
    columns: int = 5,
    max_bytes: int = 14_000,
) -> bytes:
    """JPEG of outlined thumbnails; "?" behind letters that were told by order, "*" behind those of whole files.

    Args:
        images: of each the file, its panels, its size as stored and what is written below it.
        side: of a cell in pixels.
        columns: cells per row.
        max_bytes: quality, then size are lowered until the sheet fits (14,000 bytes are 18,700 as a data URI).

    Raises:
        ValueError: no images.
    """
    words = [words for *_, words in images]
    while True:
        cells = [outlined(data, panels, size, side - 2) for data, panels, size, _ in images]
        sheet = contact_sheet(cells, words, side=side, columns=columns, max_bytes=max_bytes)
        if len(sheet) <= max_bytes or side <= LEAST_SIDE:
            return sheet
        side = side * 3 // 4
