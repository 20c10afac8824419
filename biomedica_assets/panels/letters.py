"""Which marks of a picture are its panel letters: those the caption names, of one size, in reading order.

What does not belong here: finding and classifying marks (`glyphs`), where panels end (`separation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from biomedica_assets.panels.glyphs import CLASSES, Mark, weights

FREE = "ABCDEFGHIJKL"
"""What is looked for when the caption names no letters: a run from A on, of two at least."""
_SAME_SHAPE = frozenset("COPSUVWXZ")
"""Letters whose two cases differ in size alone."""
_BARS = "Iil"
"""What a capital I and the stem of a small i look like."""
_SKIP = 1.6
"""What a letter that is not found costs, in nats; a sure one brings 4."""
_SPREAD = 0.16
"""Letters of one figure differ in height by this share at most, measured as capitals."""
_SURE = 0.8
"""A lone letter counts from this probability on."""
SUREST = 0.96
"""Measured share of letters read that are right, with their boxes: none is surer."""
_PER_LETTER = 12
"""Marks per letter that are compared with each other."""


class Letter(NamedTuple):
    """A panel's name, where it stands (half-open, pixels of the page) and the probability of both."""

    name: str
    x0: int
    y0: int
    x1: int
    y1: int
    probability: float

    def start(self, axis: int) -> int:
        """Left edge (axis 0) or upper edge."""
        return self.y0 if axis else self.x0

    def end(self, axis: int) -> int:
        """Right edge (axis 0) or lower edge."""
        return self.y1 if axis else self.x1

    def middle(self, axis: int) -> float:
        return (self.start(axis) + self.end(axis)) / 2


class _Entry(NamedTuple):
    rank: int
    mark: Mark
    score: float
    size: float


def read_letters(
    marks: Sequence[Mark], scores: NDArray[np.float64], wanted: Sequence[str], *, partial: bool = False
) -> list[Letter]:
    """The letters of a figure, in the caption's order; those that are not found are left out.

    Args:
        marks: lone marks of the page.
        scores: what they are, as `glyphs.classify` gives it.
        wanted: single capital letters in order; empty: any run from A on.
        partial: the page may show any part of them, since the figure has several files.
    """
    free = not wanted
    names = list(wanted) or list(FREE)
    best: list[_Entry] = []
    value = 0.0
    for lower in (False, True):
        entries = _entries(marks, scores, names, lower)
        for group in _groups(entries):
            path, total = _best_path(group, len(names), partial or free)
            if total > value:
                best, value = path, total
    if free:
        best = _run_from_a(best)
    if len(best) == 1 and (free or best[0].score < _logit(_SURE)):
        return []
    return [Letter(names[e.rank], e.mark.x0, e.mark.y0, e.mark.x1, e.mark.y1, _probability(e, len(best))) for e in best]


def _probability(entry: _Entry, found: int) -> float:
    # Letters that fit each other in size and order are surer than each alone.
    return round(min(float(1 / (1 + np.exp(-(entry.score + min(found - 1, 3))))), SUREST), 3)


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def _entries(marks: Sequence[Mark], scores: NDArray[np.float64], names: Sequence[str], lower: bool) -> list[_Entry]:
    sizes = weights().heights
    found: list[_Entry] = []
    for rank, name in enumerate(names):
        own = CLASSES.index(name.lower() if lower else name)
        other = CLASSES.index(name if lower else name.lower())
        p = scores[:, own] + (scores[:, other] if name in _SAME_SHAPE else 0)
        if name == "I":
            p = scores[:, [CLASSES.index(bar) for bar in _BARS]].sum(axis=1)
        likely = [int(i) for i in np.argsort(-p, kind="stable")[:_PER_LETTER] if p[i] >= 0.1]
        for i in likely:
            score = float(np.clip(_logit(float(np.clip(p[i], 0.01, 0.99))), -3, 4))
            score += 0.3 * marks[i].clear - 0.3 + 0.4 * marks[i].bracketed
            found.append(_Entry(rank, marks[i], score, marks[i].height / float(sizes[own])))
    return found


def _groups(entries: list[_Entry]) -> list[list[_Entry]]:
    """Entries of about one size, the most promising groups first."""
    found: dict[tuple[int, ...], float] = {}
    for entry in entries:
        if entry.score < 0:
            continue
        low, high = entry.size * (1 - _SPREAD), entry.size * (1 + _SPREAD)
        chosen = tuple(i for i, e in enumerate(entries) if low <= e.size <= high)
        if chosen not in found:
            best: dict[int, float] = {}
            for i in chosen:
                best[entries[i].rank] = max(best.get(entries[i].rank, 0.0), entries[i].score)
            found[chosen] = sum(best.values())
    ranked = sorted(found, key=lambda chosen: -found[chosen])[:5]
    return [[entries[i] for i in chosen] for chosen in ranked]


def _best_path(entries: list[_Entry], count: int, partial: bool) -> tuple[list[_Entry], float]:
    """At most one entry per letter such that scores and fit of neighbours are best."""
    entries = sorted(entries, key=lambda e: e.rank)
    totals: list[float] = []
    before: list[int] = []
    for i, entry in enumerate(entries):
        total, previous = (0.0 if partial else -_SKIP * entry.rank), -1
        for j in range(i):
            skipped = entry.rank - entries[j].rank - 1
            if skipped < 0:
                continue
            through = totals[j] + _fit(entries[j], entry) - _SKIP * skipped
            if through > total:
                total, previous = through, j
        totals.append(total + entry.score)
        before.append(previous)
    best, value = -1, 0.0
    for i, entry in enumerate(entries):
        total = totals[i] - (0.0 if partial else _SKIP * (count - 1 - entry.rank))
        # All letters may go unread: what is found must be worth more than nothing is.
        total += 0.0 if partial else _SKIP * count
        if total > value:
            best, value = i, total
    path = []
    while best >= 0:
        path.append(entries[best])
        best = before[best]
    return path[::-1], value


def _fit(first: _Entry, second: _Entry) -> float:
    """How well two letters follow each other: along a row, down a column, or in the next row or column."""
    a, b = first.mark, second.mark
    size = (first.size + second.size) / 2
    dx, dy = (b.x0 - a.x0) / size, (b.y1 - a.y1) / size
    size_cost = 4 * abs(float(np.log(first.size / second.size)))
    bonus = 0.3 if a.light == b.light and a.bracketed == b.bracketed else -0.3
    if abs(dy) <= 0.5 and dx > 1.5:
        return 1.2 + bonus - size_cost
    if abs(dx) <= 0.6 and dy > 1.5:
        return 1.0 + bonus - size_cost
    if dy > 1.5 or dx > 1.5:
        return bonus - size_cost
    return -8.0


def _run_from_a(path: list[_Entry]) -> list[_Entry]:
    run = [entry for place, entry in enumerate(path) if entry.rank == place]
    sure = len(run) > 1 and all(entry.score > _logit(_SURE) for entry in run)
    return run if sure else []
