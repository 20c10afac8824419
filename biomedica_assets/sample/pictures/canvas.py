"""Drawing tools shared by all picture kinds: smooth noise, colour maps, a supersampled canvas, text.

Only numpy and Pillow, no font but Pillow's built-in one. A generator is always handed in: same seed, same pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Array = NDArray[np.float64]
Colour = tuple[int, int, int]
Point = tuple[float, float]
Shape = Sequence[Point] | tuple[str, tuple[float, float, float, float]]
"""A polygon, or ("ellipse", (x0, y0, x1, y1)), in pixels."""

PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189)),
    ((0, 73, 104), (205, 92, 62), (122, 153, 84), (234, 178, 72), (110, 110, 120)),
    ((20, 20, 20), (120, 120, 120), (180, 180, 180), (60, 60, 60), (210, 210, 210)),
    ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233)),
)

COLOUR_MAPS: dict[str, tuple[Colour, ...]] = {
    "viridis": ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)),
    "hot": ((0, 0, 0), (140, 0, 0), (230, 90, 0), (255, 210, 60), (255, 255, 240)),
    "diverging": ((33, 60, 150), (130, 170, 220), (245, 245, 245), (230, 140, 110), (170, 20, 40)),
    "grey": ((0, 0, 0), (255, 255, 255)),
    "jet": ((0, 0, 140), (0, 120, 255), (90, 255, 160), (255, 200, 0), (150, 0, 0)),
}


def generator(*parts: object) -> np.random.Generator:
    """A generator seeded by the text of ``parts`` (never by hash(), which changes from process to process)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font at a size in pixels."""
    return ImageFont.load_default(size)


def smooth(rng: np.random.Generator, height: int, width: int, cell: float) -> Array:
    """Smooth noise in 0..1, shape (height, width); features are about ``cell`` pixels wide."""
    rows, columns = max(2, round(height / cell) + 1), max(2, round(width / cell) + 1)
    coarse = Image.fromarray((rng.random((rows, columns)) * 255).astype(np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64) / 255


def fractal(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 4) -> Array:
    """Noise of several scales in 0..1, shape (height, width)."""
    total = sum(smooth(rng, height, width, max(cell / 2**k, 1.5)) / 2**k for k in range(octaves))
    low, high = np.min(total), np.max(total)
    scaled: Array = (total - low) / (high - low + 1e-9)
    return scaled


def grid(height: int, width: int) -> tuple[Array, Array]:
    """(y, x) in -1..1 over the picture's own extent, each of shape (height, width)."""
    y, x = np.mgrid[0:height, 0:width]
    return 2 * y / max(height - 1, 1) - 1, 2 * x / max(width - 1, 1) - 1


def colourise(values: Array, name: str | Sequence[Colour]) -> Image.Image:
    """Values in 0..1 through a colour map to RGB."""
    stops = np.array(COLOUR_MAPS[name] if isinstance(name, str) else name, dtype=np.float64)
    at = np.clip(values, 0, 1) * (len(stops) - 1)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def from_channels(*channels: Array) -> Image.Image:
    """Three arrays in 0..1 to RGB."""
    return Image.fromarray((np.clip(np.stack(channels, axis=-1), 0, 1) * 255).astype(np.uint8))


def to_array(image: Image.Image) -> Array:
    """RGB or grey picture as floats in 0..1."""
    return np.asarray(image, dtype=np.float64) / 255


def blurred(image: Image.Image, radius: float) -> Image.Image:
    """Gaussian blur."""
    return image.filter(ImageFilter.GaussianBlur(radius))


def mask(height: int, width: int, blur: float, *shapes: Shape) -> Array:
    """Filled shapes as 0..1, shape (height, width): polygons in pixels, or ("ellipse", (x0, y0, x1, y1)).

    Only the part that the shapes touch is drawn and blurred: most shapes are small.
    """
    result = np.zeros((height, width))
    if not shapes:
        return result
    corners = np.array([np.ravel((np.min(points, axis=0), np.max(points, axis=0))) for points in map(_points, shapes)])
    margin = 3 * blur + 2
    x0, y0 = (max(0, int(v - margin)) for v in corners[:, :2].min(axis=0))
    x1, y1 = (int(v + margin) + 1 for v in corners[:, 2:].max(axis=0))
    x1, y1 = min(x1, width), min(y1, height)
    if x0 >= x1 or y0 >= y1:
        return result
    image = Image.new("L", (x1 - x0, y1 - y0))
    draw = ImageDraw.Draw(image)
    for shape in shapes:
        points = _points(shape)
        moved = [(x - x0, y - y0) for x, y in points]
        if shape[0] == "ellipse":
            draw.ellipse(moved, fill=255)
        else:
            draw.polygon(moved, fill=255)
    result[y0:y1, x0:x1] = to_array(blurred(image, blur) if blur else image)
    return result


def _points(shape: Shape) -> Sequence[Point]:
    """Corners of a polygon; two opposite corners of an ellipse's box."""
    if shape[0] == "ellipse":
        x0, y0, x1, y1 = cast(tuple[float, float, float, float], shape[1])
        return (x0, y0), (x1, y1)
    return cast(Sequence[Point], shape)


