"""Where the panels of a page end: recursive cuts along blank lines, or hard edges where pictures touch.

With letters, each cut must part letters from letters: rows of pictures within a panel, insets, legends and axis titles
stay whole. Without them cuts are made widest first; either side must have a body, so that text and slivers stay where
they belong. What does not belong here: reading letters (`letters`), the caption (`alignment`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from biomedica_assets.panels.letters import Letter
from biomedica_assets.panels.page import BODY, Gap, Page, Region

LEAST_GAP = 0.012
"""Share of the page's longer side that a gap has at least, where nothing says how many panels there are."""
LEAST_COUNTED_GAP = 0.004
"""The same where the caption says how many."""
LEAST_SIDE, LEAST_AREA, LEAST_COVER = 0.12, 0.025, 0.35
"""Where nothing says how many panels there are, what is cut off has these shares at least: of the page's longer side,
of its area, and of its own area within bodies (axes, pictures). Legends, tick labels, rows of a scheme have less."""
ALIKE = 0.4
"""Share of the widest gap along the same axis that others have at least: gutters are alike, gaps in plots smaller."""
AS_WIDE = 0.8
"""A count is not believed when gaps of this share of its narrowest one would still be left."""
THIN = 1.8
"""Letter heights that a panel has at least, both ways; thinner ones show that a mark was no letter."""
TILE, TILE_GAIN = 0.5, 5
"""Share of ink along both rims of a gap from which it lies between pictures, and how much wider it then counts."""
SEAM = 0.7
"""Share of a line that is a hard edge between pictures, where no letters say that there is a border."""
MOST_SEAMS = 3
"""More edges than this across a region are the cells of a table or heat map."""
INKED = 0.6
"""Share of ink on either side of such an edge: lines in plots and tables have paper beside them."""
NEAR = 1.0
"""How far from their corners letters may be, three times the share of the panel's sides, where others are not tried."""
UNUSUAL, SMALL, SMALL_COST = 0.7, 0.12, 3.0
"""What is held against letters that are not in the upper left corner, per letter; which share of the usual area makes a
sliver, and what each costs."""
_ANCHORS = ((0.0, 0.0), (0.5, 1.0), (0.0, 1.0), (0.5, 0.0), (1.0, 0.0), (1.0, 1.0))
"""Where letters stand in their panels: left or right, top or bottom."""


class Piece(NamedTuple):
    """A region of the page and its letter, when one was read in it."""

    region: Region
    letter: Letter | None


class _Cut(NamedTuple):
    gap: Gap
    score: float


def by_letters(page: Page, letters: Sequence[Letter]) -> tuple[list[Piece], float]:
    """One piece per letter, and how well the cuts fit (0 is poor, 2 and more per cut good)."""
    best: tuple[list[Piece], float] | None = None
    for anchor in _ANCHORS:
        pieces, value = _part(page, page.trim(page.whole), tuple(letters), anchor)
        off = [_off(piece, anchor) for piece in pieces]
        value = (value - sum(off) - SMALL_COST * _small(pieces)) / len(letters)
        value -= UNUSUAL if anchor != _ANCHORS[0] else 0
        if best is None or value > best[1]:
            best = pieces, value
        if value > 0.5 and max(off) < NEAR:  # nothing better can be hoped for elsewhere
            break
    assert best is not None
    for region, letter in best[0]:
        assert letter is not None
        if min(region.width, region.height) < THIN * (letter.y1 - letter.y0):
            return best[0], -10.0
    return best


def _small(pieces: Sequence[Piece]) -> int:
    """Pieces far smaller than the others: slivers."""
    areas = np.array([piece.region.width * piece.region.height for piece in pieces])
    return int((areas < SMALL * np.median(areas)).sum())


def _off(piece: Piece, anchor: tuple[float, float]) -> float:
    region, letter = piece
    assert letter is not None
    across = {0.0: letter.x0, 0.5: (letter.x0 + letter.x1) / 2, 1.0: letter.x1}[anchor[0]]
    down = letter.y0 if anchor[1] == 0 else letter.y1
    x, y = (across - region.x0) / region.width, (down - region.y0) / region.height
    return 3 * (abs(x - anchor[0]) + abs(y - anchor[1]))


