"""A vector index: immutable segments searched as one; how deltas are added and segments merged.

Belongs here: the search over all segments, the policy and the act of merging. Not here: the files of one segment
(`vector_files`), the search in it (`vector_segment`), image and joint spaces (`vector_spaces`), what a row is and which
rows live (`generation`).

Life of an index: the first build and every delta write one segment (`build_segment`). `plan_merges` says which segments
should become one, `merge_segments` makes it; the old files stay as they are until nobody names them. What is deleted or
withdrawn is masked in every search, and left out when its segment is merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from biomedica_assets.search.vector_codes import write_codes
from biomedica_assets.search.vector_files import Batch, SegmentRecord, VectorFileError, write_vectors
from biomedica_assets.search.vector_segment import Segment

__all__ = [
    "Segment",
    "SegmentRecord",
    "VectorFileError",
    "VectorIndex",
    "build_segment",
    "merge_segments",
    "plan_merges",
]

CODED_FROM = 50_000
"""Vectors from which a segment gets codes; smaller ones are scanned whole (1 ms of CPU at 256 dimensions)."""
FAN = 8
"""So many segments of about one size become one: each vector is rewritten once per factor of eight in size."""
SMALLEST = 5_000
"""Segments below this many vectors count as of this size: a usual delta is one chunk."""
DEAD_SHARE = 0.3
"""A segment of which more than this is dead is rewritten alone."""

BATCH = 50_000
"""Vectors copied at a time by a merge."""

Found = tuple[np.ndarray, np.ndarray]
"""Rows (uint32) and their cosine similarities (float32), best first, ties by row."""


class VectorIndex:
    """Segments of one space, searched together. Safe for many threads; open once, swap as a whole.

    Raises:
        VectorFileError: a file is missing, cut, or not what its record says.
        ValueError: the segments differ in dimensions.
    """

    def __init__(self, folder: Path, records: Iterable[SegmentRecord]) -> None:
        self.segments = tuple(Segment(folder, record) for record in records)
        widths = {segment.record.dimensions for segment in self.segments}
        if len(widths) > 1:
            raise ValueError(f"segments of {sorted(widths)} dimensions in one index")
        self.dimensions: int | None = next(iter(widths), None)
        self.count = sum(segment.record.count for segment in self.segments)
        self.rows = max((int(segment.rows[-1]) + 1 for segment in self.segments), default=0)
        """One more than the largest row: the least length of a mask."""

    def search(self, query: np.ndarray, limit: int, mask: np.ndarray | None = None, *, exact: bool = False) -> Found:
        """The rows whose nearest vector is nearest to the query; each row once, with its best similarity.

        Args:
            query: [dimensions], of any length but 0.
            limit: how many rows.
            mask: bool over rows (at least `rows` long), true for those that may be found; None: all.
            exact: scan everything, to compare with.

        Returns:
            Rows (uint32) and cosine similarities (float32), best first, ties by row; fewer than ``limit`` when fewer
            are kept. A query of zeros (a text that says nothing to the encoder) finds nothing.

        Raises:
            ValueError: the query has another width, or the mask is too short.
        """
        query = np.asarray(query, np.float32).reshape(-1)
        length = float(np.linalg.norm(query))
        if self.dimensions is None or limit < 1 or not np.isfinite(length) or length == 0:
            return np.empty(0, np.uint32), np.empty(0, np.float32)
        if len(query) != self.dimensions:
            raise ValueError(f"a query of {len(query)} dimensions, the index has {self.dimensions}")
        if mask is not None and len(mask) < self.rows:
            raise ValueError(f"a mask of {len(mask)} rows, the index has {self.rows}")
        query /= length
        parts = [_distinct(segment, query, limit, mask, exact) for segment in self.segments]
        return _best(np.concatenate([rows for rows, _ in parts]), np.concatenate([s for _, s in parts]), limit)

    def vectors_of(self, row: int) -> np.ndarray:
        """float32 [m, dimensions]: the vectors of a row; m is 0 when it has none."""
        found = [segment.vectors_of(row) for segment in self.segments]
        return np.concatenate(found) if found else np.empty((0, 0), np.float32)


def _distinct(segment: Segment, query: np.ndarray, limit: int, mask: np.ndarray | None, exact: bool) -> Found:
    """The best rows of one segment: more vectors are asked for until enough rows are among them."""
    wanted = limit
    while True:
        rows, scores = segment.search(query, wanted, mask, exact=exact)
        if not segment.repeats or len(rows) < wanted or wanted >= segment.record.count:
            break
        if len(np.unique(rows)) >= limit:
            break
        wanted *= 2
    return _best(rows, scores, limit) if segment.repeats else (rows, scores)


def _best(rows: np.ndarray, scores: np.ndarray, limit: int) -> Found:
    order = np.lexsort((rows, -scores))
    rows, scores = rows[order], scores[order]
    _, first = np.unique(rows, return_index=True)
    first = np.sort(first)[:limit]
    return rows[first], scores[first]


def build_segment(folder: Path, batches: Iterable[Batch], dimensions: int, *, threads: int = 1) -> SegmentRecord | None:
    """Write a segment; None when there is no vector.

    Args:
        folder: gets the files, named by their content.
        batches: (rows, vectors) in ascending order of rows; read once, a batch at a time.
        threads: for making the codes of a large one.

    Raises:
        ValueError: see `vector_files.write_vectors`.
    """
    record = write_vectors(folder, batches, dimensions)
    if record is None or record.count < CODED_FROM:
        return record
    return write_codes(folder, record, threads=threads)


def plan_merges(alive: Sequence[int], counts: Sequence[int]) -> list[list[int]]:
    """Which segments (by place) to merge into one now; groups do not overlap.

    Args:
        alive: vectors of each segment that a merge would keep.
        counts: all vectors of each segment.
    """
    groups = [[place] for place in range(len(alive))]
    sizes = list(alive)
    while True:
        tiers: dict[int, list[int]] = {}
        for place, size in enumerate(sizes):
            if size >= 0:
                tiers.setdefault(_tier(size), []).append(place)
        full = [places for places in tiers.values() if len(places) >= FAN]
        if not full:
            break
        for places in full:
            groups[places[0]] = sorted(place for one in places for place in groups[one])
            sizes[places[0]] = sum(sizes[place] for place in places)
            for place in places[1:]:
                groups[place], sizes[place] = [], -1
    dead = {place for place in range(len(alive)) if counts[place] - alive[place] > DEAD_SHARE * counts[place]}
    return [group for group in groups if len(group) > 1 or (group and group[0] in dead)]


def _tier(size: int) -> int:
    tier, bound = 0, SMALLEST * FAN
    while size >= bound:
        tier, bound = tier + 1, bound * FAN
    return tier


def merge_segments(
    folder: Path,
    segments: Sequence[Segment],
    *,
    keep: np.ndarray | None = None,
    renumber: np.ndarray | None = None,
    threads: int = 1,
) -> SegmentRecord | None:
    """Write one segment of the vectors of several; None when none is left. The old files are not touched.

    Args:
        keep: bool over old rows: others are left out.
        renumber: integers over old rows: their new rows, negative for those left out. Default: as they are.
    """
    dimensions = segments[0].record.dimensions
    rows = np.concatenate([segment.rows for segment in segments])
    owner = np.repeat(np.arange(len(segments)), [segment.record.count for segment in segments])
    place = np.concatenate([np.arange(segment.record.count) for segment in segments])
    new = rows.astype(np.int64) if renumber is None else renumber[rows].astype(np.int64)
    live = np.flatnonzero((new >= 0) & (True if keep is None else keep[rows]))
    order = live[np.argsort(new[live], kind="stable")]
    matrices = [segment.matrix for segment in segments]

    def batches() -> Iterator[Batch]:
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            vectors = np.empty((len(chosen), dimensions), matrices[0].dtype)
            for number, matrix in enumerate(matrices):
                mine = owner[chosen] == number
                vectors[mine] = matrix[place[chosen[mine]]]
            yield new[chosen], vectors

    return build_segment(folder, batches(), dimensions, threads=threads)
