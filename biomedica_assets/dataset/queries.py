"""DuckDB over the dataset: a connection of bounded memory with all views.

What does not belong here: what is asked (`duplicates`, `subsets`, `exports`), the views of the catalogue itself
(`store.catalogue`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.duck import PROTOCOL, duck_url, sql_text
from biomedica_assets.store.files import Files

MEMORY_LIMIT = "2GB"


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


def count_rows(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    """Rows of a FROM item, conditions included."""
    return int(connection.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0])


def load(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Make an Arrow table a table of the connection."""
    connection.register("arriving", table)
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM arriving")
    connection.unregister("arriving")
