"""The order of an epoch: which of n samples comes when, for one part of them. Pure integer arithmetic.

Samples are counted in the archive's order. Blocks of neighbours are permuted as wholes, so that what is read stays in
stretches; the sequence is cut into equal slices, one per part; within a slice, windows are shuffled sample by sample.
Random numbers come from SplitMix64 rather than from a library whose stream may change between versions: the same
arguments give the same order on every machine, for good. What does not belong here: what the samples are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLOCK = 16
"""Neighbours in the archive that stay together until their window is shuffled: about 1 MB of figures."""
WINDOW = 512
"""Samples shuffled among each other: 32 blocks from anywhere in the archive."""

Positions = npt.NDArray[np.int32]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_WORD = (1 << 64) - 1


def bounds(total: int, part: int, parts: int) -> tuple[int, int]:
    """First position of a part and the one behind its last: parts differ by one sample at most.

    >>> [bounds(10, part, 4) for part in range(4)]
    [(0, 2), (2, 5), (5, 7), (7, 10)]
    """
    return total * part // parts, total * (part + 1) // parts


def order(total: int, first: int, last: int, *, seed: int = 0, epoch: int = 0, shuffle: bool = True) -> Positions:
    """Which sample stands at the positions ``first`` to ``last`` (exclusive) of an epoch of ``total`` samples.

    Any two of seed and epoch give an order of their own; without shuffling, all give the archive's.

    >>> order(5, 1, 4, shuffle=False).tolist()
    [1, 2, 3]
    >>> sorted(order(100, 0, 50).tolist() + order(100, 50, 100).tolist()) == list(range(100))
    True
    """
    if not shuffle or first >= last:
        return np.arange(first, max(first, last), dtype=np.int32)
    blocks = np.argsort(_random(-(-total // BLOCK), seed, epoch, 0), kind="stable")
    sizes = np.full(len(blocks), BLOCK, dtype=np.int64)
    sizes[blocks == len(blocks) - 1] = total - BLOCK * (len(blocks) - 1)
    ends = np.cumsum(sizes)
    low = int(np.searchsorted(ends, first, side="right"))
    high = int(np.searchsorted(ends, last, side="left")) + 1
    samples = (blocks[low:high, None] * BLOCK + np.arange(BLOCK)).ravel()
    samples = samples[samples < total].astype(np.int32)
    skipped = first - int(ends[low] - sizes[low])
    return _shuffled_windows(samples[skipped : skipped + last - first], seed, epoch)


def _shuffled_windows(samples: Positions, seed: int, epoch: int) -> Positions:
    whole = len(samples) // WINDOW * WINDOW
    parts = [samples[:whole].reshape(-1, WINDOW), samples[whole:].reshape(1, -1)]
    shuffled = []
    for part in parts:
        places = np.argsort(_hash(part.astype(np.uint64), seed, epoch, 1), axis=1, kind="stable")
        shuffled.append(np.take_along_axis(part, places, axis=1).ravel())
    return np.concatenate(shuffled)


def _random(count: int, seed: int, epoch: int, purpose: int) -> npt.NDArray[np.uint64]:
    return _hash(np.arange(count, dtype=np.uint64), seed, epoch, purpose)


def _hash(values: npt.NDArray[np.uint64], seed: int, epoch: int, purpose: int) -> npt.NDArray[np.uint64]:
    """SplitMix64's numbers at these places of the stream that seed, epoch and purpose begin."""
    key = 0
    for number in (seed, epoch, purpose):
        key = int(_mix(np.array([(key + number) & _WORD], dtype=np.uint64))[0])
    return _mix(np.uint64(key) + values)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is what is wanted
        mixed = (values + np.uint64(1)) * _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
        return mixed ^ (mixed >> np.uint64(31))
