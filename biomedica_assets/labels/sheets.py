"""Contact sheets: which members of a concept people look at, and a picture of them.

Members are chosen over the whole dataset: the nearest to the centre, the farthest from it, and random ones among the
others, of the pictures of current articles, none twice. ``concepts/sheets.json`` names the file that lists them.
Belongs here: the choice and the drawing. Not here: pages (`serve`), votes (`votes`). What was withdrawn after the
choice stands in the lists until they are made again: who shows them leaves out `store.withdrawals.withdrawn_ids`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from biomedica_assets import schemas
from biomedica_assets.dataset.reading import Span, read_images
from biomedica_assets.images.sheet import contact_sheet, thumbnail
from biomedica_assets.labels.concepts import concepts_of
from biomedica_assets.labels.fitting import current_rows
from biomedica_assets.labels.space import SpaceRecord
from biomedica_assets.schemas import Row
from biomedica_assets.settings import MAX_PIXELS
from biomedica_assets.store.catalogue import connect, open_catalogue
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord, StoreError
from biomedica_assets.store.tables import TableWriter, put_table

POINTER = "concepts/sheets.json"
ROLES = ("nearest", "farthest", "random")
PER_ROLE = 12
_FETCHED = 50
"""Concepts whose candidates are in memory at a time."""


@dataclass(frozen=True)
class SheetsRecord(JsonRecord):
    """The lists in use: their space and file; ``images`` and ``pictures`` by concept, equal bytes counted once."""

    space: str
    file: DataFile
    per_role: int
    images: list[int]
    pictures: list[int]


def publish_sheets(
    files: Files, record: SpaceRecord, *, per_role: int = PER_ROLE, scratch: str | None = None
) -> SheetsRecord:
    """Choose the members of every concept of the space in use, and make their lists the ones in use.

    Raises:
        StoreError: no chunk has concepts of the space yet.
    """
    made = concepts_of(files, record)
    if not made:
        raise StoreError(f"no image has a concept of the space {record.id} yet: materialize `concepts`")
    images, pictures = [0] * record.concepts, [0] * record.concepts
    with tempfile.TemporaryDirectory(prefix="sheets-", dir=scratch) as folder:
        writer = TableWriter(schemas.CONTACT_SHEETS, Path(folder) / "sheets.parquet")
        with connect(files, Path(folder)) as connection:
            _create_members(files, connection, made.values())
            for concept, shown, distinct in connection.execute(
                "SELECT concept, sum(images)::BIGINT, count(*) FROM member GROUP BY 1"
            ).fetchall():
                images[concept], pictures[concept] = shown, distinct
            chosen = choose_members(connection, per_role, record.settings["seed"])
            writer.add({**row, "space": record.id} for row in _with_places(connection, chosen))
        file = put_table(files, writer.close(), "concepts/files/sheets-")
    sheets = SheetsRecord(record.id, file, per_role, images, pictures)
    files.write(POINTER, sheets.to_json())
    return sheets


def _create_members(files: Files, connection: duckdb.DuckDBPyConnection, made: Iterable[DerivedManifest]) -> None:
    """Table ``member``: one row per concept and picture; view ``listed``: one per image."""
    connection.execute(f"CREATE VIEW listed AS SELECT * FROM {current_rows(files, connection, schemas.CONCEPTS, made)}")
    connection.execute("""
        CREATE TABLE member AS
        SELECT concept, sha256, min(image_id) AS image_id, min(distance) AS distance, count(*) AS images
        FROM listed GROUP BY concept, sha256
    """)


def choose_members(connection: duckdb.DuckDBPyConnection, per_role: int, seed: int) -> list[Row]:
    """concept, role, position, image_id, sha256, distance of the members to look at, in this order.

    Args:
        connection: has a table ``member`` (concept, sha256, image_id, distance), a row per concept and picture.
        per_role: members per role at most. Who is among the nearest is neither farthest nor random.
        seed: of the random ones: those with the smallest hash of SHA-256 and seed.
    """
    # Twice and three times as many candidates: those that an earlier role has taken fall out.
    candidates = connection.execute(
        f"""
        SELECT concept, min(near, {per_role}), max(near, {2 * per_role}), min(hashed, {3 * per_role})
        FROM (SELECT concept, struct_pack(distance, image_id, sha256) AS near,
                     struct_pack(hash := md5(concat(sha256, '/', ?::VARCHAR)), image_id, sha256, distance) AS hashed
              FROM member)
        GROUP BY concept ORDER BY concept
        """,
        [str(seed)],
    )
    chosen: list[Row] = []
    while some := candidates.fetchmany(_FETCHED):
        chosen += (row for concept, *lists in some for row in _of_concept(concept, lists, per_role))
    return chosen


def _with_places(connection: duckdb.DuckDBPyConnection, chosen: list[Row]) -> Iterator[Row]:
    """The chosen rows with chunk, article and figure, in their order."""
    connection.register("chosen", pa.Table.from_pylist(chosen).append_column("n", pa.array(range(len(chosen)))))
    columns = ("chunk", "article_id", "figure_id")
    found = connection.execute(f"SELECT n, {', '.join(columns)} FROM chosen JOIN listed USING (image_id) ORDER BY n")
    while some := found.fetchmany(1000):
        yield from ({**chosen[n], **dict(zip(columns, place, strict=True))} for n, *place in some)


def _of_concept(concept: int, lists: Sequence[Sequence[Row]], per_role: int) -> Iterator[Row]:
    taken: set[str] = set()
    for role, candidates in zip(ROLES, lists, strict=True):
        chosen = [row for row in candidates if row["image_id"] not in taken][:per_role]
        taken.update(row["image_id"] for row in chosen)
        for position, row in enumerate(chosen):
            kept = {name: row[name] for name in ("image_id", "sha256", "distance")}
            yield {"concept": concept, "role": role, "position": position, **kept}


def read_sheets(files: Files) -> SheetsRecord | None:
    """The lists in use, or None before the first were made."""
    try:
        return SheetsRecord.from_json(files.read(POINTER))
    except FileNotFoundError:
        return None


def read_member_table(files: Files, sheets: SheetsRecord) -> pa.Table:
    """All members, columns of `schemas.CONTACT_SHEETS`, by concept, role (as `ROLES`) and position."""
    with files.open_seekable(sheets.file.path) as stream:
        return pq.read_table(stream, schema=schemas.CONTACT_SHEETS.arrow)


def members_of(table: pa.Table, concept: int) -> list[Row]:
    """The rows of one concept."""
    rows: list[Row] = table.filter(pc.equal(table["concept"], concept)).to_pylist()
    return rows


def draw_sheets(
    files: Files,
    concepts: Sequence[Sequence[Row]],
    *,
    per_role: int = 6,
    side: int = 96,
    max_bytes: int = 14_000,
    max_pixels: int = MAX_PIXELS,
) -> list[bytes]:
    """A JPEG per concept: each role begins a row, below its first picture the role, below the others their distances.

    One concept's thumbnails are in memory at a time, with the few files being read. What is not current any more, and
    what cannot be decoded, leaves an empty cell.

    Args:
        files: the store.
        concepts: members of each, rows of `schemas.CONTACT_SHEETS`.
        per_role: so many of each role are shown, in one row; all of a concept that has no more in three rows.
        side, max_bytes, max_pixels: as for `images.sheet.contact_sheet`.
    """
    shown = [_shown(members, per_role) for members in concepts]
    spans = _spans(files, [row["image_id"] for members in shown for row in members])
    return [_draw(files, members, spans, per_role, side, max_bytes, max_pixels) for members in shown]


def _shown(members: Sequence[Row], per_role: int) -> list[Row]:
    return [row for row in members if row["position"] < per_role or len(members) <= len(ROLES) * per_role]


def _spans(files: Files, image_ids: list[str]) -> dict[str, Span]:
    with open_catalogue(files) as catalogue:
        catalogue.register("chosen", pa.table({"image_id": pa.array(image_ids, pa.string())}))
        rows = catalogue.execute("""
            SELECT image_id, shard, image_offset, bytes FROM sample_index SEMI JOIN chosen USING (image_id)
            WHERE shard IS NOT NULL
        """).fetchall()
    return {image_id: Span(*span) for image_id, *span in rows}


def _draw(files: Files, members: list[Row], spans: dict[str, Span], columns: int, side: int, *limits: int) -> bytes:
    max_bytes, max_pixels = limits
    there = [row["image_id"] for row in members if row["image_id"] in spans]
    small: dict[str, Image.Image | None] = {}
    for index, data in read_images(files, [spans[image_id] for image_id in there], workers=2):
        small[there[index]] = thumbnail(data, side - 2, max_pixels)
    cells: list[tuple[Any, str]] = []
    for role, rows in groupby(members, key=lambda row: row["role"]):
        cells += [(None, "")] * (-len(cells) % columns)
        for row in rows:
            words = f"{row['distance']:.2f}" if row["position"] else role
            cells.append((small.get(row["image_id"]), words))
    pictures, captions = zip(*cells, strict=True)
    return contact_sheet(pictures, captions, side=side, columns=columns, max_bytes=max_bytes, max_pixels=max_pixels)
