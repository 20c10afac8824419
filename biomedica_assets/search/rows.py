"""Rows: every figure's number within the index, and what filters need to know of it, image by image.

A row is given once and never again until the index is built anew; vectors, masks and deletions speak of rows. The
filter columns lie in Parquet files beside the index and are asked by DuckDB: `RowTable.mask` turns filters into one
boolean per row. What does not belong here: the filters' meaning (`dataset.filters`), keyword search (`keyword`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets.dataset.filters import Filters, bounded
from biomedica_assets.dataset.queries import local_parquet
from biomedica_assets.search.documents import FIGURE_LISTS, LABELS, ArticleDocument, FigureDocument
from biomedica_assets.search.keyword import IMAGE_FIELDS, OF_FIGURE
from biomedica_assets.search.terms import LISTS, rows_with
from biomedica_assets.store.duck import sql_text

ROWS_VERSION = 4
"""Raised when the files of rows or terms change: the index is then built anew."""
ROWS = pa.schema(
    [
        ("row", pa.uint32()),
        ("image", pa.uint16()),
        ("article_id", pa.string()),
        ("figure_id", pa.string()),
        ("pmcid", pa.int64()),
        *((name, pa.string()) for name in ("article_group", "licence_group", "licence_code", "media_type", "kind")),
        *((name, pa.int64()) for name in ("width", "height", "bytes", "n_panels")),
        ("paragraph_score", pa.float64()),
        *((name, pa.string()) for name in ("journal", "journal_abbreviation", "publisher", "article_type")),
        *((name, pa.string()) for name in ("language", "publication_date")),
        *((name, pa.list_(pa.string())) for name in (*LABELS, *FIGURE_LISTS)),
    ]
)
"""One line per image of a figure, one without image values for a figure that has none; named as filters name them.

Lists of articles have a file of their own, see `terms`; those of images and figures are in lower case here."""

_LISTED = {
    "label": "labels",
    "panel_type": "panel_types",
    "entity": "entity_terms",
    "entity_type": "entity_types",
    "paragraph_type": "paragraph_types",
    "paragraph_domain": "paragraph_domains",
}
_BATCH = 20_000
_MASK_BYTES = 256 << 20


class RowWriter:
    """Writes the lines of new rows to a Parquet file, in ascending order of rows; leaves none when there are none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._lines: list[dict[str, Any]] = []
        self.count = 0

    def add(self, row: int, figure: FigureDocument, article: ArticleDocument) -> None:
        names = [name for name in ROWS.names if name in article.filters]
        shared = {name: article.filters[name] for name in names}
        for number, image in enumerate(figure.images):
            own = {"row": row, "image": number, "figure_id": figure.figure_id, "kind": figure.kind}
            lists = {name: [label.lower() for label in image[name]] for name in (*LABELS, *FIGURE_LISTS)}
            self._lines.append(shared | own | image | lists)
        if len(self._lines) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._lines:
            if self._writer is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = pq.ParquetWriter(self._path, ROWS, compression="zstd")
            self._writer.write_table(pa.Table.from_pylist(self._lines, schema=ROWS))
            self.count += len(self._lines)
            self._lines = []

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()


def merge_rows(paths: Sequence[Path], target: Path, dead: np.ndarray) -> None:
    """Write the lines of several files, in order, as one, without those of dead rows."""
    with pq.ParquetWriter(target, ROWS, compression="zstd") as writer:
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(_BATCH, use_threads=False):
                writer.write_batch(batch.filter(pa.array(~np.isin(batch.column("row").to_numpy(), dead))))


def in_groups(served: Iterable[str]) -> str:
    """SQL: the line's article and image are in one of these licence groups."""
    groups = ", ".join(map(sql_text, served)) or "NULL"
    return f"article_group IN ({groups}) AND licence_group IN ({groups})"


def _conditions(filters: Filters) -> list[tuple[str, str, list[Any]]]:
    """Those of the filters; lists are in lower case here already, which saves most of the time."""
    return [
        (name, f'list_has_any("{_LISTED[name]}", ?)' if name in _LISTED else sql, bound)
        for name, sql, bound in filters.conditions()
    ]


