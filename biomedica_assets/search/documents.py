"""What is indexed of an article: one document for it and one for each of its figures, from the catalogue's tables.

Documents are made chunk by chunk from the files of that chunk only, and streamed. A figure's ``card`` is what a result
shows and what tools hand on: ids, label, caption, sentences that cite it, article, licence, attribution, images. What
does not belong here: how documents are indexed (`keyword`, `rows`), which articles need it (`generation`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

import duckdb
import pyarrow as pa

from biomedica_assets import schemas
from biomedica_assets.dataset.fields import ATTRIBUTION
from biomedica_assets.store.catalogue import Generation, parquet_relation
from biomedica_assets.store.detail_views import DETAIL_VIEWS
from biomedica_assets.store.files import Files

MAX_SENTENCE = 500
MAX_MENTIONS = 8
MAX_BODY = 2_000_000
"""Longest sentence kept around a citation, most citing sentences kept per figure, most of an article's text indexed."""

LABELS = ("labels", "panel_types")
"""Lists of an image that annotations give it."""

FIGURE_LISTS = ("entity_terms", "entity_types", "paragraph_types", "paragraph_domains")
"""Lists of a figure that filters name: of its caption's entities, of the paragraphs that mention it."""
MAX_ENTITIES = 60
"""Most entities of a card; filters know all."""

_BATCH = 200  # articles and figures fetched from DuckDB at a time
TABLES = (
    *("articles", "paragraphs", "figures", "captions", "mentions", "images", "image_labels"),
    *("panels", "entities", "paragraph_quality"),
)
"""Tables whose chunks documents are made of, beside PubMed's."""


@dataclass(frozen=True)
class FigureDocument:
    """A figure as the index takes it.

    ``images`` are rows of filter columns, one per image; ``entities`` those of the caption: type, name, id.
    """

    figure_id: str
    caption: str
    mentions: str
    kind: str | None
    images: list[dict[str, Any]]
    entities: list[dict[str, Any]]
    card: dict[str, Any]


@dataclass(frozen=True)
class ArticleDocument:
    """An article and its figures; ``filters`` are the columns that a filter may name and that all its figures share."""

    chunk: str
    article_id: str
    pmcid: int
    title: str
    abstract: str
    terms: str
    """Keywords and MeSH descriptors."""
    body: str
    filters: dict[str, Any]
    card: dict[str, Any]
    figures: list[FigureDocument]


_SHARED = """
    a.chunk, a.article_id, a.pmcid, a.pmid, a.doi, a.title, a.abstract, a.journal, a.journal_abbreviation,
    a.publisher, a.article_type, a.language, a.publication_date, a.publication_year, a.licence_group, a.licence_code,
    a.licence_version, a.licence_url,
    list_transform(a.authors, lambda p: p.name) AS authors,
    list_distinct(list_transform(a.keywords, lambda k: k.keyword)) AS keywords,
    list_distinct(list_transform(a.subjects, lambda k: k.subject)) AS subjects
"""
_ARTICLES = f"""
    SELECT {_SHARED}, m.mesh, m.mesh_uis, m.publication_types, b.body
    FROM articles a LEFT JOIN pubmed m USING (article_id)
    LEFT JOIN (SELECT article_id, list("text" ORDER BY ordinal) AS body FROM paragraphs
               WHERE kind <> 'abstract' GROUP BY 1) b USING (article_id)
    ORDER BY a.article_id
"""
_FIGURES = f"""
    SELECT f.article_id, f.figure_id, f.kind, f.label, f.place, f.section_path, f.alt_text,
           c.title AS caption_title, c."text" AS caption, c.group_caption, x.images, t.mentions,
           e.named AS entities, e.terms AS entity_terms, e.types AS entity_types,
           q.types AS paragraph_types, q.domains AS paragraph_domains, q.score AS paragraph_score
    FROM figures f
    LEFT JOIN figure_entities e USING (figure_id)
    LEFT JOIN figure_paragraphs q USING (figure_id)
    LEFT JOIN captions c USING (figure_id)
    LEFT JOIN (
        SELECT i.figure_id, list(struct_pack(
                   image_id := i.image_id, media_type := i.media_type, width := i.width, height := i.height,
                   bytes := i.bytes, sha256 := i.sha256, licence_group := i.licence_group,
                   licence_code := i.licence_code, licence_version := i.licence_version, licence_url := i.licence_url,
                   third_party_notice := i.third_party_notice, attribution := {ATTRIBUTION},
                   labels := l.labels, panel_types := l.panel_types, n_panels := n.n_panels) ORDER BY i.ordinal
               ) AS images
        FROM images i JOIN figures f USING (figure_id) JOIN articles a ON a.article_id = i.article_id
        LEFT JOIN image_labels l ON l.image_id = i.image_id
        LEFT JOIN image_panels n ON n.image_id = i.image_id
        GROUP BY 1
    ) x USING (figure_id)
    LEFT JOIN (
        SELECT m.figure_id, list(struct_pack(
                   "start" := m."start", "end" := m."end", panels := m.panels, paragraph_id := m.paragraph_id,
                   "text" := p."text", section_path := p.section_path) ORDER BY m.ordinal, m."start"
               ) AS mentions
        FROM mentions m JOIN paragraphs p USING (paragraph_id) WHERE p.kind <> 'caption'
        GROUP BY 1
    ) t USING (figure_id)
    WHERE x.images IS NOT NULL OR (f.kind <> 'fig_group' AND coalesce(c."text", c.group_caption) IS NOT NULL)
    ORDER BY f.article_id, f.ordinal, f.figure_id
"""


