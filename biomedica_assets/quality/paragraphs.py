"""Paragraphs as teachers and the classifier see them: the text and what the article says around it.

What does not belong here: what is made of them (`features`, `rules`, `llm`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from biomedica_assets.schemas import Row
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest
from biomedica_assets.store.tables import iter_rows

KINDS = ("p", "abstract")
"""Kinds of paragraphs that are running text."""
_KEYS = ("chunk", "article_id", "paragraph_id")
_COLUMNS = (*_KEYS, "kind", "section_path", "section_type", "text", "citations")


@dataclass(frozen=True, slots=True)
class Context:
    """What is known of a paragraph besides its text; nothing of it need be there.

    ``sections``: titles of the enclosing sections, outermost first. ``publication_types``: PubMed's, by name.
    """

    kind: str = "p"
    sections: tuple[str, ...] = ()
    section_type: str | None = None
    article_type: str | None = None
    title: str | None = None
    publication_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A text with its context, null where only the text is known; ``citations`` counts its citation markers."""

    text: str
    context: Context | None = None
    citations: int = 0


def iter_paragraphs(
    files: Files, manifest: ChunkManifest, metadata: DerivedManifest | None, ids: Collection[str] | None = None
) -> Iterator[tuple[Row, Paragraph]]:
    """Keys (chunk, article_id, paragraph_id) and paragraph of every one of a chunk's that is running text, in order.

    Args:
        files: the store.
        manifest: of the chunk.
        metadata: PubMed's records of the chunk's articles, where there are any.
        ids: only these paragraphs; parts of the file that hold none are not read.
    """
    articles = _articles(files, manifest, metadata)
    wanted = pc.field("kind").isin(KINDS)
    if ids is not None:
        wanted &= pc.field("paragraph_id").isin(sorted(ids))
    for row in iter_rows(files, manifest.tables["paragraphs"].path, list(_COLUMNS), filters=wanted):
        article = articles.get(row["article_id"], {})
        context = Context(row["kind"], tuple(row["section_path"] or ()), row["section_type"], **article)
        yield {key: row[key] for key in _KEYS}, Paragraph(row["text"], context, len(row["citations"] or ()))


def _articles(files: Files, manifest: ChunkManifest, metadata: DerivedManifest | None) -> dict[str, dict[str, Any]]:
    types: dict[int, tuple[str, ...]] = {}
    if metadata is not None:
        for row in iter_rows(files, metadata.file.path, ["pmid", "publication_types"]):
            types[row["pmid"]] = tuple(one["name"] for one in row["publication_types"] or () if one["name"])
    columns = ["article_id", "pmid", "article_type", "title"]
    return {
        row.pop("article_id"): {"publication_types": types.get(row.pop("pmid"), ()), **row}
        for row in iter_rows(files, manifest.tables["articles"].path, columns)
    }
