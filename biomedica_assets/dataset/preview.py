"""A subset at a glance: a few of its pictures with their captions, small enough for the UI.

What does not belong here: pictures of the report (`report`), which may be shown to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass

from biomedica_assets.dataset.queries import bounded_catalogue, load
from biomedica_assets.dataset.subsets import Subset, current_rows
from biomedica_assets.images import contact_sheet
from biomedica_assets.images.crops import crop
from biomedica_assets.images.probe import ImageError
from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import read_image

PICTURES = 8
LARGEST = 5_000_000  # bytes of an image worth reading for a thumbnail


@dataclass(frozen=True)
class SubsetPreview:
    """``sheet`` is a small JPEG, null for a subset of nothing; ``rows`` are id, licence_code and text."""

    sheet: bytes | None
    rows: list[tuple[str | None, ...]]


def subset_preview(files: Files, subset: Subset) -> SubsetPreview:
    """Some samples of a subset, as good as random and always the same; what is withdrawn is not among them.

    Raises:
        FileNotFoundError: the store has no catalogue.
        SpanError: the archive holds other bytes than the tables say.
    """
    unit = subset.unit
    readable = f"bytes < {LARGEST} AND shard IS NOT NULL" if unit.pictured else "true"
    with bounded_catalogue(files) as (connection, _):
        chosen = connection.sql(f"""
            SELECT * FROM {current_rows(files, subset)} WHERE {readable}
            ORDER BY md5(sample_id), sample_id LIMIT {PICTURES}
        """).to_arrow_table()
        load(connection, "chosen", chosen)
        said = connection.execute(f"""
            SELECT s.sample_id, s.licence_code, {unit.text}, f.label
            FROM chosen s LEFT JOIN figures f ON f.chunk = s.chunk AND f.figure_id = s.figure_id
            LEFT JOIN captions c ON c.chunk = s.chunk AND c.figure_id = s.figure_id
            ORDER BY md5(s.sample_id), s.sample_id
        """).fetchall()
    rows = [row[:3] for row in said]
    if not unit.pictured or not rows:
        return SubsetPreview(None, rows)
    pictures = [_picture(files, row) for row in chosen.to_pylist()]
    return SubsetPreview(contact_sheet(pictures, [row[3] or "" for row in said]), rows)


def _picture(files: Files, row: Row) -> bytes:
    """The image file, or the panel cut from it."""
    data = read_image(files, row)
    if "panel_x" not in row:
        return data
    try:
        return crop(data, (row["panel_x"], row["panel_y"], row["panel_width"], row["panel_height"]))
    except (ImageError, ValueError):
        return data
