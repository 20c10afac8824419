"""One image made ready for cutting: what is paper, what is ink, where blank lines and hard edges run.

What does not belong here: which of the lines are borders of panels (`separation`), letters (`glyphs`).
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

INK = 26
"""Levels of 255 by which a pixel differs from the paper; below lies the noise of JPEG."""
EDGE = 22
"""Levels between neighbouring pixels of a hard edge."""
COARSE = 4
"""Pixels per cell of the grid on which bodies are found."""
BODY = 0.055
"""Share of the page's longer side that a body has at least, both ways: text and axis titles are thinner."""


class Region(NamedTuple):
    """Half-open, in pixels of the page."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left and upper edge, width and height."""
        return self.x0, self.y0, self.width, self.height

    def side(self, axis: int) -> tuple[int, int]:
        """From where to where it reaches along x (axis 0) or y (axis 1)."""
        return (self.x0, self.x1) if axis == 0 else (self.y0, self.y1)

    def cut(self, axis: int, at: int) -> tuple[Region, Region]:
        """Left and right of x = ``at`` (axis 0), or above and below y = ``at``."""
        if axis == 0:
            return self._replace(x1=at), self._replace(x0=at)
        return self._replace(y1=at), self._replace(y0=at)


class Gap(NamedTuple):
    """Where a region may be cut along an axis.

    ``start`` and ``end`` half-open; ``kind`` paper (blank), plain (of one other colour) or seam (a hard edge).
    """

    axis: int
    start: int
    end: int
    kind: str

    @property
    def width(self) -> int:
        return self.end - self.start

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2