def iter_documents(
    connection: duckdb.DuckDBPyConnection, files: Files, generation: Generation, *, body: bool = True
) -> Iterator[ArticleDocument]:
    """The documents of the articles in table ``wanted`` (chunk, article_id, pmid, partition), chunk by chunk.

    Args:
        connection: of `store.catalogue.connect`; gets views.
        files: the store.
        generation: of the catalogue, whose files are read.
        body: whether the articles' text is wanted.
    """
    paths = paths_by_partition(generation)
    tables = {**schemas.CHUNK_TABLES, **schemas.DERIVED_TABLES}
    chunks = connection.execute("SELECT DISTINCT chunk FROM wanted ORDER BY 1").fetchall()
    for (chunk,) in chunks:
        for name in TABLES:
            held = [paths[name][chunk]] if chunk in paths[name] else []
            relation = parquet_relation(files, held, tables[name], generation.schemas)
            only = "SEMI JOIN (SELECT article_id FROM wanted WHERE chunk = '" + chunk + "') USING (article_id)"
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {relation} {only}")
        for view in DETAIL_VIEWS:
            connection.execute(view)
        _pubmed_view(connection, files, generation, chunk, paths["metadata"])
        yield from _of_chunk(connection, body)


def paths_by_partition(generation: Generation) -> dict[str, dict[str, str]]:
    """Paths of the files that documents are made of, by table and chunk, PubMed's by their own partitions."""
    return {
        name: {PurePosixPath(path).name.rpartition("-")[0]: path for path in generation.paths.get(name, [])}
        for name in (*TABLES, "metadata")
    }


def _pubmed_view(
    connection: duckdb.DuckDBPyConnection, files: Files, generation: Generation, chunk: str, paths: dict[str, str]
) -> None:
    """View ``pubmed``: what PubMed's newest record says of each wanted article of the chunk."""
    query = "SELECT DISTINCT partition FROM wanted WHERE chunk = ? AND partition IS NOT NULL"
    partitions = [name for (name,) in connection.execute(query, [chunk]).fetchall() if name in paths]
    named = [paths[name] for name in sorted(partitions)]
    relation = parquet_relation(files, named, schemas.METADATA, generation.schemas)
    connection.execute(f"""
        CREATE OR REPLACE VIEW pubmed AS
        SELECT w.article_id, list_distinct(list_transform(m.mesh, lambda h: h.descriptor)) AS mesh,
               list_distinct(list_transform(m.mesh, lambda h: h.descriptor_ui)) AS mesh_uis,
               list_distinct(list_transform(m.publication_types, lambda t: t.name)) AS publication_types
        FROM {relation} m JOIN wanted w ON w.partition = m.partition AND w.pmid = m.pmid AND w.chunk = '{chunk}'
    """)


def _of_chunk(connection: duckdb.DuckDBPyConnection, body: bool) -> Iterator[ArticleDocument]:
    figures = groupby(_rows(connection.cursor(), _FIGURES), key=lambda row: row["article_id"])
    article_id, group = next(figures, (None, iter(())))
    for row in _rows(connection.cursor(), _ARTICLES):
        own: list[dict[str, Any]] = []
        if article_id == row["article_id"]:  # both are sorted by it, and every figure has its article
            own = list(group)
            article_id, group = next(figures, (None, iter(())))
        yield _article(row, own, body)


def _rows(cursor: duckdb.DuckDBPyConnection, query: str) -> Iterator[dict[str, Any]]:
    reader: pa.RecordBatchReader = cursor.sql(query).to_arrow_reader(_BATCH)
    for batch in reader:
        yield from batch.to_pylist()


def _article(row: dict[str, Any], figures: list[dict[str, Any]], body: bool) -> ArticleDocument:
    for name in ("keywords", "subjects", "mesh", "mesh_uis", "publication_types"):
        row[name] = sorted(filter(None, row[name] or []))
    filters = {
        name: row[name]
        for name in (
            *("article_id", "pmcid", "journal", "journal_abbreviation", "publisher", "article_type", "language"),
            *("publication_date", "publication_year", "publication_types", "mesh", "mesh_uis", "keywords", "subjects"),
        )
    } | {"article_group": row["licence_group"]}
    shared = {
        "article_id": row["article_id"],
        "pmcid": f"PMC{row['pmcid']}",
        "pmid": row["pmid"],
        "doi": row["doi"],
        "title": row["title"],
        "journal": row["journal"],
        "date": row["publication_date"],
        "authors": short_authors(row["authors"] or []),
        "article_type": row["article_type"],
        "article_licence": _licence(row),
        "mesh": row["mesh"],
        "keywords": row["keywords"],
    }
    return ArticleDocument(
        chunk=row["chunk"],
        article_id=row["article_id"],
        pmcid=row["pmcid"],
        title=row["title"] or "",
        abstract=row["abstract"] or "",
        terms=". ".join([*row["keywords"], *row["mesh"]]),
        body="\n".join(row["body"] or [])[:MAX_BODY] if body else "",
        filters=filters,
        card=shared | {"abstract": row["abstract"]},
        figures=[_figure(figure, row, shared) for figure in figures],
    )


