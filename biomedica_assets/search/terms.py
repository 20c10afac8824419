"""Which rows have a term: an inverted file for filters on lists (MeSH, keywords, subjects, publication types).

Lists belong to articles, whose figures have consecutive rows: a line says field, term and the first and last row. Lines
are sorted by field and term, so that a question reads a few row groups of a Parquet file, not every list. What does not
belong here: filters on single values (`rows`), words of texts (`keyword`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets.dataset.queries import local_parquet
from biomedica_assets.search.documents import ArticleDocument
from biomedica_assets.store.duck import sql_text

TERMS = pa.schema([("field", pa.string()), ("term", pa.string()), ("first", pa.uint32()), ("last", pa.uint32())])
LISTS = {
    "mesh": ("mesh", "mesh_uis"),
    "keyword": ("keywords",),
    "subject": ("subjects",),
    "publication_type": ("publication_types",),
}
"""By field of filters: the article's lists of terms, which are kept in lower case."""
_BATCH, _GROUP = 100_000, 20_000


class TermWriter:
    """Collects the terms of articles in a Parquet file, unsorted; leaves none when there are none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._columns: list[list[str | int]] = [[], [], [], []]
        self.count = 0

    def add(self, article: ArticleDocument, first: int, last: int) -> None:
        """An article whose figures have the rows from ``first`` to ``last``."""
        for field, names in LISTS.items():
            for term in sorted({term.lower() for name in names for term in article.filters[name]}):
                for column, value in zip(self._columns, (field, term, first, last), strict=True):
                    column.append(value)
        if len(self._columns[0]) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._columns[0]:
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._path, TERMS)
            self._writer.write_table(pa.table(self._columns, schema=TERMS))
            self.count += len(self._columns[0])
            self._columns = [[], [], [], []]

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()


def sort_terms(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], target: Path) -> None:
    """One sorted file of the lines of several, without those of articles whose rows are dead (table ``dead``: row)."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not paths:
        pq.write_table(TERMS.empty_table(), target)
        return
    connection.execute(f"""
        COPY (SELECT * FROM {local_parquet(*paths)} WHERE "first" NOT IN (SELECT "row" FROM dead)
              ORDER BY field, term, "first")
        TO {sql_text(target)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP})
    """)


def rows_with(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], field: str, terms: Iterable[str]
) -> np.ndarray:
    """Rows whose article has one of these terms (in lower case), in no order, dead ones included."""
    query = f"""
        SELECT "first", "last" FROM {local_parquet(*paths)}
        WHERE field = ? AND term IN (SELECT unnest(?::VARCHAR[]))
    """
    found = connection.execute(query, [field, list(terms)]).fetchnumpy()
    first, last = (np.asarray(found[name], np.int64) for name in ("first", "last"))
    count = last - first + 1
    ends = np.cumsum(count)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - ends + count, count)
