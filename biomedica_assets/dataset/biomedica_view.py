"""BIOMEDICA's sample: its 25 JSON keys and types over our tables, so that code written for its WebDataset reads ours.

Field by field what is the same and what differs: `docs/biomedica.md`. One difference holds for all: what is not known
is null, never the text "None". What does not belong here: packing (`formats`), fields of our own (`fields`).
"""

from __future__ import annotations

import io
from typing import Any

import duckdb
from PIL import Image

from biomedica_assets.images.probe import UNREADABLE, open_image
from biomedica_assets.schemas import Row
from biomedica_assets.settings import MAX_PIXELS

_STEM = r"regexp_replace({}, '\.[^.]*$', '')"
_DATE = "try_strptime(left(a.publication_date || substr('-01-01', length(a.publication_date) - 3), 10), '%Y-%m-%d')"

COLUMNS: dict[str, str] = {
    "image_file_name": "i.file_name",
    "image_cluster_id": _STEM.format("i.file_name"),
    "image_hash": "i.sha256",
    "image_label_id": "l.concept::VARCHAR",
    "image_panel_type": "l.biomedica_panel_type",
    "image_panel_subtype": "l.biomedica_panel_subtype",
    "image_primary_label": "l.primary_labels",
    "image_secondary_label": "l.secondary_labels",
    "image_size": "CASE WHEN i.width IS NOT NULL THEN [i.width, i.height] END",
    "image_set": "x.image_set",
    "image_context": "y.image_context",
    "article_accession_id": "'PMC' || a.pmcid",
    "article_title": "a.title",
    "article_journal": "coalesce(a.journal_abbreviation, a.journal)",
    "article_date": f"epoch({_DATE})::BIGINT::VARCHAR",
    "article_abstract": "a.abstract",
    "article_mesh_terms": "list_transform(m.mesh, lambda h: h.descriptor)",
    "article_keywords": "list_transform(a.keywords, lambda k: k.keyword)",
    "article_reference_ids": 'list_transform(m."references", lambda r: struct_pack(Citation := r.citation, '
    "ArticleIdList := struct_pack(pubmed := r.pmid::VARCHAR, pmc := 'PMC' || r.pmcid, doi := r.doi)))",
    "article_reference_count": 'coalesce(len(m."references"), a.n_references)',
    "article_reference_list": "['']",
    "article_subject": "list_transform(a.subjects, lambda k: k.subject)",
    "article_citation": "a.citation",
    "article_license": "i.licence_code",
    "article_text": "z.article_text",
}
"""SQL of each key, in BIOMEDICA's order."""

_FROM = f"""
    {{images}} i
    JOIN articles a ON a.chunk = i.chunk AND a.article_id = i.article_id
    LEFT JOIN metadata m ON m.chunk = i.chunk AND m.article_id = i.article_id
    LEFT JOIN image_labels l ON l.chunk = i.chunk AND l.image_id = i.image_id
    LEFT JOIN (
        SELECT o.chunk, o.article_id,
               list(struct_pack(image_id := {_STEM.format("o.file_name")}, image_file_name := o.file_name,
                                image_path := o."key", caption := coalesce(c."text", c.group_caption),
                                hash := o.sha256) ORDER BY f.ordinal, o.ordinal) AS image_set
        FROM images o {{only}}
        JOIN figures f ON f.chunk = o.chunk AND f.figure_id = o.figure_id
        LEFT JOIN captions c ON c.chunk = o.chunk AND c.figure_id = o.figure_id
        GROUP BY ALL
    ) x ON x.chunk = i.chunk AND x.article_id = i.article_id
    LEFT JOIN (
        SELECT chunk, article_id, map(list(stem ORDER BY stem), list(texts ORDER BY stem)) AS image_context
        FROM (
            SELECT chunk, article_id, stem, list("text" ORDER BY ordinal) AS texts
            FROM (
                SELECT DISTINCT o.chunk, o.article_id, {_STEM.format("o.file_name")} AS stem, p.ordinal, p."text"
                FROM images o {{only}}
                JOIN mentions t ON t.chunk = o.chunk AND t.figure_id = o.figure_id
                JOIN paragraphs p ON p.chunk = t.chunk AND p.paragraph_id = t.paragraph_id
            )
            GROUP BY ALL
        )
        GROUP BY ALL
    ) y ON y.chunk = i.chunk AND y.article_id = i.article_id
    LEFT JOIN (
        SELECT o.chunk, o.article_id, string_agg(o."text", chr(10) || chr(10) ORDER BY o.ordinal) AS article_text
        FROM paragraphs o {{only}} GROUP BY ALL
    ) z ON z.chunk = i.chunk AND z.article_id = i.article_id
"""


def biomedica_query(extra: str = "", wanted: str = "") -> str:
    """SELECT of the 25 columns for every current image, or for the rows of a table ``wanted`` (aliased ``s``).

    Args:
        extra: more columns in front, SQL ending in a comma; may name ``s`` when ``wanted`` is given.
        wanted: a table with chunk, article_id and image_id; only its articles' texts are read.
    """
    columns = ", ".join(f'{sql} AS "{name}"' for name, sql in COLUMNS.items())
    only = (
        f"SEMI JOIN (SELECT DISTINCT chunk, article_id FROM {wanted}) w "
        "ON w.chunk = o.chunk AND w.article_id = o.article_id"
        if wanted
        else ""
    )
    rows = f"{wanted} s JOIN images i ON i.chunk = s.chunk AND i.image_id = s.image_id" if wanted else "images i"
    joined = _FROM.format(images="@", only=only).replace("@ i", rows, 1)
    return f"SELECT {extra} {columns} FROM {joined}"


def add_biomedica_view(connection: duckdb.DuckDBPyConnection) -> None:
    """View ``biomedica`` of a catalogue connection (which has ``metadata``): one row per current image, 25 columns."""
    connection.execute(f"CREATE OR REPLACE VIEW biomedica AS {biomedica_query()}")


def biomedica_json(row: Row) -> dict[str, Any]:
    """The sample's JSON from a row of the view: exactly the 25 keys, in order."""
    sample = {name: row[name] for name in COLUMNS}
    context = sample["image_context"]
    sample["image_context"] = dict(context) if context is not None else {}  # Arrow gives a map as pairs
    return sample


class ConversionError(ValueError):
    """An image cannot be written as JPEG."""


def to_jpeg(data: bytes, *, quality: int, max_pixels: int = MAX_PIXELS) -> bytes:
    """The image as JPEG: a JPEG's own bytes, anything else decoded (first frame), on white, at ``quality`` (1 to 95).

    Raises:
        ConversionError: it is larger than ``max_pixels`` or cannot be decoded.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return data
    try:
        image, _ = open_image(data, max_pixels=max_pixels)
        picture: Image.Image = image
        if picture.mode[0] in "IF":  # 16 and 32 bits a sample: stretched to 8, as for the perceptual hash
            low, high = picture.convert("F").getextrema()
            scale = 255 / ((high - low) or 1)  # type: ignore[operator]
            picture = picture.convert("F").point(lambda x: x * scale - low * scale)  # type: ignore[operator]
            picture = picture.convert("L")
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            paper = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(paper, picture)
        picture = picture if picture.mode == "L" else picture.convert("RGB")
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
    except UNREADABLE as error:
        raise ConversionError(f"{type(error).__name__}: {error}") from error
    return buffer.getvalue()
