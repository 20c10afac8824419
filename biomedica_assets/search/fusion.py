"""Several rankings as one: by their scores, or by ranks alone where scores do not compare.

`blend` adds up scores that are stretched to 0..1 within each ranking. On real captions it finds more than
reciprocal-rank fusion, which lost to keywords alone whenever the vectors were the weaker ranking: a rank does not say
how sure it is (docs/search.md has the numbers).

What does not belong here: where the rankings come from (`opened`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

K = 60
"""What is added to ranks: the constant of the method's paper; larger values favour what stands in several lists."""

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True)
class Found:
    """Rankings by vectors: space, rows (best first), similarities; ``warnings`` say what could not be asked."""

    rankings: list[tuple[str, np.ndarray, np.ndarray]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def blend(rankings: Iterable[tuple[float, Sequence[_Key], Sequence[float]]], depth: int) -> list[tuple[_Key, float]]:
    """Items of weighted rankings with their scores (best first, each item once), best first, with the sums.

    Within a ranking the best score counts 1; the last counts 0 when the ranking was cut at ``depth``, as what is behind
    it does. A shorter one holds all there is, and is stretched from a score of zero. Equal sums keep the order in which
    the items come up, list by list.

    >>> blend([(1.0, ["a", "b"], [8.0, 4.0]), (0.5, ["b", "c"], [0.9, 0.3])], 10)
    [('a', 1.0), ('b', 1.0), ('c', 0.16666666666666666)]
    >>> blend([(1.0, ["a", "b"], [8.0, 4.0])], 2)
    [('a', 1.0), ('b', 0.0)]
    """
    sums: dict[_Key, float] = {}
    for weight, items, scores in rankings:
        if not len(items):
            continue
        least = min(float(scores[-1]), 0.0) if len(items) < depth else float(scores[-1])
        stretch = float(scores[0]) - least
        for item, score in zip(items, scores, strict=True):
            part = (float(score) - least) / stretch if stretch > 0 else 1.0
            sums[item] = sums.get(item, 0.0) + weight * part
    return sorted(sums.items(), key=lambda entry: -entry[1])


def fuse(rankings: Iterable[tuple[float, Sequence[_Key]]]) -> list[tuple[_Key, float]]:
    """Items of weighted rankings (best first, each item once), best first, with their scores.

    Equal scores keep the order in which the items come up, list by list.

    >>> fuse([(1.0, ["a", "b"]), (1.0, ["b", "c"])])[0]
    ('b', 0.03252247488101534)
    """
    scores: dict[_Key, float] = {}
    for weight, ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            scores[item] = scores.get(item, 0.0) + weight / (K + rank)
    return sorted(scores.items(), key=lambda entry: -entry[1])
