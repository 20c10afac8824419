"""The catalogue with the dataset's own views: what people and tools open to ask questions.

What does not belong here: the catalogue's views themselves (`store.catalogue`).
"""

from __future__ import annotations

import duckdb

from biomedica_assets.dataset.biomedica_view import add_biomedica_view
from biomedica_assets.dataset.duplicates import add_duplicates_view
from biomedica_assets.dataset.subsets import add_metadata_view
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.files import Files


def open_dataset(url: str | Files) -> duckdb.DuckDBPyConnection:
    """`open_catalogue` with the views ``duplicates`` and ``biomedica`` (see `biomedica_view`).

    Raises:
        FileNotFoundError: no catalogue has been built yet.
    """
    files = url if isinstance(url, Files) else Files(url)
    connection = open_catalogue(files)
    add_duplicates_view(files, connection)
    add_metadata_view(connection)
    add_biomedica_view(connection)
    return connection
