"""DuckDB over a store, wherever it lies: its own reader for local files, an fsspec adapter for everything else.

No DuckDB extension is needed, so nothing is downloaded when a query runs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, BinaryIO

import duckdb
from fsspec import AbstractFileSystem

from biomedica_assets.store.files import Files, check_path

PROTOCOL = "biomedica"


def duck_url(files: Files, path: str) -> str:
    """How SQL names a file of the store."""
    root = files.local_path()  # joined as text: views name tens of thousands of files
    return f"{PROTOCOL}://{path}" if root is None else f"{root}/{check_path(path)}"


def register(files: Files, connection: duckdb.DuckDBPyConnection) -> None:
    """Let the connection read the store's files by `duck_url`."""
    if files.local_path() is None:
        connection.register_filesystem(_StoreFileSystem(files))


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
