"""The panels of one image: from its bytes, and what its caption names, to boxes with letters.

What does not belong here: the steps themselves (`page`, `glyphs`, `letters`, `separation`), rows (`tables`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from biomedica_assets.images.crops import Box
from biomedica_assets.models.pictures import shrunk
from biomedica_assets.panels import separation
from biomedica_assets.panels.alignment import Named
from biomedica_assets.panels.detectors import Detector
from biomedica_assets.panels.glyphs import SHARP_LEVELS, classify, lone_marks
from biomedica_assets.panels.letters import Letter, read_letters
from biomedica_assets.panels.page import Page, Region

SIDE = 1600
"""Longer side in pixels at which pictures are cut: letters of 8 points are 18 pixels high in a figure of 18 cm."""
LEAST_FOUND = 0.4
"""Share of the named letters that must be read before they guide the cuts."""
LEAST_FIT = -3.0
"""Of letters and cuts, see `separation.by_letters`; with a poorer one the marks read were no panel letters."""
MOST_UNREAD = 5
"""Letters that may be told by order, where others of the figure were read."""
SMALL_SIDE = 1000
"""Smaller pictures are enlarged to this side, twice at most: their letters have few pixels."""

_READ, _COUNTED, _BLANK, _WHOLE = 0.95, 0.8, 0.8, 0.9
"""Measured precision at IoU 0.5 of boxes found by letters, by the caption's count, by gaps, and of uncut images."""
ORDERED = 0.65
"""Measured share of letters told by order that are right."""


class Panel(NamedTuple):
    """One panel: box (left, top, width, height) in pixels of the image as stored; the rest as in `schemas.PANELS`."""

    box: Box
    probability: float
    letter: str | None = None
    letter_source: str | None = None
    letter_probability: float | None = None


def find_panels(data: bytes, named: Named, detector: Detector | None = None) -> list[Panel]:
    """The panels of an image in reading order, by letter where letters are known; at least one, the whole image.

    Args:
        data: the image file.
        named: what the caption and the text say.
        detector: finds the boxes instead of the cuts; letters are read all the same.

    Raises:
        images.probe.ImageError: no image, too many pixels, or damaged.
    """
    small, (width, height) = shrunk(data, SIDE)
    picture = _enlarged(small.convert("RGB"))
    page = Page(np.asarray(picture))
    letters = _read(page.grey, named)
    if named.own_letter and len(letters) < 2:
        # One file per panel, unless the file itself shows several letters.
        return [Panel((0, 0, width, height), _WHOLE, named.own_letter, "file", 0.95)]
    found = _by_detector(detector, picture, letters) if detector else _by_cuts(page, letters, named)
    scale = width / page.width, height / page.height
    panels = [panel._replace(box=_stored(panel.box, scale, (width, height))) for panel in found]
    if len(panels) == 1 and not detector:
        panels = [panels[0]._replace(box=(0, 0, width, height))]
    return in_order(panels)


def _enlarged(picture: Image.Image) -> Image.Image:
    factor = min(SMALL_SIDE / max(picture.size), 2)
    if factor <= 1:
        return picture
    size = round(picture.width * factor), round(picture.height * factor)
    return picture.resize(size, Image.Resampling.BICUBIC)


def _read(grey: NDArray[np.uint8], named: Named) -> list[Letter]:
    marks, seen = lone_marks(grey)
    scores = classify(seen)
    letters = read_letters(marks, scores, named.letters, partial=named.files > 1)
    if named.letters and len(letters) < len(named.letters) and not named.own_letter:
        more, seen = lone_marks(grey, SHARP_LEVELS)
        marks, scores = marks + more, np.concatenate([scores, classify(seen)])
        letters = read_letters(marks, scores, named.letters, partial=named.files > 1)
    if named.counted or named.own_letter:
        return letters
    # The text names some of the panels at best: a longer run from A on is more to be believed.
    free = read_letters(marks, scores, ())
    return free if len(free) > len(letters) else letters


def _by_cuts(page: Page, letters: list[Letter], named: Named) -> list[Panel]:
    wanted = named.letters if named.counted else ()
    if len(letters) >= max(2, LEAST_FOUND * len(wanted)):
        pieces, fit = separation.by_letters(page, letters)
        if fit > LEAST_FIT:
            return _guided(page, pieces, [name for name in wanted if name not in {x.name for x in letters}])
    if wanted and (regions := separation.by_gaps(page, len(wanted))):
        ordered = in_order([Panel(region.box, _COUNTED) for region in regions])
        agree = all(_holds(ordered[wanted.index(letter.name)].box, letter) for letter in letters)
        if agree:
            return [
                p._replace(letter=n, letter_source="order", letter_probability=ORDERED)
                for p, n in zip(ordered, wanted, strict=True)
            ]
    if named.places and not letters and (regions := separation.by_gaps(page, len(named.places))):
        ordered = in_order([Panel(region.box, _COUNTED) for region in regions])
        if _lie_as(ordered, named.places):
            return [
                p._replace(letter=n, letter_source="order", letter_probability=ORDERED)
                for p, n in zip(ordered, named.places, strict=True)
            ]
    regions = separation.by_gaps(page)
    return _lettered([Panel(region.box, _BLANK if len(regions) > 1 else _WHOLE) for region in regions], letters)


