"""Tables made from committed chunks later on: metadata, features, labels ... one file per table and partition.

Each is committed by its own manifest ``derived/<table>/<partition>.json``, so that remaking one touches neither the
chunk's manifest nor any other table. The partition is a chunk key, or a date for tables with daily partitions. What
does not belong here: the tables of the chunk pass (`manifests`), what the rows say.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biomedica_assets import schemas
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord, input_hash, read_all
from biomedica_assets.store.tables import TableWriter, commit_table


@dataclass(frozen=True)
class DerivedManifest(JsonRecord):
    """Commits one partition of a derived table; ``inputs`` holds what the rows depend on."""

    table: str
    partition: str
    input_hash: str
    inputs: dict[str, Any]
    file: DataFile
    counts: dict[str, int] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)

    def made_of(self, inputs: dict[str, Any]) -> bool:
        """Whether the rows depend on just this: then they need not be made again."""
        return self.input_hash == input_hash(inputs)


def manifest_path(table: str, partition: str) -> str:
    """Path of a derived partition's manifest below the store."""
    return f"derived/{table}/{partition}.json"


def read_derived(files: Files, table: str) -> dict[str, DerivedManifest]:
    """The manifests of all committed partitions of a derived table, by partition in order."""
    paths = sorted(path for path, *_ in files.list(f"derived/{table}") if path.endswith(".json"))
    manifests = (DerivedManifest.from_json(data) for _, data in read_all(files, paths))
    return {manifest.partition: manifest for manifest in manifests}


def read_derived_manifest(files: Files, table: str, partition: str) -> DerivedManifest | None:
    """The manifest of one partition, or None while it is not committed."""
    try:
        return DerivedManifest.from_json(files.read(manifest_path(table, partition)))
    except FileNotFoundError:
        return None


def commit_derived(
    files: Files,
    table: schemas.Table,
    partition: str,
    rows: Iterable[schemas.Row],
    *,
    inputs: dict[str, Any],
    counts: dict[str, int] | None = None,
    run: dict[str, Any] | None = None,
    scratch: str | None = None,
) -> DerivedManifest:
    """Write a partition's rows (streamed) and commit them; the file before is left to garbage collection.

    Args:
        files: the store.
        table: of `schemas.DERIVED_TABLES`.
        partition: a chunk key, or a date.
        rows: of the table.
        inputs: what the rows depend on; see `DerivedManifest.made_of`.
        counts: of the rows.
        run: what is not part of the data: times, requests, bytes.
        scratch: local folder for the file being written; null: the system's.
    """
    with tempfile.TemporaryDirectory(prefix=f"{table.name}-", dir=scratch) as folder:
        writer = TableWriter(table, Path(folder) / "rows.parquet")
        writer.add(rows)
        data_file = commit_table(files, table.name, partition, writer.close())
    manifest = DerivedManifest(table.name, partition, input_hash(inputs), inputs, data_file, counts or {}, run or {})
    files.write(manifest_path(table.name, partition), manifest.to_json())
    return manifest
