"""Records of one article by its id: from the chunk that holds it, never by a scan over all chunks.

The catalogue's `current` is sorted by PMCID, so that finding the chunk reads one row group; the chunk's tables are then
read for that article alone. Files are named by their content: what was read once is kept without ever going stale.
What does not belong here: whether a caller may see it (`state`), its form outside (`models`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Generic, TypeVar

import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.schemas import Row
from biomedica_assets.store.catalogue import Generation
from biomedica_assets.store.files import Files
from biomedica_assets.store.tables import read_table

_Value = TypeVar("_Value")

_CURRENT = ("chunk", "article_id", "pmcid", "version", "pmid")
_LOG = ("partition", "pmid", "is_newest")
_SPAN = ("article_id", "image_id", "licence_group", "media_type", "width", "bytes", "sha256", "shard", "image_offset")
# Columns are what reading costs: a page shows pictures of two dozen articles, each in a chunk of its own.


class Recent(Generic[_Value]):
    """A mapping that keeps the values asked for last. Safe to use from many threads; a value may be made twice."""

    def __init__(self, size: int) -> None:
        self._size, self._lock = size, threading.Lock()
        self._values: OrderedDict[Hashable, _Value] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], _Value]) -> _Value:
        """The value of the key, made when it is not there. What ``make`` raises is passed on and nothing kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return value


@dataclass(frozen=True)
class FigureRecord:
    """A figure's rows; ``mentions`` carry their paragraph's row under the key ``paragraph``.

    ``labels`` are the annotations that hold of its images, ``panels`` those of its images in order, ``entities`` those
    of its caption. Mentions carry those of their paragraph, and what it is worth, as ``entities`` and ``quality``.
    """

    row: Row
    caption: Row
    images: tuple[Row, ...]
    mentions: tuple[Row, ...]
    labels: tuple[Row, ...] = ()
    panels: tuple[Row, ...] = ()
    entities: tuple[Row, ...] = ()


@dataclass(frozen=True)
class ArticleRecord:
    """An article's rows; ``metadata`` is PubMed's newest record, or empty."""

    row: Row
    figures: tuple[FigureRecord, ...]
    metadata: Row


