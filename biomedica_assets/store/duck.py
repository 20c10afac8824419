"""DuckDB over a store, wherever it lies: its own reader for local files, an fsspec adapter for everything else.

Also what is written from a query. No DuckDB extension is needed, so nothing is downloaded when a query runs.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from biomedica_assets import schemas
from biomedica_assets.store.files import Files, check_path
from biomedica_assets.store.manifests import DataFile
from biomedica_assets.store.shards import put_once

PROTOCOL = "biomedica"
_ROW_GROUP = 100_000


def sql_text(text: Any) -> str:
    """A string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def duck_url(files: Files, path: str) -> str:
    """How SQL names a file of the store."""
    root = files.local_path()  # joined as text: views name tens of thousands of files
    return f"{PROTOCOL}://{path}" if root is None else f"{root}/{check_path(path)}"


def register(files: Files, connection: duckdb.DuckDBPyConnection) -> None:
    """Let the connection read the store's files by `duck_url`."""
    if files.local_path() is None:
        connection.register_filesystem(_StoreFileSystem(files))


def write_query(
    files: Files, connection: duckdb.DuckDBPyConnection, scratch: Path, table: schemas.Table, query: str, stem: str
) -> DataFile:
    """Write a query's result through the table's schema as ``<stem><hash>.parquet``, once; memory is bounded."""
    path, rows, schema = scratch / f"{table.name}.parquet", 0, table.arrow
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in connection.sql(query).to_arrow_reader(_ROW_GROUP):
            columns = [batch.column(name).cast(schema.field(name).type) for name in schema.names]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            rows += batch.num_rows
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    data_file = DataFile(f"{stem}{digest[:16]}.parquet", path.stat().st_size, digest, rows)
    put_once(files, path, data_file.path, data_file.bytes)
    return data_file


class _StoreFileSystem(AbstractFileSystem):
    """Read-only fsspec view of `Files`, for DuckDB."""

    protocol = PROTOCOL
    cachable = False

    def __init__(self, files: Files) -> None:
        super().__init__()
        self._files = files

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        return {"name": path, "size": self._files.size(path), "type": "file"}

    def modified(self, path: str) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC)  # files of a store never change: any constant will do for caches

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        return self._files.open_seekable(self._strip_protocol(path))
