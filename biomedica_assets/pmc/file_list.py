"""File lists: what a release adds, changes or removes against all releases before it, cut into chunks.

Belongs here: their rows, chunk keys, writing and reading ``releases/<release>.parquet``, and the guard against
releases that change too much. Not here: how the rows are found (`compare`), reading inventories (`cloud`,
`packages`), deciding when to run.

A file list is created once and never edited; it alone says which version is in which chunk.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from biomedica_assets.pmc.compare import Comparison, Retry
from biomedica_assets.pmc.releases import Listing
from biomedica_assets.schemas import FILE_LIST
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import file_list_path, list_releases, release_of

__all__ = [
    "FileListRow",
    "FileListSummary",
    "Guard",
    "ReleaseOrderError",
    "Retry",
    "chunk_key",
    "list_chunks",
    "read_chunk_rows",
    "read_summary",
    "write_file_list",
]

ACTIONS = ("add", "change", "remove", "retry")
_ROW_GROUP = 100_000
_METADATA = b"file_list"  # where the Parquet schema keeps the summary


class ReleaseOrderError(ValueError):
    """A release that is not newer than the newest file list: its changes would be read in the wrong order."""


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


@dataclass(frozen=True)
class Guard:
    """When a release is held: shares of the versions listed before, above a floor of rows."""

    removed_share: float = 0.001
    changed_share: float = 0.05
    floor: int = 100

    def reasons(self, listed_before: int, removed: int, changed: int) -> list[str]:
        """Why to hold the release; empty when it may pass."""
        found = []
        for word, count, share in (("removes", removed, self.removed_share), ("changes", changed, self.changed_share)):
            if listed_before and count > self.floor and count > share * listed_before:
                found.append(
                    f"{word} {count} of {listed_before} versions ({count / listed_before:.2%}); {share:.2%} may pass"
                )
        return found


def chunk_key(release: str, number: int) -> str:
    """``chunk_key("2026-11-20", 42)`` is ``"2026-11-20-00042"``."""
    return f"{release}-{number:05}"


def write_file_list(
    listing: Listing,
    store: Files,
    target: str | Path,
    *,
    chunk_size: int,
    retries: Iterable[Retry] = (),
    scope: Sequence[tuple[int, int]] = (),
    guard: Guard | None = None,
    approved: bool = False,
    max_attempts: int = 5,
    memory_limit: str = "1.2GB",
    threads: int = 2,
    scratch: str | Path | None = None,
) -> FileListSummary:
    """Compare a release with the store's file lists and write its own to the local file ``target``.

    The caller puts ``target`` into the store under `file_list_path`, whole. The same inputs give the same bytes.

    Args:
        listing: the release's versions.
        scope: inclusive ranges of PMCID numbers; empty means all.
        guard: when to hold the release; null never holds.
        approved: somebody has looked at the held release: write it.
        max_attempts: a version is listed again so often at most.
        memory_limit: of DuckDB, which spills to a temporary folder below ``scratch``.

    Raises:
        ReleaseOrderError: the store has a file list of this release or of a newer one.
        ListingError: the listing cannot be read.
    """
    release = listing.release
    earlier = list_releases(store)
    if earlier and release.name <= earlier[-1]:
        raise ReleaseOrderError(f"release {release.name} is not newer than the newest file list, {earlier[-1]}")
    if scratch is not None:
        Path(scratch).mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="compare-", dir=scratch) as folder,
        Comparison(Path(folder), memory_limit=memory_limit, threads=threads) as comparison,
    ):
        comparison.load_listing(listing)
        with ThreadPoolExecutor(16) as pool:  # years of small files, one round trip each where the store is remote
            copies = list(pool.map(lambda name: _local_copy(store, name, Path(folder)), earlier))
        comparison.load_state(copies)
        comparison.load_requests(retries, scope)
        comparison.compare(max_attempts=max_attempts)
        actions = comparison.actions()
        summary = FileListSummary(
            release=release.name,
            checksum=release.checksum,
            chunk_size=chunk_size,
            rows=actions.total(),
            actions={action: actions[action] for action in ACTIONS},
            listed=comparison.listed(),
            listed_before=comparison.listed_before(),
            out_of_scope=comparison.out_of_scope,
            skipped=comparison.skipped,
            duplicates=comparison.duplicates,
            given_up=comparison.given_up,
        )
        reasons = guard.reasons(summary.listed_before, actions["remove"], actions["change"]) if guard else []
        if reasons and not approved:
            return replace(summary, held=reasons)
        _write(comparison, Path(target), summary)
        return summary


def _local_copy(store: Files, release: str, folder: Path) -> Path:
    """The file list as a local file."""
    path = file_list_path(release)
    if (local := store.local_path(path)) is not None:
        return local
    copy = folder / f"{release}.parquet"
    with copy.open("wb") as file:
        for block in store.stream(path):
            file.write(block)
    return copy


def _write(comparison: Comparison, target: Path, summary: FileListSummary) -> None:
    """Stream the rows into Parquet; a row's place decides its chunk."""
    facts = {name: value for name, value in asdict(summary).items() if name != "held"}
    schema = FILE_LIST.arrow.with_metadata({_METADATA: json.dumps(facts, sort_keys=True)})
    written = 0
    with pq.ParquetWriter(target, schema, compression="zstd", write_statistics=True) as writer:
        for table in _regrouped(comparison.rows(_ROW_GROUP)):
            writer.write_table(_with_chunks(table, written, summary, schema), row_group_size=_ROW_GROUP)
            written += table.num_rows


def _regrouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of exactly one row group, the last one shorter: the file must not depend on the engine's batches."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        while rows >= _ROW_GROUP:
            table = pa.Table.from_batches(held)
            yield table.slice(0, _ROW_GROUP)
            rest = table.slice(_ROW_GROUP)
            held, rows = rest.to_batches(), rest.num_rows
    if rows:
        yield pa.Table.from_batches(held)


def _with_chunks(table: pa.Table, first: int, summary: FileListSummary, schema: pa.Schema) -> pa.Table:
    places = range(first, first + table.num_rows)
    size = summary.chunk_size
    keys = [chunk_key(summary.release, n) for n in range(places.start // size, (places.stop - 1) // size + 1)]
    numbers = pa.array([place // size - places.start // size for place in places], pa.int32())
    listed_id = pc.binary_join_element_wise(
        pc.binary_join_element_wise("PMC", table["pmcid"].cast(pa.string()), ""),
        table["version"].cast(pa.string()),
        ".",
    )
    columns: dict[str, Any] = {name: table[name] for name in table.column_names}
    columns["chunk"] = pa.array(keys, pa.string()).take(numbers)
    columns["listed_id"] = listed_id
    arrays = [columns[name] for name in schema.names]
    return pa.table(arrays, names=schema.names).cast(schema)


def read_summary(store: Files, release: str) -> FileListSummary:
    """What the release's file list says of itself, chunk keys included. Raises FileNotFoundError."""
    with store.open_seekable(file_list_path(release)) as file:
        metadata = pq.ParquetFile(file).schema_arrow.metadata
    return FileListSummary(**json.loads(metadata[_METADATA]))


def list_chunks(store: Files, release: str) -> list[tuple[str, int]]:
    """Chunk keys of the release's file list with their rows, in order. Raises FileNotFoundError."""
    return read_summary(store, release).chunks


def read_chunk_rows(store: Files, chunk: str) -> list[FileListRow]:
    """Rows of a chunk, in PMCID order; empty when its file list has no such chunk. Raises FileNotFoundError."""
    with store.open_seekable(file_list_path(release_of(chunk))) as file:
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