class RowTable:
    """The rows of one generation, for one server's licence groups. Safe for many threads.

    Args:
        paths: the Parquet files of rows.
        terms: those of terms.
        rows: one more than the largest row.
        dead: rows that are deleted.
        served: licence groups of which anything may be found.
    """

    def __init__(
        self, paths: Sequence[Path], terms: Sequence[Path], rows: int, dead: np.ndarray, served: Sequence[str]
    ) -> None:
        self.rows, self._served, self._terms = rows, tuple(served), tuple(terms)
        self._connection = duckdb.connect(config={"threads": 2, "memory_limit": "512MB"})
        if paths:
            self._connection.execute(f"CREATE VIEW rows AS SELECT * FROM {local_parquet(*paths)}")
        else:
            self._connection.register("nothing", ROWS.empty_table())
            self._connection.execute("CREATE TABLE rows AS SELECT * FROM nothing")
        self.alive = np.zeros(rows, bool)
        """bool [rows]: figures that are in the index."""
        self.pmcids = np.zeros(rows, np.int64)
        """int64 [rows]: the article of each figure; 0 for rows that are gone."""
        for batch in self._read('SELECT "row", pmcid FROM rows WHERE image = 0', []):
            numbers = batch.column("row").to_numpy()
            self.alive[numbers] = True
            self.pmcids[numbers] = batch.column("pmcid").to_numpy()
        self.alive[dead] = False
        self._connection.execute("""
            CREATE TABLE several AS SELECT * FROM rows WHERE "row" IN (SELECT "row" FROM rows WHERE image > 0)
        """)
        self._cache: OrderedDict[Any, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def mask(self, filters: Filters) -> np.ndarray:
        """bool [rows]: figures with an image that the filters keep and that may be served. Do not write to it."""
        return self._cached(("mask", filters), lambda: self._mask(filters))

    def _mask(self, filters: Filters) -> np.ndarray:
        conditions, values = [in_groups(self._served)], []
        mask = self.alive.copy()
        for name, sql, bound in _conditions(filters):
            if name in LISTS:
                mask &= self._with_terms(name, filters.active()[name])
            else:
                conditions.append(f"({sql})")
                values += bound
        passed = np.zeros(self.rows, bool)
        for batch in self._read(f'SELECT "row" FROM rows WHERE {" AND ".join(conditions)}', values):
            passed[batch.column("row").to_numpy()] = True
        return mask & passed

    def _with_terms(self, field: str, terms: Sequence[str]) -> np.ndarray:
        mask = np.zeros(self.rows, bool)
        if self._terms:
            mask[rows_with(self._connection.cursor(), self._terms, field, terms)] = True
        return mask

    def apart(self, filters: Filters, *, by: str = "row") -> np.ndarray:
        """Rows (or PMCIDs) of which each condition holds for some image, but not all of them for one image.

        Filters by single fields find them wrongly. Only conditions matter in which images (figures) differ.
        """
        differing = IMAGE_FIELDS if by == "row" else (*IMAGE_FIELDS, *OF_FIGURE)
        others = {
            name: Filters.model_fields[name].default for name in filters.active() if bounded(name) not in differing
        }
        relevant = filters.model_copy(update=others)
        return self._cached((by, relevant), lambda: self._apart(relevant, by))

    def _apart(self, filters: Filters, by: str) -> np.ndarray:
        groups = {"licence_group": [in_groups(self._served)]}
        values: dict[str, list[Any]] = {"licence_group": []}
        for name, sql, bound in _conditions(filters):
            field = bounded(name)
            groups.setdefault(field, []).append(sql)
            values.setdefault(field, []).extend(bound)
        if len(groups) < 2:
            return np.empty(0, np.int64)
        each = [" AND ".join(f"({sql})" for sql in parts) for parts in groups.values()]
        bound = [value for field in groups for value in values[field]]
        some = " AND ".join(f"bool_or(coalesce({sql}, false))" for sql in each)
        together = " AND ".join(f"({sql})" for sql in each)
        source = "several" if by == "row" else "rows"
        query = f"""
            SELECT "{by}" FROM {source} GROUP BY "{by}"
            HAVING {some} AND NOT bool_or(coalesce({together}, false)) ORDER BY 1
        """
        found = [batch.column(0).to_numpy() for batch in self._read(query, [*bound, *bound])]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def of_articles(self, article_ids: Sequence[str]) -> list[int]:
        """Rows of these article versions that are in the index, ascending."""
        query = 'SELECT "row" FROM rows WHERE image = 0 AND list_contains(?, article_id) ORDER BY 1'
        found = (row for batch in self._read(query, [list(article_ids)]) for row in batch.column(0).to_pylist())
        return [row for row in found if self.alive[row]]

    def _read(self, query: str, values: list[Any]) -> pa.RecordBatchReader:
        return self._connection.cursor().sql(query, params=values).to_arrow_reader(1 << 17)

    def _cached(self, key: Any, make: Callable[[], np.ndarray]) -> np.ndarray:
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        made = make()
        made.setflags(write=False)
        with self._lock:
            self._cache[key] = made
            while sum(array.nbytes for array in self._cache.values()) > _MASK_BYTES and len(self._cache) > 1:
                self._cache.popitem(last=False)
        return made
