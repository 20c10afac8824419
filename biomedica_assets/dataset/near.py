"""Pairs of 64-bit hashes within a Hamming distance, and clusters of them: exact search in memory that grows linearly.

Hashes are cut into m bands. Two that differ in at most r bits agree in at least m - r whole bands, so every such pair
meets in one of the C(m, m - r) ways to choose the bands: for each, the hashes are sorted with the chosen bands first,
and neighbours that agree in them are compared (multi-index hashing: Norouzi, Punjani, Fleet, CVPR 2012).
What does not belong here: images, tables, files. Hashes are NumPy arrays of uint64.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

BITS = 64
WINDOW = 4096
"""Neighbours in its bucket that a hash is compared with at most: bounds the time that popular pictures cost."""
_BLOCK = 1 << 21
_STRIDE = 29  # odd, so i -> 29 i mod 64 is a bijection; bands then mix low and high frequencies of a DCT hash


def near_pairs(
    hashes: Hashes, distance: int, *, window: int = WINDOW, stats: Counter[str] | None = None
) -> Iterator[tuple[Indices, Indices]]:
    """All pairs of hashes that differ in at most ``distance`` bits, in blocks of (i, j) positions, each pair once.

    Args:
        hashes: distinct, ascending.
        distance: bits, 0 to 16.
        window: see `WINDOW`. Where it cuts a bucket short pairs may be missed; ``stats["cut"]`` then counts the
            comparisons' left sides.
        stats: gets ``bands``, ``passes``, ``compared``, ``pairs``, ``cut``.
    """
    stats = Counter() if stats is None else stats
    bands, kept = _bands(len(hashes), distance)
    stats["bands"], stats["passes"] = bands, comb(bands, kept)
    spread = _spread(hashes)
    for chosen in combinations(range(bands), kept):
        layout = _Layout(bands, chosen)
        values = layout.apply(spread)
        values.sort()
        for left, right in _agreeing(values, layout, distance, window, stats):
            stats["pairs"] += len(left)
            yield _positions(hashes, layout.undo(left)), _positions(hashes, layout.undo(right))


def near_any(hashes: Hashes, listed: Hashes, distance: int) -> npt.NDArray[np.bool_]:
    """For each hash, whether any listed one differs from it in at most ``distance`` bits; in any order."""
    found = np.zeros(len(hashes), dtype=bool)
    if not len(listed):
        return found
    bands, kept = _bands(len(listed), distance)
    ours, theirs = _spread(hashes), _spread(np.unique(listed))
    for chosen in combinations(range(bands), kept):
        layout = _Layout(bands, chosen)
        values = np.sort(layout.apply(theirs))
        keys = values >> layout.shift
        for start in range(0, len(ours), _BLOCK):
            block = layout.apply(ours[start : start + _BLOCK])
            low, high = (np.searchsorted(keys, block >> layout.shift, side) for side in ("left", "right"))
            active = np.flatnonzero(low < high)
            while active.size:
                near = np.bitwise_count(block[active] ^ values[low[active]]) <= distance
                found[start + active[near]] = True
                active = active[~near]
                low[active] += 1
                active = active[low[active] < high[active]]
    return found


def star_clusters(size: int, low: npt.NDArray[np.int32], high: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The leader of each of ``size`` nodes: nodes in order lead unless an earlier leader is their neighbour.

    Unlike connected components no chain of small steps joins what is far apart: a node is a neighbour of its leader.
    A node with several leaders among its neighbours gets the earliest.

    Args:
        size: number of nodes; their numbers are their order.
        low, high: the pairs of neighbours, ``low < high``; may be memory-mapped.
    """
    undecided, leads = np.ones(size, dtype=bool), np.zeros(size, dtype=bool)
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(low), _BLOCK)]
    while undecided.any():
        waiting = np.zeros(size, dtype=bool)
        for block in blocks:
            lower, upper = low[block], high[block]
            waiting[upper[undecided[lower] & undecided[upper]]] = True
        fresh = undecided & ~waiting
        leads |= fresh
        undecided &= waiting
        for block in blocks:
            undecided[high[block][fresh[low[block]]]] = False
    leader = np.arange(size, dtype=np.int32)
    for block in blocks:
        lower, upper = low[block], high[block]
        member = leads[lower] & ~leads[upper]
        np.minimum.at(leader, upper[member], lower[member])
    return leader


