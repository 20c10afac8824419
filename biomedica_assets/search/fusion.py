"""Several rankings as one: reciprocal-rank fusion, and grouping by article.

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
