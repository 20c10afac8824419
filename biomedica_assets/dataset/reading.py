"""Images of any selection, read in few requests: neighbours in an archive shard come together, gaps stay small.

What does not belong here: which images (`subsets`), what becomes of them (`exports`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import read_span
from biomedica_assets.store.tables import iter_rows

MAX_GAP = 64 << 10
"""Bytes between two spans that are read along: less than what another request costs in time."""
MAX_WASTE = 0.2
"""Share of a read that may be gaps: with it a subset costs at most 1.25 times its own bytes."""
MAX_READ = 8 << 20
"""Bytes of one read, unless a single span is longer: bounds memory."""


class Span(NamedTuple):
    """Bytes of one image in its archive shard."""

    shard: str
    offset: int
    length: int


class Read(NamedTuple):
    """One request: a range of a shard, and the positions of the spans that it holds."""

    shard: str
    offset: int
    length: int
    spans: list[int]


def stored_images(files: Files, path: str, columns: Sequence[str]) -> Iterator[Row]:
    """Rows of a file of table `images` whose bytes the store holds; the columns shard and sha256 are read besides."""
    for row in iter_rows(files, path, list(dict.fromkeys([*columns, "shard", "sha256"]))):
        if row["shard"] is not None and row["sha256"] is not None:  # null: not collected, or dropped since
            yield row


def plan_reads(
    spans: Sequence[Span], *, max_gap: int = MAX_GAP, max_waste: float = MAX_WASTE, max_read: int = MAX_READ
) -> list[Read]:
    """Requests that cover all spans, by shard and offset. Spans may repeat or overlap."""
    reads: list[Read] = []
    useful = 0  # bytes of the last read that some span wants
    for index in sorted(range(len(spans)), key=lambda i: spans[i]):
        shard, offset, length = spans[index]
        if reads and reads[-1].shard == shard:
            last = reads[-1]
            end = last.offset + last.length
            new_end = max(end, offset + length)
            new_useful = useful + max(0, new_end - max(end, offset))
            whole = new_end - last.offset
            gap_ok = offset - end <= max_gap and whole - new_useful <= max_waste * whole
            if offset < end or (gap_ok and whole <= max_read):
                reads[-1] = last._replace(length=whole)
                last.spans.append(index)
                useful = new_useful
                continue
        reads.append(Read(shard, offset, length, [index]))
        useful = length
    return reads


def read_images(files: Files, spans: Sequence[Span], workers: int = 8) -> Iterator[tuple[int, bytes]]:
    """Every span's position and bytes, in the order of the archive; at most ``2 * workers`` reads are in memory.

    Raises:
        FileNotFoundError, SpanError: the store does not hold what it should.
    """
    reads = iter(plan_reads(spans))

    def fetch(read: Read) -> tuple[Read, bytes]:
        return read, read_span(files, read.shard, read.offset, read.length)

    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[tuple[Read, bytes]]] = [pool.submit(fetch, read) for read in islice(reads, 2 * workers)]
        try:
            while waiting:
                read, data = waiting.pop(0).result()
                waiting.extend(pool.submit(fetch, following) for following in islice(reads, 1))
                for index in read.spans:
                    start = spans[index].offset - read.offset
                    yield index, data[start : start + spans[index].length]
        finally:
            for future in waiting:
                future.cancel()
