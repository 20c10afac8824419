"""Tables made from committed chunks later on: metadata, features, labels ... one file per table and partition.

Each is committed by its own manifest ``derived/<table>/<partition>.json``, so that remaking one touches neither the
chunk's manifest nor any other table. The partition is a chunk key, or a date for tables with daily partitions. What
does not belong here: the tables of the chunk pass (`manifests`), what the rows say.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

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


LISTED_FAILURES = 1000
"""So many failures are listed in a manifest's ``run``; all are counted."""


@dataclass(kw_only=True)
class Making:
    """What a manifest tells of how its rows were made: counts, failures, time. Filled while they are."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)
    began: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))

    def fail(self, object_id: str, error: str, message: str) -> None:
        """Count an object of which no row could be made by the class of its error, and list it."""
        self.counts[error] += 1
        if len(self.failures) < LISTED_FAILURES:
            self.failures.append({"object": object_id, "error": error, "message": message})

    def spent(self) -> dict[str, float]:
        """Seconds so far, and CPU seconds of this process."""
        wall, cpu = self.began
        return {"seconds": round(time.monotonic() - wall, 3), "cpu_seconds": round(time.process_time() - cpu, 3)}


def still_valid(
    own: DerivedManifest | None, files: Files, inputs: dict[str, Any], asked: str | None = None
) -> TypeGuard[DerivedManifest]:
    """Whether what was committed depends on just this and is there; ``asked``: as the settings named its maker."""
    return own is not None and own.made_of(inputs) and own.run.get("asked") == asked and files.exists(own.file.path)


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
    making: Making | None = None,
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
        making: further counts, failures and times, as they are once the rows are written.
        scratch: local folder for the file being written; null: the system's.
    """
    with tempfile.TemporaryDirectory(prefix=f"{table.name}-", dir=scratch) as folder:
        writer = TableWriter(table, Path(folder) / "rows.parquet")
        writer.add(rows)
        data_file = commit_table(files, table.name, partition, writer.close())
    counts, run = counts or {}, run or {}
    if making is not None:
        counts = counts | {name: count for name, count in sorted(making.counts.items()) if count}
        run = run | making.spent() | {"failures": making.failures}
    manifest = DerivedManifest(table.name, partition, input_hash(inputs), inputs, data_file, counts, run)
    files.write(manifest_path(table.name, partition), manifest.to_json())
    return manifest