def _part(
    page: Page, region: Region, letters: tuple[Letter, ...], anchor: tuple[float, float]
) -> tuple[list[Piece], float]:
    region = page.trim(region)
    if len(letters) == 1:
        return [Piece(region, letters[0])], 0.0
    cut = _between(page, region, letters, anchor)
    if cut is None:  # letters upon each other: the first stands for all
        return [Piece(region, letters[0])], -8.0
    axis, at = cut.gap.axis, cut.gap.middle
    sides = region.cut(axis, at)
    pieces: list[Piece] = []
    total = cut.score
    for side, keep in zip(sides, (False, True), strict=True):
        own = tuple(letter for letter in letters if (letter.middle(axis) >= at) is keep)
        more, value = _part(page, side, own, anchor)
        pieces += more
        total += value
    return pieces, total


def _between(page: Page, region: Region, letters: tuple[Letter, ...], anchor: tuple[float, float]) -> _Cut | None:
    """The best line that parts the letters: wide, close to those it belongs to, in their order."""
    height = float(np.median([letter.y1 - letter.y0 for letter in letters]))
    lines = [
        (gap, min(gap.width / height, 3.0) * (1 if gap.kind == "paper" else 0.7))
        for gap in page.gaps(region, plain=True)
    ]
    lines += [(gap, share - 0.3) for gap, share in page.seams(region)]
    lines += [(gap, -2 - 8 * _crossed(page, region, gap)) for gap in _forced(region, letters, anchor, height)]
    best: _Cut | None = None
    for gap, worth in lines:
        axis = gap.axis
        first = [letter for letter in letters if letter.middle(axis) < gap.middle]
        second = [letter for letter in letters if letter.middle(axis) >= gap.middle]
        if not first or not second:
            continue
        if anchor[axis] == 0:
            far = min(letter.start(axis) for letter in second) - gap.end
        elif anchor[axis] == 1:
            far = gap.start - max(letter.end(axis) for letter in first)
        else:
            far = 0
        worth -= 0.6 * min(max(far / height, 0), 12)
        if max(letter.name for letter in first) < min(letter.name for letter in second):
            worth += 1
        if best is None or worth > best.score:
            best = _Cut(gap, worth)
    return best


def _forced(region: Region, letters: tuple[Letter, ...], anchor: tuple[float, float], height: float) -> list[Gap]:
    """Lines just before (or behind) letters, for panels that no line parts."""
    found = []
    for axis in (0, 1):
        low, high = region.side(axis)
        for letter in letters:
            at = letter.end(axis) + height / 3 if anchor[axis] == 1 else letter.start(axis) - height / 3
            if low < round(at) < high:
                found.append(Gap(axis, round(at), round(at), "forced"))
    return found


def _crossed(page: Page, region: Region, gap: Gap) -> float:
    """Share of a line that is ink."""
    if gap.axis == 0:
        return float(page.ink[region.y0 : region.y1, gap.middle].mean())
    return float(page.ink[gap.middle, region.x0 : region.x1].mean())


def by_gaps(page: Page, count: int | None = None) -> list[Region]:
    """Regions parted by the widest gaps; as many as ``count`` says, where as many can be.

    An empty list when ``count`` regions cannot be had, or when as wide gaps would be left. Without ``count`` a page
    with no clear gap is one region.
    """
    if count is None:
        return _cut_up(page, None, LEAST_GAP, strict=True)[0]
    for strict in (True, False):
        regions, narrowest = _cut_up(page, count, LEAST_COUNTED_GAP, strict=strict)
        if len(regions) == count:
            cuts = [best_gap(page, region, LEAST_GAP, seams=False, strict=True) for region in regions]
            return [] if any(cut and cut.score >= AS_WIDE * narrowest for cut in cuts) else regions
    return []


