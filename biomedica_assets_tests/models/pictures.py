"""Small pictures as files."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(seed: int, width: int = 60, height: int = 40, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return saved(Image.fromarray(pixels), kind)


def plain(colour, width: int = 60, height: int = 40, mode: str = "RGB", kind: str = "PNG") -> bytes:
    return saved(Image.new(mode, (width, height), colour), kind)
