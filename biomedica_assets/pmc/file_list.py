"""File lists: rows, chunk keys, and reading them from the store.

A file list, ``releases/<release>.parquet``, says what a release adds, changes or removes against all releases before
it, cut into chunks. It is created once and never edited; it alone says which version is in which chunk. Not here:
how it comes about (`compare`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from biomedica_assets.store.files import Files

FOLDER = "releases"
ACTIONS = ("add", "change", "remove", "retry")
METADATA = b"file_list"
"""Where the Parquet schema keeps the file list's summary."""


class FileListRow(NamedTuple):
    """One row of a file list; the columns of `schemas.FILE_LIST`."""

    chunk: str
    action: str
    listed_id: str
    pmcid: int
    version: int
    etag: str | None
    last_modified: str | None
    location: str | None
    prior_chunk: str | None
    attempts: int


@dataclass(frozen=True)
class FileListSummary:
    """What a comparison found.

    Attributes:
        rows: rows of the file list; counts by action in ``actions``.
        listed: versions that the release lists, within scope or not; ``listed_before`` those of the state before.
        out_of_scope: new, changed or retried versions that the scope leaves out.
        skipped: listed names that are no article version. duplicates: rows beside the newest one of a version.
        given_up: retries that had all their attempts.
        held: reasons why the release is held; nothing was written then.
    """

    release: str
    checksum: str
    chunk_size: int
    rows: int
    actions: dict[str, int]
    listed: int
    listed_before: int
    out_of_scope: int = 0
    skipped: int = 0
    duplicates: int = 0
    given_up: int = 0
    held: list[str] = field(default_factory=list)

    @property
    def chunks(self) -> list[tuple[str, int]]:
        """Chunk keys with their rows, in order."""
        full, rest = divmod(self.rows, self.chunk_size)
        sizes = [self.chunk_size] * full + ([rest] if rest else [])
        return [(chunk_key(self.release, number), size) for number, size in enumerate(sizes)]


def chunk_key(release: str, number: int) -> str:
    """``chunk_key("2026-11-20", 42)`` is ``"2026-11-20-00042"``."""
    return f"{release}-{number:05}"


def release_of_chunk(chunk: str) -> str:
    """Name of the release whose file list holds the chunk."""
    return chunk.rpartition("-")[0]


def file_list_path(release: str) -> str:
    """Path of a release's file list in the store."""
    return f"{FOLDER}/{release}.parquet"


def list_releases(store: Files) -> list[str]:
    """Names of the releases that have a file list, oldest first."""
    paths = (path for path, _ in store.list(FOLDER))
    return sorted(Path(path).stem for path in paths if path == file_list_path(Path(path).stem))


def read_summary(store: Files, release: str) -> FileListSummary:
    """What the release's file list says of itself, chunk keys included. Raises FileNotFoundError."""
    with store.open_seekable(file_list_path(release)) as file:
        metadata = pq.ParquetFile(file).schema_arrow.metadata
    return FileListSummary(**json.loads(metadata[METADATA]))


def list_chunks(store: Files, release: str) -> list[tuple[str, int]]:
    """Chunk keys of the release's file list with their rows, in order. Raises FileNotFoundError."""
    return read_summary(store, release).chunks


def read_chunk_rows(store: Files, chunk: str) -> list[FileListRow]:
    """Rows of a chunk, in PMCID order; empty when its file list has no such chunk. Raises FileNotFoundError."""
    with store.open_seekable(file_list_path(release_of_chunk(chunk))) as file:
        parquet = pq.ParquetFile(file)
        groups = [n for n in range(parquet.num_row_groups) if _may_hold(parquet.metadata.row_group(n), chunk)]
        if not groups:
            return []
        table = parquet.read_row_groups(groups)
    rows = table.filter(pc.equal(table["chunk"], chunk)).to_pylist()
    return [FileListRow(**row) for row in rows]


def _may_hold(group: pq.RowGroupMetaData, chunk: str) -> bool:
    statistics = group.column(0).statistics  # the first column is the chunk
    return statistics is None or not statistics.has_min_max or statistics.min <= chunk <= statistics.max