def _bands(rows: int, distance: int) -> tuple[int, int]:
    """How many bands, and how many of them must agree: the cheapest for so many rows.

    Measured on 24M hashes: a pass costs about 70 ns a row to arrange and sort, and 7 ns a comparison. Real hashes are
    taken to fill their buckets as evenly as random ones of nine tenths of the bits would.
    """
    if not 0 <= distance <= 16:
        raise ValueError(f"a distance of {distance} bits; 0 to 16 are searched")

    def cost(bands: int) -> float:
        kept = bands - distance
        return comb(bands, kept) * (70 + 7 * rows / 2 ** (0.9 * BITS * kept / bands) / 2)

    bands = min(range(distance + 1, min(distance + 9, BITS)), key=cost)
    return bands, bands - distance


class _Layout:
    """Hashes with the chosen bands moved to the top, in order, the others behind them."""

    def __init__(self, bands: int, chosen: tuple[int, ...]) -> None:
        edges = [round(band * BITS / bands) for band in range(bands + 1)]
        order = [*chosen, *(band for band in range(bands) if band not in chosen)]
        self._moves: list[tuple[int, int, int]] = []  # (shift before, width, shift after) of each band
        self._rivals: list[np.uint64] = []
        top = BITS
        for band in order:
            width = edges[band + 1] - edges[band]
            top -= width
            self._moves.append((edges[band], width, top))
            # Bands not chosen, yet in front of the last that is: agreement there means an earlier pass had the pair.
            if band not in chosen and band < chosen[-1]:
                self._rivals.append(np.uint64(((1 << width) - 1) << top))
        self.shift = np.uint64(BITS - sum(edges[band + 1] - edges[band] for band in chosen))

    def apply(self, hashes: Hashes) -> Hashes:
        result = np.zeros_like(hashes)
        for before, width, after in self._moves:
            result |= ((hashes >> np.uint64(before)) & np.uint64((1 << width) - 1)) << np.uint64(after)
        return result

    def undo(self, values: Hashes) -> Hashes:
        result = np.zeros_like(values)
        for before, width, after in self._moves:
            result |= ((values >> np.uint64(after)) & np.uint64((1 << width) - 1)) << np.uint64(before)
        return result

    def first_here(self, differing: Hashes) -> npt.NDArray[np.bool_]:
        """Which of the pairs, by their exclusive-or, no earlier pass has met."""
        first = np.ones(len(differing), dtype=bool)
        for mask in self._rivals:
            first &= (differing & mask) != 0
        return first


def _agreeing(
    values: Hashes, layout: _Layout, distance: int, window: int, stats: Counter[str]
) -> Iterator[tuple[Hashes, Hashes]]:
    """Near pairs of sorted values that agree in the bits above ``layout.shift``."""
    limit = np.uint64(1) << layout.shift
    for start in range(0, len(values), _BLOCK):
        active = np.arange(start, min(start + _BLOCK, len(values)))
        for step in range(1, window + 1):
            active = active[: np.searchsorted(active, len(values) - step)]
            if not active.size:
                break
            left = values[active]
            differing = left ^ values[active + step]
            stats["compared"] += len(active)
            agrees = differing < limit
            near = np.flatnonzero(agrees & (np.bitwise_count(differing) <= distance))
            near = near[layout.first_here(differing[near])]
            if near.size:
                yield left[near], left[near] ^ differing[near]
            active = active[agrees]
        stats["cut"] += len(active)


_FORTH = [(bit, bit * _STRIDE % BITS) for bit in range(BITS)]


def _spread(hashes: Hashes) -> Hashes:
    """The hashes with their bits in another order; distances stay."""
    return _move(hashes, _FORTH)


def _positions(hashes: Hashes, spread: Hashes) -> Indices:
    return np.searchsorted(hashes, _move(spread, [(after, before) for before, after in _FORTH]))


def _move(hashes: Hashes, moves: list[tuple[int, int]]) -> Hashes:
    one, result = np.uint64(1), np.zeros_like(hashes)
    for before, after in moves:
        result |= ((hashes >> np.uint64(before)) & one) << np.uint64(after)
    return result