def _lie_as(panels: Sequence[Panel], places: Sequence[str]) -> bool:
    """Whether panels lie beside each other, or upon each other, as the names of their places say."""
    across = any("LEFT" in place or "RIGHT" in place for place in places)
    down = any("TOP" in place or "BOTTOM" in place for place in places)
    if across and down:
        return len(panels) == 4
    axis = 0 if across else 1
    return all(first.box[axis] + first.box[axis + 2] <= second.box[axis] for first, second in pairwise(panels))


def _guided(page: Page, pieces: list[separation.Piece], missing: list[str]) -> list[Panel]:
    """Panels of the letters read, and of as many others as letters are missing; those are named by order."""
    panels = []
    for region, letter in separation.more_pieces(page, pieces, len(missing)):
        if letter:
            panels.append(Panel(region.box, _READ, letter.name, "glyph", letter.probability))
        else:
            panels.append(Panel(region.box, _COUNTED))
    unnamed = [panel for panel in in_order(panels) if panel.letter is None]
    if len(unnamed) != len(missing) or len(missing) > MOST_UNREAD:
        return panels
    known = [panel for panel in panels if panel.letter]
    ways = [
        known
        + [
            p._replace(letter=n, letter_source="order", letter_probability=ORDERED)
            for p, n in zip(way, missing, strict=True)
        ]
        for way in permutations(unnamed)
    ]
    return min(ways, key=_disorder)


def _disorder(panels: Sequence[Panel]) -> int:
    """How often a panel does not lie to the right of the letter before, or below it."""
    placed = sorted(panels, key=lambda panel: panel.letter or "")
    wrong = 0
    for first, second in pairwise(placed):
        right = second.box[0] >= first.box[0] + first.box[2] // 2
        below = second.box[1] >= first.box[1] + first.box[3] // 2
        beside = abs(second.box[1] - first.box[1]) < min(first.box[3], second.box[3]) // 2
        upon = abs(second.box[0] - first.box[0]) < min(first.box[2], second.box[2]) // 2
        wrong += 4 * (not right and not below) + (not (right and beside) and not (below and upon))
    return wrong


def _by_detector(detector: Detector, picture: Image.Image, letters: list[Letter]) -> list[Panel]:
    found = detector.boxes(picture) or [(Region(0, 0, *picture.size), 0.0)]
    return _lettered([Panel(region.box, score) for region, score in found], letters)


def _lettered(panels: list[Panel], letters: Sequence[Letter]) -> list[Panel]:
    """Panels with the letters that stand in them; the smallest where boxes lie in each other."""
    panels = list(panels)
    for letter in letters:
        holders = [i for i, p in enumerate(panels) if p.letter is None and _holds(p.box, letter)]
        if holders and len(panels) > 1:
            index = min(holders, key=lambda i: panels[i].box[2] * panels[i].box[3])
            panels[index] = panels[index]._replace(
                letter=letter.name, letter_source="glyph", letter_probability=letter.probability
            )
    return panels


def _holds(box: Box, letter: Letter) -> bool:
    x, y, width, height = box
    return x <= letter.middle(0) < x + width and y <= letter.middle(1) < y + height


def _stored(box: Box, scale: tuple[float, float], size: tuple[int, int]) -> Box:
    """From pixels of the page to those of the image as stored."""
    x0, x1 = (min(round(x * scale[0]), size[0]) for x in (box[0], box[0] + box[2]))
    y0, y1 = (min(round(y * scale[1]), size[1]) for y in (box[1], box[1] + box[3]))
    return x0, y0, max(x1 - x0, 1), max(y1 - y0, 1)


def in_order(panels: Sequence[Panel]) -> list[Panel]:
    """By letter, where all have one; else row by row, from left to right."""
    if all(panel.letter for panel in panels):
        return sorted(panels, key=lambda panel: panel.letter or "")
    left = sorted(panels, key=lambda panel: (panel.box[1], panel.box[0]))
    ordered: list[Panel] = []
    while left:
        _, top, _, height = left[0].box
        row = []
        for panel in left:
            shared = min(top + height, panel.box[1] + panel.box[3]) - max(top, panel.box[1])
            if shared > 0.5 * min(height, panel.box[3]):
                row.append(panel)
        ordered += sorted(row, key=lambda panel: (panel.box[0], panel.box[1]))
        left = [panel for panel in left if panel not in row]
    return ordered