def _figure(row: dict[str, Any], article: dict[str, Any], shared: dict[str, Any]) -> FigureDocument:
    caption = " ".join(filter(None, [row["label"], row["caption"], row["group_caption"]]))
    mentions = citing_sentences(row["mentions"] or [])
    images = row["images"] or []
    for image in images:
        for name in LABELS:
            image[name] = image[name] or []
    names = ("media_type", "width", "height", "bytes", "n_panels", "licence_group", "licence_code", *LABELS)
    own = {name: row[name] or [] for name in FIGURE_LISTS} | {"paragraph_score": row["paragraph_score"]}
    entities = row["entities"] or []
    attribution = images[0]["attribution"] if images else None
    for image in images:
        if image["attribution"] == attribution:  # nearly always: said once, by the card
            del image["attribution"]
    # A figure whose files could not be had is found by its caption, under the licence of its article.
    bare: dict[str, Any] = {name: article.get(name) if name.startswith("licence") else None for name in names}
    bare |= {name: [] for name in LABELS}
    card = shared | {
        "figure_id": row["figure_id"],
        "kind": row["kind"],
        "label": row["label"],
        "caption_title": row["caption_title"],
        "caption": row["caption"],
        "group_caption": row["group_caption"],
        "alt_text": row["alt_text"],
        "entities": entities[:MAX_ENTITIES],
        "section_path": row["section_path"],
        "mentions": mentions,
        "licence": _licence(images[0]) if images else _licence(article),
        "attribution": attribution,
        "images": images,
    }
    return FigureDocument(
        figure_id=row["figure_id"],
        caption=caption,
        mentions="\n".join(dict.fromkeys(mention["text"] for mention in mentions)),
        kind=row["kind"],
        images=[{name: image[name] for name in names} | own for image in images] or [bare | own],
        entities=entities,
        card=card,
    )


def _licence(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "group": row["licence_group"],
        "code": row["licence_code"],
        "version": row["licence_version"],
        "url": row["licence_url"],
    }


def short_authors(names: list[str]) -> str | None:
    """Authors as a list of results shows them.

    >>> short_authors(["Ada Lovelace", "Alan Turing", "Grace Hopper"]), short_authors(["Ada Lovelace"])
    ('Ada Lovelace et al.', 'Ada Lovelace')
    """
    names = [name for name in names if name]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names) or None


_END = re.compile(r"""[.!?]["')\]]*\s+(?=["'(\[]*[A-ZÀ-Þ0-9])""")
_NO_END = re.compile(
    r"(?:\b(?:figs?|figures?|eqs?|refs?|tabs?|no|nos|vs|al|e\.g|i\.e|cf|ca|approx|resp|dr|prof|suppl|st)|\b[A-Za-z])\.$",
    re.IGNORECASE,
)


def sentence_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Offsets of the sentence that holds ``text[start:end]``, cut to about `MAX_SENTENCE` around it.

    >>> text = "One fell. See Fig. 2 for it. Then two."
    >>> first, last = sentence_around(text, 14, 20)
    >>> text[first:last]
    'See Fig. 2 for it.'
    """
    first, last = 0, len(text)
    for match in _END.finditer(text):
        if _NO_END.search(text, 0, match.start() + 1):
            continue
        if match.end() <= start:
            first = match.end()
        elif match.start() >= end:
            last = match.start() + len(match.group().rstrip())
            break
    room = max(0, (MAX_SENTENCE - (end - start)) // 2)
    if last - first > MAX_SENTENCE:
        first, last = max(first, start - room), min(last, end + room)
    return first, last


def citing_sentences(mentions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sentences that cite a figure, each once, in order: text, panels, paragraph_id, section."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for mention in mentions:
        text = mention["text"]
        first, last = sentence_around(text, mention["start"], mention["end"])
        place = (mention["paragraph_id"], first)
        if place in found:
            found[place]["panels"] = sorted({*found[place]["panels"], *(mention["panels"] or [])})
        elif len(found) < MAX_MENTIONS:
            found[place] = {
                "text": text[first:last].strip(),
                "panels": list(mention["panels"] or []),
                "paragraph_id": mention["paragraph_id"],
                "section": (mention["section_path"] or [None])[-1],
            }
    return list(found.values())


def fingerprint(document: ArticleDocument) -> str:
    """16 hex digits that are the same for documents that say the same, whatever chunk they come from."""
    whole = {**vars(document), "chunk": None, "figures": [vars(figure) for figure in document.figures]}
    return hashlib.sha256(pack(whole)).hexdigest()[:16]


def pack(card: dict[str, Any]) -> bytes:
    """A card as it is stored."""
    return json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