def blob(
    rng: np.random.Generator,
    x: float,
    y: float,
    rx: float,
    ry: float,
    rough: float = 0.15,
    points: int = 40,
    turn: float | None = None,
) -> list[Point]:
    """Outline of an irregular ellipse, turned by ``turn`` radians (None: at random)."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radius = np.ones(points)
    for k in range(2, 6):
        radius += rough / k * 2 * rng.normal() * np.cos(k * t + rng.random() * 6.3)
    turn = rng.random() * 6.3 if turn is None else turn
    px, py = rx * radius * np.cos(t), ry * radius * np.sin(t)
    return list(zip(x + px * np.cos(turn) - py * np.sin(turn), y + px * np.sin(turn) + py * np.cos(turn), strict=True))


class Canvas:
    """White drawing area in picture pixels, drawn twice as large and scaled down for soft edges."""

    def __init__(self, width: int, height: int, background: Colour | Image.Image = (255, 255, 255)) -> None:
        self.width, self.height, self.k = width, height, 2
        size = (width * self.k, height * self.k)
        if isinstance(background, Image.Image):
            self.image = background.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        else:
            self.image = Image.new("RGB", size, background)
        self.draw = ImageDraw.Draw(self.image)

    def line(self, points: Sequence[Point], colour: Colour = (0, 0, 0), width: float = 1) -> None:
        """Polyline."""
        self.draw.line(self._scaled(points), colour, max(1, round(width * self.k)), joint="curve")

    def dashed(self, start: Point, end: Point, colour: Colour = (0, 0, 0), width: float = 1, dash: float = 5) -> None:
        """Dashed straight line."""
        length = max(np.hypot(end[0] - start[0], end[1] - start[1]), 1)
        steps = np.arange(0, length, 2 * dash) / length
        for a in steps:
            b = min(a + dash / length, 1)
            ends = [(start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t) for t in (a, b)]
            self.line(ends, colour, width)

    def arrow(self, start: Point, end: Point, colour: Colour = (0, 0, 0), width: float = 1.5, head: float = 7) -> None:
        """Line with a filled head at its end."""
        angle = np.arctan2(end[1] - start[1], end[0] - start[0])
        back = (end[0] - head * 0.8 * np.cos(angle), end[1] - head * 0.8 * np.sin(angle))
        self.line([start, back], colour, width)
        sides = [(end[0] - head * np.cos(angle + s), end[1] - head * np.sin(angle + s)) for s in (0.45, -0.45)]
        self.polygon([end, *sides], colour)

    def polygon(
        self, points: Sequence[Point], fill: Colour | None, outline: Colour | None = None, width: float = 1
    ) -> None:
        """Polygon."""
        scaled = self._scaled(points)
        if fill:
            self.draw.polygon(scaled, fill)
        if outline:
            self.draw.line([*scaled, scaled[0]], outline, max(1, round(width * self.k)), joint="curve")

    def box(
        self, x0: float, y0: float, x1: float, y1: float, fill: Colour | None = None,
        outline: Colour | None = (0, 0, 0), width: float = 1, radius: float = 0,
    ) -> None:  # fmt: skip
        """Rectangle, with rounded corners when ``radius`` is given."""
        corners = [min(x0, x1) * self.k, min(y0, y1) * self.k, max(x0, x1) * self.k, max(y0, y1) * self.k]
        self.draw.rounded_rectangle(corners, radius * self.k, fill, outline, max(1, round(width * self.k)))

    def disc(
        self, x: float, y: float, r: float, fill: Colour | None = (0, 0, 0), outline: Colour | None = None,
        width: float = 1, ry: float | None = None,
    ) -> None:  # fmt: skip
        """Circle, or ellipse when ``ry`` is given."""
        ry = r if ry is None else ry
        corners = [(x - r) * self.k, (y - ry) * self.k, (x + r) * self.k, (y + ry) * self.k]
        self.draw.ellipse(corners, fill, outline, max(1, round(width * self.k)))

    def text(
        self, x: float, y: float, text: str, size: float = 11, colour: Colour = (0, 0, 0), anchor: str = "mm"
    ) -> None:
        """Text; ``anchor`` as Pillow's (horizontal l/m/r, vertical a/m/s/d)."""
        self.draw.text((x * self.k, y * self.k), text, colour, font(round(size * self.k)), anchor=anchor)

    def text_up(self, x: float, y: float, text: str, size: float = 11) -> None:
        """Text that runs upwards, centred on (x, y)."""
        face = font(round(size * self.k))
        left, top, right, bottom = face.getbbox(text)
        tile = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
        ImageDraw.Draw(tile).text((2 - left, 2 - top), text, 255, face)
        tile = tile.rotate(90, expand=True)
        at = (round(x * self.k - tile.width / 2), round(y * self.k - tile.height / 2))
        self.image.paste((0, 0, 0), at, tile)

    def paste(self, image: Image.Image, x: float, y: float, width: float, height: float) -> None:
        """A picture scaled into a rectangle."""
        size = (round(width * self.k), round(height * self.k))
        self.image.paste(image.resize(size, Image.Resampling.BILINEAR), (round(x * self.k), round(y * self.k)))

    def done(self) -> Image.Image:
        """The finished picture at its nominal size."""
        return self.image.resize((self.width, self.height), Image.Resampling.BOX)

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(float(x) * self.k, float(y) * self.k) for x, y in points]


def scale_bar(image: Image.Image, rng: np.random.Generator, colour: Colour, label: str | None = None) -> Image.Image:
    """A scale bar in the lower right corner."""
    draw = ImageDraw.Draw(image)
    width, height = image.size
    length = round(width * rng.uniform(0.12, 0.22))
    x1, y1 = width - round(width * 0.04), height - round(height * 0.06)
    draw.rectangle((x1 - length, y1 - max(2, height // 100), x1, y1), fill=colour)
    if label:
        face = font(max(9, height // 24))
        draw.text((x1 - length / 2, y1 - max(4, height // 60)), label, colour, face, anchor="md")
    return image
