"""Pages drawn by hand: filled boxes and letters at known places."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK = (60, 60, 60)


def drawn(size, boxes=(), letters=(), paper="white", ink=INK, height=24):
    """A picture with filled boxes (x0, y0, x1, y1; half-open) and letters (text, x, y)."""
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    for x0, y0, x1, y1 in boxes:
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=ink)
    for text, x, y in letters:
        draw.text((x, y), text, "white" if paper == "black" else "black", ImageFont.load_default(height))
    return image


def file_of(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def pixels(image):
    return np.asarray(image)
