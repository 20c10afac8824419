"""Table `teacher_labels` as the store keeps it: one Parquet file, and the record of the one in use.

``models/teacher_labels/current.json`` is that record; files are named by their content and never change.
What does not belong here: where labels come from (`collect`), what is learnt from them (`training`).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord
from biomedica_assets.store.tables import TableWriter, put_table

FOLDER = "models/teacher_labels"
POINTER = f"{FOLDER}/current.json"


@dataclass(frozen=True)
class LabelsRecord(JsonRecord):
    """The labels in use. ``id`` begins the file's SHA-256; ``teachers`` counts labels by who gave them."""

    id: str
    file: DataFile
    teachers: dict[str, int] = field(default_factory=dict)


def publish_labels(files: Files, rows: Iterable[Row], *, scratch: str | None = None) -> tuple[LabelsRecord, bool]:
    """Make rows of `teacher_labels` the ones in use; the record, and whether they are others than before."""
    ordered = sorted(rows, key=lambda row: (row["chunk"], row["paragraph_id"]))
    teachers: dict[str, int] = {}
    for row in ordered:
        teachers[row["teacher"]] = teachers.get(row["teacher"], 0) + 1
    with tempfile.TemporaryDirectory(prefix="teacher_labels-", dir=scratch) as folder:
        writer = TableWriter(schemas.TEACHER_LABELS, Path(folder) / "labels.parquet")
        writer.add(ordered)
        file = put_table(files, writer.close(), f"{FOLDER}/labels-")
    record = LabelsRecord(file.sha256[:16], file, dict(sorted(teachers.items())))
    if record == read_labels_record(files):
        return record, False
    files.write(POINTER, record.to_json())
    return record, True


def read_labels_record(files: Files) -> LabelsRecord | None:
    """The record of the labels in use; None before the first."""
    try:
        return LabelsRecord.from_json(files.read(POINTER))
    except FileNotFoundError:
        return None


def read_labels(files: Files) -> dict[str, list[Row]]:
    """The labels in use, by chunk; nothing before the first."""
    record = read_labels_record(files)
    found: dict[str, list[Row]] = {}
    if record is not None:
        for row in pq.read_table(pa.BufferReader(files.read(record.file.path))).to_pylist():
            found.setdefault(row["chunk"], []).append(row)
    return found


def labels_digest(rows: Iterable[Row]) -> str:
    """Hash of some labels, for the inputs of what is made of them."""
    return hashlib.sha256(json.dumps(list(rows), sort_keys=True).encode()).hexdigest()[:16]
