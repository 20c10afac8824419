"""Parquet files of the tables in `schemas`: written in row groups, named by content, read back with today's columns.

What does not belong here: what the columns are (`schemas`), which files are live (`manifests`), queries over many
files (`catalogue`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile
from biomedica_assets.store.shards import put_once

BATCH_ROWS = 1000
"""Rows turned into Arrow memory at a time; Python rows cost several times their Arrow size."""
GROUP_BYTES = 16_000_000
"""Arrow bytes per row group: bounds the writer's memory, large enough for DuckDB to scan at full speed."""
BLOB_GROUP_BYTES = 8_000_000
"""The same for tables with binary columns, so that one article is read back without reading many."""
COMPRESSION_LEVEL = 1
"""Of zstd. On JATS XML, level 3 takes 1.6 times the CPU of level 1 to save 7 % of a size that images dwarf."""


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """A finished Parquet file in the scratch folder."""

    path: Path
    rows: int
    bytes: int
    sha256: str


class _Hashed:
    """A write-only file that knows its SHA-256, to spare a second reading."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest, self.size = file, hashlib.sha256(), 0
        self.closed = False

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True
        self._file.close()


class TableWriter:
    """Streams rows of one table into one Parquet file; memory is bounded by one row group.

    The bytes are a function of the rows, their order and pyarrow's version. A table without rows is a valid file too.

    Args:
        table: the table, from `schemas`.
        path: local file to write.
    """

    def __init__(self, table: schemas.Table, path: Path) -> None:
        self.table, self.path = table, path
        self._blobs = [c.name for c in table.columns if pa.types.is_large_binary(c.type)]
        self._group_bytes = BLOB_GROUP_BYTES if self._blobs else GROUP_BYTES
        self._pending: list[Row] = []
        self._pending_bytes = 0
        self._batches: list[pa.Table] = []
        self._rows = 0
        self._out = _Hashed(path.open("wb"))
        keys = [c.name for c in table.columns if _repeats(c)]
        self._writer = pq.ParquetWriter(
            self._out,
            table.arrow,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=keys,
            write_statistics=[c.name for c in table.columns if c.name not in self._blobs],
        )

    def add(self, rows: Iterable[Row]) -> None:
        """Append rows.

        Raises:
            KeyError, pyarrow.ArrowInvalid: as for `schemas.rows_to_table`, at this or a later call or at `close`.
        """
        for row in rows:
            self._pending.append(row)
            for name in self._blobs:
                self._pending_bytes += len(row.get(name) or b"")
            if len(self._pending) >= BATCH_ROWS or self._pending_bytes >= self._group_bytes:
                self._convert()

    def close(self) -> WrittenTable:
        """Write what is left and the footer."""
        self._convert()
        self._flush()
        self._writer.close()
        self._out.close()
        return WrittenTable(self.path, self._rows, self._out.size, self._out.digest.hexdigest())

    def _convert(self) -> None:
        if not self._pending:
            return
        self._batches.append(schemas.rows_to_table(self.table, self._pending))
        self._rows += len(self._pending)
        self._pending, self._pending_bytes = [], 0
        if sum(batch.nbytes for batch in self._batches) >= self._group_bytes:
            self._flush()

    def _flush(self) -> None:
        if self._batches:
            group = pa.concat_tables(self._batches)
            self._writer.write_table(group, row_group_size=len(group))
            self._batches = []


def _repeats(column: schemas.Column) -> bool:
    """Columns whose values repeat; a dictionary of all texts would be built only to be thrown away."""
    return pa.types.is_string(column.type) and column.name not in {"text", "title", "abstract", "message"}


def table_path(table_name: str, chunk: str, sha256: str) -> str:
    """Path of a chunk's file of a table below the store."""
    return f"{_stem(table_name, chunk)}{sha256[:16]}.parquet"


def _stem(table_name: str, chunk: str) -> str:
    folder = "sources" if table_name == schemas.SOURCES.name else f"tables/{table_name}"
    return f"{folder}/{chunk}-"


def commit_table(files: Files, table_name: str, chunk: str, written: WrittenTable) -> DataFile:
    """`put_table` where a chunk's or partition's file of a table lies."""
    return put_table(files, written, _stem(table_name, chunk))


def put_table(files: Files, written: WrittenTable, stem: str) -> DataFile:
    """Put a finished table into the store as ``<stem><hash>.parquet``, once; the local file is gone afterwards."""
    path = f"{stem}{written.sha256[:16]}.parquet"
    put_once(files, written.path, path, written.bytes)
    return DataFile(path, written.bytes, written.sha256, written.rows)


def table_of(path: str) -> schemas.Table:
    """The table that a path made by `table_path` belongs to. Raises KeyError."""
    parts = path.split("/")
    return {**schemas.CHUNK_TABLES, **schemas.DERIVED_TABLES}[parts[1] if parts[0] == "tables" else parts[0]]


def read_table(files: Files, path: str, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
    """Rows of one file with today's columns; those that the file's schema version did not have yet are null.

    Args:
        files: the store.
        path: as made by `table_path`.
        columns: names to read; default all.
        filters: `pyarrow.parquet.filters_to_expression` input, e.g. ``[("pmcid", "=", 13900)]``, or an expression;
            row groups that cannot match are not read.

    Raises:
        FileNotFoundError: no such file.
    """
    scanner, source = _scan(files, path, columns, filters)
    with source:
        return scanner.to_table()


def iter_rows(
    files: Files, path: str, columns: Sequence[str] | None = None, batch: int = BATCH_ROWS, filters: Any = None
) -> Iterator[Row]:
    """Like `read_table`, row by row, with a bounded part of the file in memory."""
    scanner, source = _scan(files, path, columns, filters, batch)
    with source:
        for part in scanner.to_batches():
            yield from part.to_pylist()


def _scan(
    files: Files, path: str, columns: Sequence[str] | None, filters: Any, batch: int = 1 << 17
) -> tuple[ds.Scanner, pa.NativeFile]:
    schema = table_of(path).arrow
    source = _open(files, path)
    fragment = ds.ParquetFileFormat().make_fragment(source)
    expression = pq.filters_to_expression(filters) if isinstance(filters, list) else filters
    scanner = fragment.scanner(
        schema=schema,
        columns=list(columns) if columns is not None else None,
        filter=expression,
        batch_size=batch,
        batch_readahead=1,
        use_threads=False,
    )
    return scanner, source


def _open(files: Files, path: str) -> pa.NativeFile:
    """Local files are Arrow's own business: its reader threads then never need Python, not even while it exits."""
    local = files.local_path(path)
    return pa.OSFile(str(local)) if local else pa.PythonFile(files.open_seekable(path), mode="r")
