"""Near pairs against brute force; star clusters by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.dataset.near import near_any, near_pairs, star_clusters


def brute(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    return {(int(i), int(j)) for i, j in zip(*np.nonzero(apart <= distance), strict=True) if i < j}


def found(hashes: np.ndarray, distance: int, **options: int) -> list[tuple[int, int]]:
    blocks = near_pairs(hashes, distance, **options)
    return [
        (min(i, j), max(i, j)) for left, right in blocks for i, j in zip(left.tolist(), right.tolist(), strict=True)
    ]


@st.composite
def clouds(draw: st.DrawFn) -> np.ndarray:
    """Few centres, each with neighbours some flipped bits away."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=9)
    values = set(centres)
    for centre in centres:
        for bits in draw(st.lists(flips, max_size=8)):
            value = centre
            for bit in bits:
                value ^= 1 << bit
            values.add(value)
    return np.array(sorted(values), dtype=np.uint64)


@given(clouds(), st.integers(0, 8))
def test_every_pair_is_found_once(hashes: np.ndarray, distance: int) -> None:
    pairs = found(hashes, distance)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == brute(hashes, distance)


@pytest.mark.parametrize("distance", [0, 1, 4, 6, 16])
def test_random_hashes_with_planted_neighbours(distance: int) -> None:
    random = np.random.default_rng(7)
    base = random.integers(0, 2**64, 1500, dtype=np.uint64)
    flips = np.bitwise_or.reduce(np.uint64(1) << random.integers(0, 64, (3, 1500), dtype=np.uint64), axis=0)
    hashes = np.unique(np.concatenate([base, base ^ flips]))
    assert set(found(hashes, distance)) == brute(hashes, distance)


def test_a_crowded_bucket_is_cut_and_counted() -> None:
    hashes = np.arange(1000, dtype=np.uint64)
    stats: Counter[str] = Counter()
    pairs = {p for block in near_pairs(hashes, 2, window=5, stats=stats) for p in zip(*block, strict=True)}
    assert stats["cut"] > 0
    assert 0 < len(pairs) < len(brute(hashes, 2))


@given(clouds(), clouds(), st.integers(0, 7))
def test_near_any_is_brute_force(hashes: np.ndarray, listed: np.ndarray, distance: int) -> None:
    expected = (np.bitwise_count(hashes[:, None] ^ listed[None, :]) <= distance).any(axis=1)
    assert near_any(hashes, listed, distance).tolist() == expected.tolist()


def test_nothing_listed() -> None:
    assert not near_any(np.array([1, 2], dtype=np.uint64), np.array([], dtype=np.uint64), 6).any()


def test_too_far() -> None:
    with pytest.raises(ValueError, match="17 bits"):
        list(near_pairs(np.array([1, 2], dtype=np.uint64), 17))


def clusters(size: int, *pairs: tuple[int, int]) -> list[int]:
    low, high = (np.array([pair[side] for pair in pairs], dtype=np.int32) for side in (0, 1))
    return star_clusters(size, low, high).tolist()


def test_a_chain_is_not_one_cluster() -> None:
    # 0-1-2-3-4: 1 follows 0; 2 is no neighbour of 0, so it leads and 3 follows; 4 leads again.
    assert clusters(5, (0, 1), (1, 2), (2, 3), (3, 4)) == [0, 0, 2, 2, 4]


def test_the_earliest_of_several_leaders() -> None:
    assert clusters(4, (1, 3), (0, 3), (2, 3)) == [0, 1, 2, 0]


def test_no_pairs() -> None:
    assert clusters(3) == [0, 1, 2]
