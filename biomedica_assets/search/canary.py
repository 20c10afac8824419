"""Does the published index find what it should? A few captions of the newest chunk are searched for by their words.

What does not belong here: how good rankings are (`benchmarks`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from biomedica_assets.search.searcher import Searcher, SearchRequest
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.files import Files

WORDS = 12


@dataclass(frozen=True)
class Canary:
    """A figure, words of its caption, and its place among the hits (from 1); null when it was not found."""

    figure_id: str
    words: str
    place: int | None


def check_index(files: Files, settings: Settings, count: int = 5) -> list[Canary]:
    """Search for captions of current figures; all licence groups, whatever is served.

    Raises:
        IndexMissingError: there is no index.
    """
    with tempfile.TemporaryDirectory(prefix="search-check-", dir=settings.scratch or None) as folder:
        everything = settings.model_copy(update={"served_groups": ("commercial", "noncommercial", "other")})
        searcher = Searcher(files, Path(folder), everything)
        found = []
        for canary in _captions(files, count):
            request = SearchRequest(text=canary.words, mode="keyword", fields=("caption",), limit=100)
            ids = [hit.figure_id for hit in searcher.search(request).hits]
            place = ids.index(canary.figure_id) + 1 if canary.figure_id in ids else None
            found.append(replace(canary, place=place))
        searcher.close()
        return found


def _captions(files: Files, count: int) -> Iterator[Canary]:
    """The longest captions of the newest chunk that has any."""
    query = """
        SELECT figure_id, "text" FROM captions WHERE chunk = (SELECT max(chunk) FROM current)
        ORDER BY length("text") DESC, figure_id LIMIT ?
    """
    with open_catalogue(files) as connection:
        for figure_id, text in connection.execute(query, [count]).fetchall():
            words = " ".join((text or "").split()[:WORDS]).replace('"', " ")
            if words:
                yield Canary(figure_id, words, None)
