"""Fusion of rankings, worked out by hand."""

from __future__ import annotations

import pytest

from biomedica_assets.search.fusion import blend, fuse


def test_scores_are_stretched_within_each_ranking() -> None:
    # Cut at 3, so the last counts nothing: words 1, 4 of 8, 0; vectors 1, a quarter of the way from 0.4 to 0.8, 0.
    words = (1.0, ["a", "b", "c"], [10.0, 6.0, 2.0])
    vectors = (0.4, ["c", "a", "d"], [0.8, 0.5, 0.4])
    assert blend([words, vectors], 3) == [
        ("a", pytest.approx(1.1)),
        ("b", pytest.approx(0.5)),
        ("c", pytest.approx(0.4)),
        ("d", pytest.approx(0.0)),
    ]


def test_a_ranking_that_holds_all_there_is_counts_from_zero() -> None:
    assert blend([(1.0, ["a", "b"], [10.0, 5.0])], 300) == [("a", 1.0), ("b", 0.5)]
    # A cosine may be negative; then the lowest is where it begins: (0.5 + 0.5) / (0.5 + 0.5), 0.
    assert blend([(2.0, ["a", "b"], [0.5, -0.5])], 300) == [("a", 2.0), ("b", 0.0)]


def test_equal_scores_and_nothing() -> None:
    assert blend([], 10) == blend([(1.0, [], [])], 10) == []
    assert blend([(1.0, ["a", "b"], [3.0, 3.0])], 2) == [("a", 1.0), ("b", 1.0)]
    assert blend([(1.0, ["a"], [0.0])], 10) == [("a", 1.0)]


def test_ranks() -> None:
    # 1 / 61 + 1 / 62 against 1 / 61 and 1 / 62
    assert fuse([(1.0, ["a", "b"]), (1.0, ["b", "c"])]) == [
        ("b", pytest.approx(1 / 62 + 1 / 61)),
        ("a", pytest.approx(1 / 61)),
        ("c", pytest.approx(1 / 62)),
    ]
