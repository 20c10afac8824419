"""The search in one segment of a vector index: which of three ways, by what each costs.

Belongs here: the nearest vectors of one query among those that a mask keeps. Not here: files (`vector_files`), several
segments and rows that own several vectors (`vectors`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from biomedica_assets.search.vector_files import SegmentRecord, open_index, open_matrix, open_rows

CANDIDATES = 300
"""Vectors that the codes propose, at least; three times the wanted ones when that is more."""
BLOCK = 2048
"""Vectors decoded at a time by a gather: 2 MB at 256 dimensions, which stay in the processor's cache."""
GATHER, SCAN, PICK, CODES = 700.0, 1.2, 200.0, 7.0
"""Nanoseconds of CPU at 256 dimensions: gathering a kept vector; looking whether one is kept; measuring a kept one in
a scan; scanning one's codes."""


class Segment:
    """An open segment. Safe for many threads; faiss lets go of the interpreter's lock.

    Raises:
        VectorFileError: a file is missing, cut, or not of this record.
    """

    def __init__(self, folder: Path, record: SegmentRecord) -> None:
        self.record = record
        self.rows = open_rows(folder, record)
        self.matrix = open_matrix(folder, record)
        """float16 [n, dimensions], mapped."""
        self._exact = open_index(folder, record.vectors, record)
        self._codes: Any = open_index(folder, record.codes, record) if record.codes else None
        self._refined: Any = faiss.IndexRefine(self._codes, self._exact) if record.codes else None
        first, last = int(self.rows[0]), int(self.rows[-1])
        self._span = slice(first, last + 1) if last - first + 1 == record.count else None
        self.repeats = bool((self.rows[1:] == self.rows[:-1]).any())
        """Whether a row owns several vectors."""
        if self.repeats:
            self._span = None

    def vectors_of(self, row: int) -> np.ndarray:
        """float32 [m, dimensions]: the vectors of a row, none when it has none here."""
        start, end = np.searchsorted(self.rows, [row, row + 1])
        return self.matrix[start:end].astype(np.float32)

    def search(
        self, query: np.ndarray, limit: int, mask: np.ndarray | None = None, *, exact: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest vectors by cosine, best first.

        Args:
            query: float32 [dimensions] of length 1.
            limit: how many vectors; several may be of one row.
            mask: bool over all rows, true for those that may be found.
            exact: scan everything.

        Returns:
            Rows (uint32) and similarities (float32), as many as there are up to ``limit``.
        """
        kept = None if mask is None else mask[self._span] if self._span else mask[self.rows]
        count = self.record.count if kept is None else int(np.count_nonzero(kept))
        limit = min(limit, count)
        if not limit:
            return np.empty(0, np.uint32), np.empty(0, np.float32)
        if count == self.record.count:
            kept = None
        way = "scan" if exact else self._cheapest(count)
        if way == "gather" and kept is not None:
            places, scores = self._gather(query, limit, np.flatnonzero(kept))
        else:
            places, scores = self._faiss(query, limit, kept, by_codes=way == "codes")
        return self.rows[places], scores

    def _cheapest(self, count: int) -> str:
        """The way that costs least for so many kept vectors; all but the codes are exact."""
        record = self.record
        costs = {"gather": count * GATHER, "scan": record.count * SCAN + count * PICK}
        if count == record.count:
            costs = {"scan": record.count * 20.0}  # one after the other, nothing looked up
        if self._codes is not None:
            costs["codes"] = record.count * CODES * record.probes / record.lists
        return min(costs, key=lambda way: costs[way])

    def _gather(self, query: np.ndarray, limit: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Exact, reading only what is kept."""
        scores = np.empty(len(places), np.float32)
        codes = self.matrix.view(np.uint8)
        for start in range(0, len(places), BLOCK):
            chosen = codes[places[start : start + BLOCK]]
            scores[start : start + BLOCK] = self._exact.sa_decode(chosen) @ query
        best = np.argpartition(-scores, limit - 1)[:limit]
        best = best[np.lexsort((places[best], -scores[best]))]
        return places[best], scores[best]

    def _faiss(
        self, query: np.ndarray, limit: int, kept: np.ndarray | None, *, by_codes: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        faiss.omp_set_num_threads(1)  # of this thread: concurrent queries share the cores by themselves
        selector = None if kept is None else faiss.IDSelectorBitmap(np.packbits(kept, bitorder="little"))
        one = np.ascontiguousarray(query, np.float32)[None]
        if by_codes:
            probing = faiss.SearchParametersIVF(sel=selector, nprobe=self.record.probes)
            factor = max(3.0, CANDIDATES / limit)
            wide = faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=probing)
            scores, places = self._refined.search(one, limit, params=wide)
        else:
            scores, places = self._exact.search(one, limit, params=faiss.SearchParameters(sel=selector))
        found = places[0] >= 0
        return places[0][found], scores[0][found]
