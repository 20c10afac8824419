"""Marks in a picture that may be panel letters: lone glyphs of letter size, and how likely each is which letter.

What does not belong here: which of them are the panels' letters (`letters`); the classifier's training
(`benchmarks/panel_glyphs.py`).
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""What a glyph may be; one more class, the last, is anything else."""
SIDE = 16
"""Pixels of the square that the classifier sees."""
WEIGHTS = "glyphs.npz"
WEIGHTS_SHA256 = "3c71520583c9220316af7f1cab927de066ae31a1ad03c95db1250c63e70dc5e2"

LEVELS = (130, 150)
"""A dark glyph's pixels are below the first level of 255, a light one's above the second."""
SHARP_LEVELS = (64, 215)
"""The same for glyphs upon pictures, which the milder levels would join with what is round them."""
LEAST, MOST = 0.0045, 0.07
"""Heights of a letter as a share of the page's longer side."""
LEAST_PIXELS = 7
MAX_MARKS = 600
"""More lone marks than this are texture; the largest are looked at."""


class Mark(NamedTuple):
    """A lone glyph: its box (half-open, pixels of the page) without brackets, its colour, what may follow it.

    ``clear`` is the blank behind it in letter heights, 2 at most; ``bracketed``: with a bracket or stop beside it.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    light: bool
    clear: float
    bracketed: bool

    @property
    def height(self) -> int:
        return self.y1 - self.y0


class Weights(NamedTuple):
    """Two layers, and each class's height as a share of a capital's."""

    hidden: NDArray[np.float64]
    hidden_bias: NDArray[np.float64]
    output: NDArray[np.float64]
    output_bias: NDArray[np.float64]
    heights: NDArray[np.float64]


def lone_marks(grey: NDArray[np.uint8], levels: tuple[int, int] = LEVELS) -> tuple[list[Mark], NDArray[np.float64]]:
    """Marks that may be panel letters, and what the classifier sees of each: [n, SIDE * SIDE + 1].

    Nothing stands before such a mark on its line, and no letter close behind it: parts of words are none.
    """
    from scipy import ndimage

    marks: list[Mark] = []
    seen: list[NDArray[np.float64]] = []
    longest = max(grey.shape)
    least, most = max(LEAST_PIXELS, LEAST * longest), MOST * longest
    for light in (False, True):
        binary = grey > levels[1] if light else grey < levels[0]
        labels, _ = ndimage.label(binary, np.ones((3, 3)))
        found = ndimage.find_objects(labels)
        boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in found], np.int32).reshape(-1, 4)
        width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        small = (height <= 1.5 * most) & (width <= 1.5 * most) & (width * height >= 4)
        lone = (height >= least) & (height <= most) & (width >= 0.1 * height) & (width <= 1.45 * height)
        indices = np.flatnonzero(lone)
        if len(indices) > 4 * MAX_MARKS:
            indices = np.sort(indices[np.argsort(-height[indices], kind="stable")[: 4 * MAX_MARKS]])
        others = boxes[small & (height >= 0.12 * least)]
        some = []
        for index in indices:
            mark = _lone(boxes[index], others, light)
            if mark is not None:
                some.append((mark, index))
        some = sorted(some, key=lambda item: -item[0].height)[:MAX_MARKS]
        for mark, index in some:
            part = found[index]
            seen.append(_look(grey[part], labels[part] == index + 1, light))
            marks.append(mark)
    return marks, np.array(seen).reshape(-1, SIDE * SIDE + 1)


def _lone(box: NDArray[np.int32], others: NDArray[np.int32], light: bool) -> Mark | None:
    x0, y0, x1, y1 = (int(v) for v in box)
    h = y1 - y0
    overlap = np.minimum(others[:, 3], y1) - np.maximum(others[:, 1], y0)
    near = others[(overlap > 0) & (others[:, 2] > x0 - 3 * h) & (others[:, 0] < x1 + 3 * h)]
    left = near[near[:, 2] <= x0 + 0.1 * h]
    right = near[near[:, 0] >= x1 - 0.1 * h]
    start, bracketed = x0, False
    if len(left):
        nearest = left[left[:, 2].argmax()]
        if _is_bracket(nearest, h) and x0 - nearest[2] <= 0.5 * h:
            start, bracketed = int(nearest[0]), True
            left = left[left[:, 2] <= start + 0.1 * h]
    if len(left) and start - left[:, 2].max() < 0.9 * h:
        return None
    end = x1
    if len(right):
        nearest = right[right[:, 0].argmin()]
        if _is_bracket(nearest, h) and nearest[0] - x1 <= 0.5 * h:
            end, bracketed = int(nearest[2]), True
        else:  # a stop, or the two dots of a colon
            width, height = right[:, 2] - right[:, 0], right[:, 3] - right[:, 1]
            dots = right[(right[:, 0] - x1 <= 0.5 * h) & (np.maximum(width, height) <= 0.35 * h)]
            if 1 <= len(dots) <= 2 and dots[:, 3].max() >= y0 + 0.7 * h:
                end, bracketed = int(dots[:, 2].max()), True
        right = right[right[:, 0] >= end - 0.1 * h]
    clear = (right[:, 0].min() - end) / h if len(right) else 2.0
    if clear < 0.25:
        return None
    return Mark(x0, y0, x1, y1, light, round(min(float(clear), 2.0), 3), bracketed)


def _is_bracket(box: NDArray[np.int32], height: int) -> bool:
    w, h = box[2] - box[0], box[3] - box[1]
    return bool(w <= 0.5 * height and 0.9 * height <= h <= 2 * height and h >= 2 * w)


def _look(grey: NDArray[np.uint8], own: NDArray[np.bool_], light: bool) -> NDArray[np.float64]:
    """The glyph alone, ink 1 on 0, stretched to a square; and its width by its height."""
    from scipy import ndimage

    values = grey.astype(np.float64) if light else 255.0 - grey
    near = ndimage.binary_dilation(own, np.ones((3, 3)))
    low, high = float(values.min()), float(values[own].max())
    values = np.where(near, np.clip((values - low) / max(high - low, 1.0), 0, 1), 0)
    image = Image.fromarray(np.rint(values * 255).astype(np.uint8))
    square = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float64) / 255
    return np.append(square.ravel(), own.shape[1] / own.shape[0])


@cache
def weights() -> Weights:
    """The shipped classifier.

    Raises:
        ValueError: the file is not the one this version was released with.
    """
    data = resources.files("biomedica_assets.panels").joinpath(WEIGHTS).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ValueError(f"{WEIGHTS} of the panel letters has SHA-256 {digest}, not {WEIGHTS_SHA256}: reinstall it")
    with np.load(BytesIO(data)) as file:
        return Weights(*(file[name].astype(np.float64) for name in Weights._fields))


def classify(seen: NDArray[np.float64], w: Weights | None = None) -> NDArray[np.float64]:
    """Probabilities [n, len(CLASSES) + 1] of what each mark is, rounded so that they are the same everywhere."""
    w = w or weights()
    hidden = np.maximum(seen @ w.hidden + w.hidden_bias, 0)
    logits = hidden @ w.output + w.output_bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.round(odds / odds.sum(axis=1, keepdims=True), 4)
