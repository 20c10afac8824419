"""Contact sheets and annotations of a test's store, written without encoders: who is in which concept is chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biomedica_assets import schemas
from biomedica_assets.labels.sheets import POINTER, ROLES, SheetsRecord
from biomedica_assets.store.derived import commit_derived
from biomedica_assets.store.manifests import DataFile
from biomedica_assets.store.shards import put_once
from biomedica_assets.store.tables import TableWriter

SPACE = "space-of-the-test"


def images_of(world: Any) -> list[dict[str, Any]]:
    """Images with bytes and a size, by id."""
    rows = [row for row in world.rows("images") if row["sha256"] and row["width"]]
    return sorted(rows, key=lambda row: row["image_id"])


def write_sheets(world: Any, concepts: list[list[dict[str, Any]]], space: str = SPACE) -> SheetsRecord:
    """Make these rows of images the members of concepts 0, 1, ...; roles in turn."""
    path = world.root / "sheets.parquet"
    writer = TableWriter(schemas.CONTACT_SHEETS, Path(path))
    columns = ("chunk", "article_id", "figure_id", "image_id", "sha256")
    for concept, rows in enumerate(concepts):
        for place, role in enumerate(ROLES):
            for position, row in enumerate(rows[place::3]):
                named = {name: row[name] for name in columns}
                at = {"space": space, "concept": concept, "role": role, "position": position, "distance": 0.25}
                writer.add([named | at])
    written = writer.close()
    name = f"concepts/files/sheets-{written.sha256[:16]}.parquet"
    put_once(world.files, written.path, name, written.bytes)
    file = DataFile(name, written.bytes, written.sha256, written.rows)
    sizes = [len(rows) for rows in concepts]
    sheets = SheetsRecord(space, file, 12, sizes, sizes)
    world.files.write(POINTER, sheets.to_json())
    return sheets


def annotate(world: Any, said: dict[str, list[tuple[str, str, str | None, float, bool]]]) -> None:
    """Commit annotations: by image id rows (axis, source, label, probability, decision)."""
    images = {row["image_id"]: row for row in images_of(world)}
    for chunk in sorted({row["chunk"] for row in images.values()}):
        rows = [
            {name: images[image_id][name] for name in ("chunk", "article_id", "figure_id", "image_id", "sha256")}
            | dict(zip(("axis", "source", "label", "probability", "decision"), one, strict=True))
            | {"chosen": False, "model": "m", "taxonomy": "t"}
            for image_id, ones in said.items()
            if images[image_id]["chunk"] == chunk
            for one in ones
        ]
        inputs = {"schema": schemas.SCHEMA_VERSION, "rows": len(rows)}
        commit_derived(world.files, schemas.ANNOTATIONS, chunk, rows, inputs=inputs)
