"""The independent walks of benchmarks/corpus_counts.py and the parser agree on the whole corpus."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def compared(corpus_path: Path, counts: ModuleType):  # type: ignore[no-untyped-def]
    compared = counts.Compared()
    for source in counts.sources(corpus_path):
        counts.compare(source, compared)
    return compared


def test_every_figure_label_graphic_and_link_of_the_corpus_is_read(compared) -> None:  # type: ignore[no-untyped-def]
    totals = compared.totals
    # 532 files and 2,594 figures are the corpus's own count (its README); the rest was counted by the walks.
    for name, count in {
        "files": 532,
        "figures": 2594,
        "labels": 2569,
        "captions": 2573,
        "graphics": 2587,
        "links to figures": 8237,
    }.items():
        assert (name, totals[name], totals[f"{name}:read"]) == (name, count, count)


def test_there_is_no_difference(compared) -> None:  # type: ignore[no-untyped-def]
    assert compared.differences == []
