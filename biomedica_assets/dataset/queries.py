"""DuckDB over the dataset: a connection of bounded memory with all views, and queries written through a schema.

What does not belong here: what is asked (`duplicates`, `subsets`, `exports`), the views of the catalogue itself
(`store.catalogue`).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.duck import PROTOCOL, duck_url
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile
from biomedica_assets.store.shards import put_once

MEMORY_LIMIT = "2GB"
BATCH_ROWS = 50_000


@contextmanager
def bounded_catalogue(files: Files, scratch: str | None = None) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """`open_catalogue` that spills to a scratch folder of its own beyond `MEMORY_LIMIT`; yields both.

    Raises:
        FileNotFoundError: no catalogue has been built yet.
    """
    with (
        tempfile.TemporaryDirectory(prefix="dataset-", dir=scratch or None) as folder,
        open_catalogue(files) as connection,
    ):
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute(f"SET temp_directory = {sql_text(Path(folder, 'spill'))}")
        connection.execute("SET TimeZone = 'UTC'")
        yield connection, Path(folder)


def lock(files: Files, connection: duckdb.DuckDBPyConnection) -> None:
    """From here on the connection reads this store's files and nothing else, and no statement can change that."""
    root = files.local_path()
    allowed = f"{root}/" if root else f"{PROTOCOL}://"
    connection.execute(f"SET allowed_directories = [{sql_text(allowed)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def from_parquet(files: Files, path: str) -> str:
    """A FROM item over one file of the store."""
    return f"read_parquet({sql_text(duck_url(files, path))})"


def local_parquet(*paths: Path) -> str:
    """A FROM item over Parquet files of this machine, at least one."""
    return f"read_parquet([{', '.join(map(sql_text, paths))}])"


def sql_text(text: Any) -> str:
    """A string literal."""
    return "'" + str(text).replace("'", "''") + "'"


def count_rows(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    """Rows of a FROM item, conditions included."""
    return int(connection.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0])


def load(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Make an Arrow table a table of the connection."""
    connection.register("arriving", table)
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM arriving")
    connection.unregister("arriving")


def write_query(
    files: Files, connection: duckdb.DuckDBPyConnection, scratch: Path, table: schemas.Table, query: str, folder: str
) -> DataFile:
    """Write a query's result through the table's schema as ``<folder>/<hash>.parquet``, once; memory is bounded."""
    path, rows, schema = scratch / f"{table.name}.parquet", 0, table.arrow
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in connection.sql(query).to_arrow_reader(BATCH_ROWS):
            columns = [batch.column(name).cast(schema.field(name).type) for name in schema.names]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            rows += batch.num_rows
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    data_file = DataFile(f"{folder}/{digest[:16]}.parquet", path.stat().st_size, digest, rows)
    put_once(files, path, data_file.path, data_file.bytes)
    return data_file
