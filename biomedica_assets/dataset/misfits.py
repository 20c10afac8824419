"""Rows of panels, entities and paragraph quality that do not fit what they speak of: a broken table shows here.

What does not belong here: whether a panel, an entity or a score is right (benchmarks), failures of making them (the
manifests).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from biomedica_assets import schemas
from biomedica_assets.store.catalogue import connect, parquet_relation
from biomedica_assets.store.derived import read_derived
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import read_chunk_manifest

NEWEST = 3
"""So many of the newest chunks are looked at: what broke, broke with what was made last."""
_EXAMPLES = 20

_QUERIES = {
    "panels": """
        SELECT p.panel_id AS id, CASE
            WHEN i.image_id IS NULL THEN 'there is no such image'
            WHEN p.x < 0 OR p.y < 0 OR p.width < 1 OR p.height < 1 THEN 'an empty or negative box'
            WHEN p.x + p.width > i.width OR p.y + p.height > i.height THEN 'a box that leaves the image'
            WHEN p.caption IS DISTINCT FROM substring(c."text", p.caption_start + 1, p.caption_end - p.caption_start)
                THEN 'not the text at its place in the caption'
            WHEN p.n_panels <> count(*) OVER (PARTITION BY p.image_id) THEN 'another number of panels than there are'
        END AS what
        FROM panels p LEFT JOIN images i USING (image_id) LEFT JOIN captions c ON c.figure_id = p.figure_id
    """,
    "entities": """
        SELECT concat(e.text_id, ' ', e."start") AS id, CASE
            WHEN c.figure_id IS NULL AND p.paragraph_id IS NULL THEN 'there is no such text'
            WHEN e."text" IS DISTINCT FROM substring(coalesce(c."text", p."text"), e."start" + 1, e."end" - e."start")
                THEN 'not the text at its place'
        END AS what
        FROM entities e LEFT JOIN captions c ON c.figure_id = e.text_id
        LEFT JOIN paragraphs p ON p.paragraph_id = e.text_id
    """,
    "paragraph_quality": """
        SELECT q.paragraph_id AS id, CASE
            WHEN p.paragraph_id IS NULL THEN 'there is no such paragraph'
            WHEN NOT q.score BETWEEN 1 AND 5 THEN 'a score beyond 1 to 5'
        END AS what
        FROM paragraph_quality q LEFT JOIN paragraphs p USING (paragraph_id)
    """,
}


@dataclass(frozen=True)
class Misfits:
    """How many rows were looked at in which chunks, how many do not fit, and some of those: id, what is wrong."""

    chunks: tuple[str, ...]
    rows: int
    wrong: int
    examples: list[tuple[str, str]]


def find_misfits(files: Files, table: str) -> Misfits:
    """Compare the newest chunks' rows of a table with images and texts.

    Args:
        files: the store.
        table: panels, entities or paragraph_quality.
    """
    made = dict(list(read_derived(files, table).items())[-NEWEST:])
    rows = wrong = 0
    examples: list[tuple[str, str]] = []
    known = schemas.CHUNK_TABLES | schemas.DERIVED_TABLES
    for chunk, derived in made.items():
        manifest = read_chunk_manifest(files, chunk)
        if manifest is None:
            continue
        paths = {name: manifest.tables[name].path for name in ("images", "captions", "paragraphs")}
        with tempfile.TemporaryDirectory() as scratch, connect(files, Path(scratch)) as connection:
            for name, path in (paths | {table: derived.file.path}).items():
                relation = parquet_relation(files, [path], known[name], [])
                connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {relation}")
            query = f"SELECT id, what FROM ({_QUERIES[table]}) WHERE what IS NOT NULL ORDER BY 1, 2"
            found = connection.execute(query).fetchall()
        rows += derived.file.rows
        wrong += len(found)
        examples += found[: _EXAMPLES - len(examples)]
    return Misfits(tuple(made), rows, wrong, examples)