class Records:
    """Reads records of a store. Safe to use from many threads.

    Args:
        files: the store.
        size: how many (table, article) results are kept.
    """

    def __init__(self, files: Files, size: int = 4000) -> None:
        self._files = files
        self._rows: Recent[tuple[Row, ...]] = Recent(size)
        # By identity: a generation is read once and handed round; it is kept along, so that no other gets its id.
        self._paths: Recent[tuple[Generation, dict[str, dict[str, str]]]] = Recent(2)

    def current(self, generation: Generation, pmcid: int) -> Row | None:
        """The row of ``current`` of a PMCID."""
        found = self._catalogue(generation, schemas.CURRENT, "pmcid", pmcid, _CURRENT)
        return found[0] if found else None

    def spans(self, generation: Generation, chunk: str, article_id: str) -> tuple[Row, ...]:
        """Of an article's images what it takes to serve their bytes."""
        return self._of_article(generation, schemas.IMAGES, chunk, article_id, _SPAN)

    def panels(self, generation: Generation, chunk: str, article_id: str) -> tuple[Row, ...]:
        """The panels of an article's images."""
        return self._of_article(generation, schemas.PANELS, chunk, article_id)

    def article(self, generation: Generation, current: Row) -> ArticleRecord | None:
        """Everything about an article, by its row of ``current``; null when its chunk does not hold it after all."""
        chunk, article_id = current["chunk"], current["article_id"]

        def rows(table: schemas.Table) -> tuple[Row, ...]:
            return self._of_article(generation, table, chunk, article_id)

        articles = rows(schemas.ARTICLES)
        if not articles:
            return None
        captions = {row["figure_id"]: row for row in rows(schemas.CAPTIONS)}
        mentions = rows(schemas.MENTIONS)
        paragraphs = self._mentioned(generation, chunk, article_id, mentions)
        images = rows(schemas.IMAGES)
        labels = [row for row in rows(schemas.ANNOTATIONS) if row["chosen"]]
        panels = sorted(self.panels(generation, chunk, article_id), key=lambda row: (row["image_id"], row["ordinal"]))
        entities: dict[str, list[Row]] = {}
        for row in sorted(rows(schemas.ENTITIES), key=lambda row: row["start"]):
            entities.setdefault(row["text_id"], []).append(row)
        quality = {row["paragraph_id"]: row for row in rows(schemas.PARAGRAPH_QUALITY)}

        def cited(mention: Row) -> Row:
            paragraph_id = mention["paragraph_id"]
            about = {"entities": entities.get(paragraph_id, []), "quality": quality.get(paragraph_id)}
            return {**mention, "paragraph": paragraphs.get(paragraph_id), **about}

        figures = tuple(
            FigureRecord(
                row,
                captions.get(row["figure_id"], {}),
                tuple(sorted(_of(images, row), key=lambda image: image["ordinal"])),
                tuple(
                    cited(mention)
                    for mention in sorted(_of(mentions, row), key=lambda found: (found["ordinal"], found["start"]))
                ),
                tuple(_of(labels, row)),
                tuple(_of(panels, row)),
                tuple(entities.get(row["figure_id"], ())),
            )
            for row in sorted(rows(schemas.FIGURES), key=lambda figure: figure["ordinal"])
        )
        return ArticleRecord(articles[0], figures, self._metadata(generation, current["pmid"]))

    def _mentioned(
        self, generation: Generation, chunk: str, article_id: str, mentions: Sequence[Row]
    ) -> Mapping[str, Row]:
        """The paragraphs that mention a figure: an article has hundreds of others."""
        wanted = {row["paragraph_id"] for row in mentions}
        columns = ("article_id", "paragraph_id", "ordinal", "kind", "section_path", "section_type", "text")
        if not wanted:
            return {}
        rows = self._of_article(generation, schemas.PARAGRAPHS, chunk, article_id, columns, wanted)
        return {row["paragraph_id"]: row for row in rows}

    def _metadata(self, generation: Generation, pmid: int | None) -> Row:
        if pmid is None or "pubmed_log" not in generation.files:
            return {}
        newest = [
            row for row in self._catalogue(generation, schemas.PUBMED_LOG, "pmid", pmid, _LOG) if row["is_newest"]
        ]
        path = self._path(generation, "metadata", newest[0]["partition"]) if newest else None
        if path is None:
            return {}
        columns = ["pmid", "outcome", "mesh", "publication_types", "chemicals", "pubmed_status"]
        rows = self._rows.get((path, pmid), lambda: _read(self._files, path, columns, [("pmid", "=", pmid)]))
        return rows[0] if rows else {}

    def _of_article(
        self,
        generation: Generation,
        table: schemas.Table,
        chunk: str,
        article_id: str,
        columns: tuple[str, ...] | None = None,
        paragraphs: set[str] | None = None,
    ) -> tuple[Row, ...]:
        path = self._path(generation, table.name, chunk)
        if path is None:
            return ()
        where: list[tuple[str, str, Any]] = [("article_id", "=", article_id)]
        if paragraphs:
            where.append(("paragraph_id", "in", paragraphs))
        return self._rows.get((path, article_id, columns), lambda: _read(self._files, path, columns, where))

    def _catalogue(
        self, generation: Generation, table: schemas.Table, column: str, value: int, columns: tuple[str, ...]
    ) -> tuple[Row, ...]:
        """Rows of a table of the catalogue that is sorted by the column."""
        path = generation.files[table.name].path

        def read() -> tuple[Row, ...]:
            with self._files.open_seekable(path) as file:
                found = pq.read_table(file, columns=list(columns), filters=[(column, "=", value)], use_threads=False)
            return tuple(found.to_pylist())

        return self._rows.get((path, value), read)

    def _path(self, generation: Generation, table: str, partition: str) -> str | None:
        paths = self._paths.get(id(generation), lambda: (generation, _by_partition(generation)))[1]
        return paths.get(table, {}).get(partition)


def _by_partition(generation: Generation) -> dict[str, dict[str, str]]:
    """Paths by table and partition: files are called ``<partition>-<hash>.parquet``."""
    return {
        table: {PurePosixPath(path).name.rpartition("-")[0]: path for path in paths}
        for table, paths in generation.paths.items()
    }


def _read(files: Files, path: str, columns: Sequence[str] | None, where: Any) -> tuple[Row, ...]:
    return tuple(read_table(files, path, columns, where).to_pylist())


def _of(rows: Sequence[Row], figure: Row) -> list[Row]:
    return [row for row in rows if row["figure_id"] == figure["figure_id"]]