class Page:
    """Pixels of one image, uint8 [height, width, 3], and what is derived from them."""

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self.rgb = rgb
        self.grey = (rgb @ np.array([77, 150, 29], np.uint16) >> 8).astype(np.uint8)
        self.height, self.width = self.grey.shape
        self.longest = max(self.height, self.width)
        self.whole = Region(0, 0, self.width, self.height)
        self.paper = paper(rgb)
        self.ink = _ink(rgb, self.paper)
        self._bodies = bodies(self.ink)
        self.gaps = lru_cache(maxsize=512)(self._gaps)
        self.seams = lru_cache(maxsize=512)(self._seams)
        self.trim = lru_cache(maxsize=512)(self._trim)

    def _trim(self, region: Region) -> Region:
        """The smallest region with the same ink; the region itself when it has none."""
        part = self.ink[region.y0 : region.y1, region.x0 : region.x1]
        columns, rows = np.flatnonzero(part.any(axis=0)), np.flatnonzero(part.any(axis=1))
        if not len(columns):
            return region
        return Region(
            region.x0 + int(columns[0]),
            region.y0 + int(rows[0]),
            region.x0 + int(columns[-1]) + 1,
            region.y0 + int(rows[-1]) + 1,
        )

    def covered(self, region: Region) -> float:
        """Share of a region within bodies: what is no text, line or tick, but large both ways."""
        low = np.maximum(self._bodies[:, :2], region[:2])
        high = np.minimum(self._bodies[:, 2:], region[2:])
        sides = high - low
        large = sides[sides.min(axis=1, initial=self.longest) >= BODY * self.longest]
        return min(float(large.prod(axis=1).sum()) / (region.width * region.height), 1.0)

    def inked(self, region: Region) -> float:
        """Share of a region that is ink."""
        return float(self.ink[region.y0 : region.y1, region.x0 : region.x1].mean())

    def _gaps(self, region: Region, *, plain: bool = False) -> list[Gap]:
        """Blank lines right across a region, not at its rim; with ``plain``, also lines of one other colour."""
        found = []
        part = self.ink[region.y0 : region.y1, region.x0 : region.x1]
        grey = self.grey[region.y0 : region.y1, region.x0 : region.x1]
        for axis, length in ((0, region.height), (1, region.width)):
            # A few specks of noise do not close a gap, nor does a hairline across it.
            blank = np.count_nonzero(part, axis=axis) <= length // 400
            found += [Gap(axis, a, b, "paper") for a, b in _runs(blank, region.side(axis)[0])]
            if plain:
                uniform = (np.ptp(grey, axis=axis) <= INK) & ~blank
                found += [Gap(axis, a, b, "plain") for a, b in _runs(uniform, region.side(axis)[0])]
        return found

    def _seams(self, region: Region) -> list[tuple[Gap, float]]:
        """Hard edges across a region where pictures touch, and the share of their length that is hard."""
        from scipy import ndimage

        found = []
        for axis in (0, 1):
            low, high = region.side(axis)
            # Steps lie between pixels: the first belongs to the pixel before the region's second.
            steps = self._steps[axis][region.y0 : region.y1 - axis, region.x0 : region.x1 - 1 + axis]
            if not steps.size:
                continue
            share = steps.mean(axis=axis)
            # A line drawn between pictures has two edges a pixel or two apart: neighbours count together.
            wide = ndimage.maximum_filter1d(share, 5)
            for at in np.flatnonzero((share == wide) & (share >= 0.5)):
                place = low + int(at) + 1
                if low + 2 < place < high - 2:
                    found.append((Gap(axis, place, place, "seam"), float(share[at])))
        return found

    @cached_property
    def _steps(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where colours change at once, from left to right and from above."""
        return _hard(self.rgb[:, 1:], self.rgb[:, :-1]), _hard(self.rgb[1:], self.rgb[:-1])


def _hard(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.bool_]:
    change = np.maximum(first, second) - np.minimum(first, second)
    hard: NDArray[np.bool_] = (change[..., 0] > EDGE) | (change[..., 1] > EDGE) | (change[..., 2] > EDGE)
    return hard


def paper(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour of the paper: what most of the rim has; white when the rim is no paper."""
    rim = np.concatenate(
        [rgb[:2].reshape(-1, 3), rgb[-2:].reshape(-1, 3), rgb[:, :2].reshape(-1, 3), rgb[:, -2:].reshape(-1, 3)]
    )
    coarse = (rim >> 4).astype(np.uint16)
    keys = coarse[:, 0] << 8 | coarse[:, 1] << 4 | coarse[:, 2]
    values, counts = np.unique(keys, return_counts=True)
    best = int(counts.argmax())
    if counts[best] < 0.3 * len(keys):
        return np.array([255, 255, 255], np.uint8)
    colour: NDArray[np.uint8] = np.median(rim[keys == values[best]], axis=0).astype(np.uint8)
    return colour


def _ink(rgb: NDArray[np.uint8], colour: NDArray[np.uint8]) -> NDArray[np.bool_]:
    ink = np.zeros(rgb.shape[:2], bool)
    for channel in range(3):
        level = int(colour[channel])
        values = rgb[:, :, channel]
        if level > INK:
            ink |= values < level - INK
        if level + INK < 255:
            ink |= values > level + INK
    return ink


def bodies(ink: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Boxes [n, 4] of connected ink on the coarse grid, in pixels, of those that are large both ways."""
    from scipy import ndimage

    height, width = (-(-side // COARSE) * COARSE for side in ink.shape)
    padded = np.zeros((height, width), bool)
    padded[: ink.shape[0], : ink.shape[1]] = ink
    coarse = padded.reshape(height // COARSE, COARSE, width // COARSE, COARSE).any(axis=(1, 3))
    labels, _ = ndimage.label(coarse, np.ones((3, 3)))
    least = BODY * max(ink.shape)
    boxes = [
        (x.start, y.start, x.stop, y.stop)
        for y, x in ndimage.find_objects(labels)
        if min(x.stop - x.start, y.stop - y.start) * COARSE >= least
    ]
    return np.array(boxes, np.int64).reshape(-1, 4) * COARSE


def _runs(line: NDArray[np.bool_], offset: int) -> list[tuple[int, int]]:
    """Half-open runs of true values that touch neither end."""
    edges = np.diff(np.concatenate(([False], line, [False])).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(offset + int(a), offset + int(b)) for a, b in zip(starts, ends, strict=True) if a > 0 and b < len(line)]
