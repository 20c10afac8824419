"""Tables written with an older schema, rewritten with today's; no shard is touched and nothing is parsed again.

Added columns need nothing: they read as null wherever a file lacks them. Any other change of a column ships a step
here, from the schema version it starts at. What does not belong here: changes of what parsing yields (raise the
parser's version; chunks are then re-parsed from their sources).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.schemas import Row
from biomedica_assets.store.catalogue import refresh_generation
from biomedica_assets.store.derived import DerivedManifest, manifest_path, read_derived, read_derived_manifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import (
    ChunkManifest,
    DataFile,
    StoreError,
    input_hash,
    read_chunk_manifest,
    read_chunk_manifests,
    write_chunk_manifest,
)
from biomedica_assets.store.snapshots import list_snapshots, read_snapshot, with_manifests, write_snapshot
from biomedica_assets.store.tables import TableWriter, commit_table

STEPS: dict[int, dict[str, Callable[[Row], Row]]] = {}
"""By the schema version a step starts from: per table, a row of that version -> one of the next.

Example: ``{2: {"figures": lambda row: {**row, "place": row.pop("location")}}}``
"""

_BATCH = 1000


@dataclass(frozen=True)
class Migrated:
    """Chunks, derived partitions and snapshots that were behind, tables rewritten and their bytes."""

    chunks: int
    derived: int
    snapshots: int
    tables: int
    bytes: int


def migrate_store(files: Files, *, scratch: str | None = None, log: Callable[[str], Any] = lambda _: None) -> Migrated:
    """Bring every chunk, derived table and kept snapshot to today's schema, then build the catalogue.

    Each manifest is replaced on its own: killed in between, what is left is done by the next call.

    Raises:
        StoreError: a table was written by newer software.
        KeyError: a column is gone and no step says what becomes of it.
    """
    with tempfile.TemporaryDirectory(prefix="migration-", dir=scratch) as folder:
        work = _Migration(files, Path(folder))
        chunks = derived = snapshots = 0
        made = [m for name in schemas.DERIVED_TABLES for m in read_derived(files, name).values()]
        manifests = read_chunk_manifests(files)
        for each in made:
            if each.partition not in manifests:  # a day
                derived += work.commit_derived(each, None, None)
        for chunk, manifest in manifests.items():
            migrated = work.manifest(manifest)
            # Derived tables first: what they were made from is known by the old manifest only.
            derived += sum(work.commit_derived(each, manifest, migrated) for each in made if each.partition == chunk)
            if migrated is not manifest and read_chunk_manifest(files, chunk) == manifest:
                write_chunk_manifest(files, migrated)
                chunks += 1
                log(f"{chunk}: schema {manifest.inputs.get('schema')} -> {schemas.SCHEMA_VERSION}")
        for name in list_snapshots(files):
            snapshot = read_snapshot(files, name)
            before = snapshot.manifests
            manifests = {chunk: work.manifest(manifest) for chunk, manifest in before.items()}
            made_of = list(snapshot.derived_manifests())
            made_new = [work.derived(m, before.get(m.partition), manifests.get(m.partition)) for m in made_of]
            changed = any(manifests[chunk] is not manifest for chunk, manifest in before.items())
            if changed or any(one is not other for one, other in zip(made_of, made_new, strict=True)):
                write_snapshot(files, with_manifests(snapshot, manifests, derived=made_new))
                snapshots += 1
    refresh_generation(files)
    written = [new for old, new in work.done.items() if new.path != old]
    return Migrated(chunks, derived, snapshots, len(written), sum(each.bytes for each in written))


class _Migration:
    """Manifests in today's schema; each table file is rewritten once, whoever names it."""

    def __init__(self, files: Files, scratch: Path) -> None:
        self._files, self._scratch = files, scratch
        self.done: dict[str, DataFile] = {}

    def manifest(self, manifest: ChunkManifest) -> ChunkManifest:
        """The manifest with its tables rewritten where they differ; itself when it is of today's schema."""
        version = _version(manifest.chunk, manifest.inputs)
        if version == schemas.SCHEMA_VERSION:
            return manifest
        tables = {
            name: self._table(name, manifest.chunk, manifest.tables.get(name), version) for name in schemas.CHUNK_TABLES
        }
        inputs = {**manifest.inputs, "schema": schemas.SCHEMA_VERSION}
        data_inputs = {name: value for name, value in manifest.inputs.items() if name != "wants"}
        valid = input_hash(data_inputs) == manifest.input_hash
        return replace(
            manifest,
            tables=tables,
            inputs=inputs,
            input_hash=input_hash({**data_inputs, "schema": schemas.SCHEMA_VERSION}) if valid else manifest.input_hash,
        )

    def derived(self, made: DerivedManifest, old: ChunkManifest | None, new: ChunkManifest | None) -> DerivedManifest:
        """The manifest with its table rewritten where it differs; itself when it is of today's schema.

        What was valid for the chunk before stays valid for it, so that nobody is asked for the rows again.

        Args:
            made: a partition of a derived table.
            old: the chunk's manifest that it was made for, null for daily partitions.
            new: the same chunk's, migrated.
        """
        version = _version(f"{made.table} of {made.partition}", made.inputs)
        inputs = {**made.inputs, "schema": schemas.SCHEMA_VERSION}
        for name in schemas.CHUNK_TABLES.keys() & inputs.keys():
            if old and new and inputs[name] == old.tables[name].sha256:
                inputs[name] = new.tables[name].sha256
        if inputs == made.inputs:
            return made
        file = self._table(made.table, made.partition, made.file, version)
        valid = made.made_of(made.inputs)
        return replace(made, inputs=inputs, file=file, input_hash=input_hash(inputs) if valid else made.input_hash)

    def commit_derived(self, made: DerivedManifest, old: ChunkManifest | None, new: ChunkManifest | None) -> bool:
        """Replace the manifest of the store by `derived`, unless somebody else has; whether that was done."""
        moved = self.derived(made, old, new)
        if moved is made or read_derived_manifest(self._files, made.table, made.partition) != made:
            return False
        self._files.write(manifest_path(made.table, made.partition), moved.to_json())
        return True

    def _table(self, name: str, chunk: str, old: DataFile | None, version: int) -> DataFile:
        if old is None:  # a table that came with a later schema
            return self._write(name, chunk, iter(()))
        if old.path not in self.done:
            steps = [STEPS[v][name] for v in range(version, schemas.SCHEMA_VERSION) if name in STEPS.get(v, {})]
            with self._files.open_seekable(old.path) as file:
                parquet = pq.ParquetFile(file)
                same = parquet.schema_arrow.equals(_tables()[name].arrow)
                self.done[old.path] = old if same and not steps else self._write(name, chunk, _stepped(parquet, steps))
        return self.done[old.path]

    def _write(self, name: str, chunk: str, rows: Iterator[Row]) -> DataFile:
        writer = TableWriter(_tables()[name], self._scratch / f"{name}.parquet")
        writer.add(rows)
        return commit_table(self._files, name, chunk, writer.close())


def _version(what: str, inputs: dict[str, Any]) -> int:
    version = int(inputs.get("schema") or 0)
    if version > schemas.SCHEMA_VERSION:
        raise StoreError(f"{what} has schema {version}, this software {schemas.SCHEMA_VERSION}: upgrade it")
    return version


def _tables() -> dict[str, schemas.Table]:
    return schemas.CHUNK_TABLES | schemas.DERIVED_TABLES


def _stepped(parquet: pq.ParquetFile, steps: list[Callable[[Row], Row]]) -> Iterator[Row]:
    for batch in parquet.iter_batches(_BATCH, use_threads=False):
        for row in batch.to_pylist():
            for step in steps:
                row = step(row)
            yield row
