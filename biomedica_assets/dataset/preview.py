"""A subset at a glance: a few of its pictures with their captions, small enough for the UI.

What does not belong here: pictures of the report (`report`), which may be shown to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomedica_assets.dataset.queries import bounded_catalogue, load
from biomedica_assets.dataset.subsets import Subset, current_rows
from biomedica_assets.images import contact_sheet
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import read_image

PICTURES = 8
LARGEST = 5_000_000  # bytes of an image worth reading for a thumbnail


@dataclass(frozen=True)
class SubsetPreview:
    """``sheet`` is a small JPEG, null for a subset of nothing; ``rows`` are image_id, licence_code and caption."""

    sheet: bytes | None
    rows: list[tuple[str | None, ...]]


def subset_preview(files: Files, subset: Subset) -> SubsetPreview:
    """Some images of a subset, as good as random and always the same; what is withdrawn is not among them.

    Raises:
        FileNotFoundError: the store has no catalogue.
        SpanError: the archive holds other bytes than the tables say.
    """
    with bounded_catalogue(files) as (connection, _):
        chosen = connection.sql(f"""
            SELECT * FROM {current_rows(files, subset)} WHERE bytes < {LARGEST} AND shard IS NOT NULL
            ORDER BY md5(image_id), image_id LIMIT {PICTURES}
        """).to_arrow_table()
        load(connection, "chosen", chosen)
        said = connection.execute("""
            SELECT i.image_id, i.licence_code, coalesce(c.text, c.group_caption), f.label
            FROM chosen i LEFT JOIN figures f USING (chunk, figure_id) LEFT JOIN captions c USING (chunk, figure_id)
            ORDER BY md5(i.image_id), i.image_id
        """).fetchall()
    pictures = [read_image(files, row) for row in chosen.to_pylist()]
    sheet = contact_sheet(pictures, [row[3] or "" for row in said]) if pictures else None
    return SubsetPreview(sheet, [row[:3] for row in said])