def _cut_up(page: Page, count: int | None, least: float, *, strict: bool) -> tuple[list[Region], float]:
    """Regions, and the narrowest gap between them as a share of the page's longer side."""
    bounds = [0.0, 0.0]
    regions = [page.trim(page.whole)]
    narrowest = 1.0
    while count is None or len(regions) < count:
        cuts = [best_gap(page, region, least, bounds, seams=True, strict=strict) for region in regions]
        scores = [cut.score if cut else -1.0 for cut in cuts]
        widest = scores.index(max(scores))
        cut = cuts[widest]
        if cut is None:
            break
        narrowest = min(narrowest, cut.score)
        if count is None:
            bounds[cut.gap.axis] = max(bounds[cut.gap.axis], ALIKE * cut.gap.width)
        regions += [page.trim(side) for side in regions.pop(widest).cut(cut.gap.axis, cut.gap.middle)]
    return regions, narrowest


def best_gap(
    page: Page, region: Region, least: float, bounds: Sequence[float] = (0, 0), *, seams: bool, strict: bool
) -> _Cut | None:
    """The widest gap of a region with a body on either side.

    Args:
        page: the page.
        region: of it.
        least: width as a share of the page's longer side, see `TILE_GAIN`.
        bounds: least width in pixels along either axis.
        seams: where there is no gap, take a hard edge between pictures.
        strict: either side must have a panel's size and cover, too.
    """
    best: _Cut | None = None
    for gap in page.gaps(region):
        score = gap.width / page.longest * (TILE_GAIN if _tiled(page, region, gap) else 1)
        enough = score >= least and gap.width >= bounds[gap.axis]
        if enough and (best is None or score > best.score) and _stands(page, region, gap, strict):
            best = _Cut(gap, score)
    if best is not None or not seams:
        return best
    hard = [
        cut
        for cut in (_Cut(*seam) for seam in page.seams(region))
        if cut.score >= SEAM and _parts(page, region, cut.gap)
    ]
    if len(hard) > MOST_SEAMS:
        return None
    sure = [cut for cut in hard if _stands(page, region, cut.gap, strict)]
    return max((cut._replace(score=cut.score * least) for cut in sure), key=lambda cut: cut.score, default=None)


def _parts(page: Page, region: Region, seam: Gap) -> bool:
    """Whether pictures lie on both sides of an edge, and not its own outline."""
    sides = region.cut(seam.axis, seam.middle)
    return all(min(s.width, s.height) >= BODY * page.longest and page.inked(s) >= INKED for s in sides)


def _stands(page: Page, region: Region, gap: Gap, strict: bool) -> bool:
    """Whether both sides are large enough for a panel and hold more than text."""
    for side in region.cut(gap.axis, gap.middle):
        part = page.trim(side)
        if min(part.width, part.height) < (LEAST_SIDE if strict else BODY) * page.longest:
            return False
        if strict and part.width * part.height < LEAST_AREA * page.width * page.height:
            return False
        if page.covered(part) < (LEAST_COVER if strict else 1e-9):
            return False
    return True


def _tiled(page: Page, region: Region, gap: Gap) -> bool:
    """Whether pictures with straight rims lie on both sides of a gap."""
    lines = (gap.start - 1, gap.end)
    if gap.axis == 0:
        shares = [page.ink[region.y0 : region.y1, at].mean() for at in lines]
    else:
        shares = [page.ink[at, region.x0 : region.x1].mean() for at in lines]
    return min(shares) >= TILE


def more_pieces(page: Page, pieces: Sequence[Piece], missing: int) -> list[Piece]:
    """Cut pieces in which letters went unread: one more piece per missing letter, where a gap allows it."""
    pieces = list(pieces)
    for _ in range(missing):
        cuts = [best_gap(page, piece.region, 1.5 * LEAST_COUNTED_GAP, seams=False, strict=False) for piece in pieces]
        scores = [cut.score if cut else -1.0 for cut in cuts]
        widest = scores.index(max(scores))
        cut = cuts[widest]
        if cut is None:
            break
        region, letter = pieces.pop(widest)
        axis, at = cut.gap.axis, cut.gap.middle
        for side, later in zip(region.cut(axis, at), (False, True), strict=True):
            holds = letter is not None and (letter.middle(axis) >= at) is later
            pieces.append(Piece(page.trim(side), letter if holds else None))
    return pieces
