"""Snapshots: one state of the store under a name, readable and restorable for as long as the name is kept.

``snapshots/<name>.json`` holds the chunk and derived manifests and the catalogue generation as they were, every file
they name with size and checksum, and a checksum of the content that does not depend on where bytes lie. Garbage
collection spares what it names; compaction may move its images to other shards and then rewrites it. The withdrawal
list wins over every snapshot. What does not belong here: what changed between two of them (`differences`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa

from biomedica_assets import __version__, schemas
from biomedica_assets.schemas import CHUNK_TABLES
from biomedica_assets.store.catalogue import (
    Generation,
    data_digest,
    keep_generation,
    open_views,
    refresh_generation,
    schema_versions,
)
from biomedica_assets.store.derived import DerivedManifest, manifest_path, read_derived
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import (
    FORMAT_VERSION,
    ChunkManifest,
    DataFile,
    JsonRecord,
    StoreError,
    chunk_path,
    file_list_path,
    list_releases,
    read_chunk_manifests,
)
from biomedica_assets.store.withdrawals import read_withdrawals, withdrawn_ids

CONTENT_TABLES = ("articles", "paragraphs", "figures", "captions", "mentions", "objects", "images")
"""What a logical checksum and a diff look at."""
PLACES = frozenset({"chunk", "shard", "offset", "length", "image_offset"})
"""Columns that say where a row or its bytes lie, not what they are."""

MODEL_POINTERS = (
    *("concepts/space.json", "concepts/labels.json", "models/labels/current.json"),
    *("models/quality/current.json", "models/teacher_labels/current.json"),
)
"""Records of the models in use, which labels are made with; each names its files by path, bytes, sha256 and rows."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_TRIES = 3


class SnapshotError(StoreError):
    """A snapshot cannot be made, found or used; the message says why."""


@dataclass(frozen=True)
class Snapshot(JsonRecord):
    """One state. ``files`` are all paths it needs; the rest is what `restore_snapshot` puts back.

    ``checksums`` holds `table_checksum` of each of `CONTENT_TABLES`, ``counts`` the rows of the current articles.
    """

    name: str
    release: str | None
    source: str | None
    code_version: str
    logical_checksum: str
    checksums: dict[str, str]
    counts: dict[str, int]
    generation: dict[str, Any]
    chunks: dict[str, dict[str, Any]]
    derived: dict[str, dict[str, dict[str, Any]]]
    file_lists: list[dict[str, Any]]
    files: list[str] = field(default_factory=list)
    models: dict[str, Any] = field(default_factory=dict)
    """What stood at each of `MODEL_POINTERS`."""
    format_version: int = FORMAT_VERSION

    @cached_property
    def catalogue(self) -> Generation:
        """The catalogue generation of the state."""
        return Generation.from_json(json.dumps(self.generation).encode())

    @cached_property
    def manifests(self) -> dict[str, ChunkManifest]:
        """Chunk manifests by chunk."""
        return {c: ChunkManifest.from_json(json.dumps(m).encode()) for c, m in self.chunks.items()}

    def derived_manifests(self) -> Iterator[DerivedManifest]:
        """The manifests of all derived partitions."""
        for partitions in self.derived.values():
            yield from (DerivedManifest.from_json(json.dumps(m).encode()) for m in partitions.values())

    def data_files(self) -> dict[str, DataFile]:
        """Every file of the state by path."""
        found = [DataFile(**each) for each in self.file_lists]
        found += self.catalogue.files.values()
        found += (manifest.file for manifest in self.derived_manifests())
        found += _named_files(self.models)
        for manifest in self.manifests.values():
            found += [*manifest.tables.values(), *manifest.shards]
        return {each.path: each for each in found}


def snapshot_path(name: str) -> str:
    """Path of a snapshot below the store. Raises `SnapshotError` when the name is none."""
    if not _NAME.fullmatch(name):
        raise SnapshotError(f"{name!r} is no name for a snapshot: letters, digits, '.', '_' and '-' only")
    return f"snapshots/{name}.json"


def list_snapshots(files: Files) -> list[str]:
    """Names of the kept snapshots, sorted."""
    paths = (path for path, _ in files.list("snapshots"))
    return sorted(path.removeprefix("snapshots/").removesuffix(".json") for path in paths if path.endswith(".json"))


def read_snapshot(files: Files, name: str) -> Snapshot:
    """A kept snapshot. Raises `SnapshotError` when there is none of that name."""
    try:
        return Snapshot.from_json(files.read(snapshot_path(name)))
    except FileNotFoundError:
        known = ", ".join(list_snapshots(files)) or "none"
        raise SnapshotError(f"{files.url} has no snapshot {name!r}; it has: {known}") from None


def create_snapshot(files: Files, name: str | None = None) -> Snapshot:
    """Name the present state; without a name, ``<release>-<first 8 digits of the logical checksum>``.

    Raises:
        SnapshotError: another state has that name, nothing is committed, or commits keep coming in between.
    """
    if name is not None:
        snapshot_path(name)
    snapshot = _present_state(files)
    snapshot = _named(snapshot, name or f"{snapshot.release}-{snapshot.logical_checksum[:8]}")
    path = snapshot_path(snapshot.name)
    if files.exists(path):
        kept = read_snapshot(files, snapshot.name)
        if kept.files != snapshot.files:
            raise SnapshotError(f"the snapshot {snapshot.name!r} names another state already; choose another name")
        return kept
    files.write(path, snapshot.to_json())
    return snapshot


def write_snapshot(files: Files, snapshot: Snapshot) -> None:
    """Replace a snapshot by the same state in other files (compaction); streams of the old files go on for a while."""
    path = snapshot_path(snapshot.name)
    if files.exists(path):
        keep_generation(files, read_snapshot(files, snapshot.name).catalogue)
    files.write(path, _named(snapshot, snapshot.name).to_json())


def with_manifests(
    snapshot: Snapshot,
    manifests: Mapping[str, ChunkManifest],
    catalogue: Mapping[str, DataFile] | None = None,
    derived: Iterable[DerivedManifest] | None = None,
) -> Snapshot:
    """The same state with its chunks, derived tables and some files of its catalogue in other files."""
    generation = snapshot.catalogue
    derived = list(snapshot.derived_manifests() if derived is None else derived)
    tables: dict[str, dict[str, DerivedManifest]] = {name: {} for name in snapshot.derived}
    for each in derived:
        tables[each.table][each.partition] = each
    paths = {name: [m.tables[name].path for m in manifests.values() if name in m.tables] for name in CHUNK_TABLES}
    generation = replace(
        generation,
        files={**generation.files, **(catalogue or {})},
        chunks={chunk: data_digest(manifest) for chunk, manifest in manifests.items()},
        paths={
            **generation.paths,
            **paths,
            **{t: [m.file.path for m in parts.values()] for t, parts in tables.items()},
        },
        schemas=schema_versions([*manifests.values(), *derived]),
    )
    return replace(
        snapshot,
        generation=json.loads(generation.to_json()),
        chunks={chunk: json.loads(manifest.to_json()) for chunk, manifest in manifests.items()},
        derived={t: {p: json.loads(m.to_json()) for p, m in parts.items()} for t, parts in tables.items()},
    )


def delete_snapshot(files: Files, name: str) -> None:
    """Forget a snapshot; what only it named is left to garbage collection."""
    read_snapshot(files, name)
    files.remove(snapshot_path(name))


def _present_state(files: Files) -> Snapshot:
    for _ in range(_TRIES):
        generation = refresh_generation(files)
        manifests = read_chunk_manifests(files)
        derived = {name: read_derived(files, name) for name in schemas.DERIVED_TABLES}
        paths = {name: [m.file.path for m in derived[name].values()] for name in derived}
        same_derived = all(generation.paths.get(name, []) == listed for name, listed in paths.items())
        if same_derived and {c: data_digest(m) for c, m in manifests.items()} == generation.chunks:
            break
    else:
        raise SnapshotError("chunks are being committed: make the snapshot when the runs have ended")
    if not manifests:
        raise SnapshotError(f"{files.url} has no committed chunk yet: there is nothing to name")
    with open_views(files, generation) as views:
        checksums = {table: table_checksum(views, table) for table in CONTENT_TABLES}
        counts = {table: _count(views, table) for table in CONTENT_TABLES}
    try:
        source = json.loads(files.read("store.json"))["source"]
    except FileNotFoundError:
        source = None
    return Snapshot(
        name="",
        release=max(generation.releases, default=None),
        source=source,
        code_version=__version__,
        logical_checksum=_combined(checksums),
        checksums=checksums,
        counts=counts,
        generation=json.loads(generation.to_json()),
        chunks={chunk: json.loads(manifest.to_json()) for chunk, manifest in manifests.items()},
        derived={t: {p: json.loads(m.to_json()) for p, m in partitions.items()} for t, partitions in derived.items()},
        file_lists=[_file_list(files, release) for release in list_releases(files) if release in generation.releases],
        models={path: json.loads(files.read(path)) for path in MODEL_POINTERS if files.exists(path)},
    )


def _named_files(value: Any) -> Iterator[DataFile]:
    """The files that a record of a model names, wherever in it."""
    if isinstance(value, dict):
        if {"path", "bytes", "sha256", "rows"} == value.keys():
            yield DataFile(**value)
        else:
            for one in value.values():
                yield from _named_files(one)
    elif isinstance(value, list):
        for one in value:
            yield from _named_files(one)


def _named(snapshot: Snapshot, name: str) -> Snapshot:
    values = json.loads(snapshot.to_json()) | {"name": name, "files": sorted(snapshot.data_files())}
    return Snapshot(**values)


def _file_list(files: Files, release: str) -> dict[str, Any]:
    path = file_list_path(release)
    return {"path": path, "bytes": files.size(path), "sha256": _sha256(files, path), "rows": 0}


def _sha256(files: Files, path: str) -> str:
    digest = hashlib.sha256()
    for block in files.stream(path):
        digest.update(block)
    return digest.hexdigest()


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return (connection.execute(f'SELECT count(*) FROM "{table}"').fetchone() or (0,))[0]


def open_snapshot(files: Files, name: str) -> duckdb.DuckDBPyConnection:
    """The views of `open_catalogue` as they were, without what the withdrawal list names today.

    Raises:
        SnapshotError: there is none of that name.
    """
    return open_views(files, read_snapshot(files, name).catalogue, withdrawn_ids(files))


def withheld(files: Files, name: str) -> pa.Table:
    """What the withdrawal list keeps from readers of a snapshot: article_id, reason, since_release, images."""
    ids = withdrawn_ids(files)
    with open_views(files, read_snapshot(files, name).catalogue) as views:
        views.register("listed", read_withdrawals(files))
        views.register("ids", pa.table({"listed_id": pa.array(sorted(ids), pa.string())}))
        # Removals of the newest file lists are not in the list yet, only among the ids.
        return views.sql("""
            SELECT c.article_id, coalesce(w.reason, 'removed') AS reason, w.since_release,
                   (SELECT count(*) FROM sample_index s
                    WHERE s.article_id = c.article_id AND s.chunk = c.chunk) AS images
            FROM current c JOIN ids ON ids.listed_id = concat('PMC', c.pmcid, '.', c.version)
            LEFT JOIN listed w ON w.pmcid = c.pmcid AND w.version = c.version
            ORDER BY c.pmcid
        """).to_arrow_table()


@dataclass(frozen=True)
class Verification:
    """Files looked at, their bytes, and the paths that are missing or not what the snapshot says."""

    checked: int
    bytes: int
    wrong: list[str]


def verify_snapshot(files: Files, name: str, *, contents: bool = False) -> Verification:
    """Compare every file's size with the snapshot's and, if ``contents``, its SHA-256 (reads all bytes)."""
    found = read_snapshot(files, name).data_files()
    wrong = [path for path, data_file in sorted(found.items()) if not _is_as_named(files, data_file, contents)]
    return Verification(len(found), sum(each.bytes for each in found.values()), wrong)


def _is_as_named(files: Files, data_file: DataFile, contents: bool) -> bool:
    try:
        same = files.size(data_file.path) == data_file.bytes
        return same and (not contents or _sha256(files, data_file.path) == data_file.sha256)
    except FileNotFoundError:
        return False


def restore_snapshot(files: Files, name: str) -> Generation:
    """Make the store's manifests those of the snapshot again, and a catalogue of them without what is withdrawn since.

    The state before is kept as the snapshot ``before-<name>-<digits>``. File lists are never taken back: chunks of
    later releases become unfinished, and the next build makes them again from what the store holds. Killed in
    between, it is simply run again.

    Raises:
        SnapshotError: there is none of that name, or files that it needs are missing.
    """
    snapshot = read_snapshot(files, name)
    if wrong := verify_snapshot(files, name).wrong:
        raise SnapshotError(f"{len(wrong)} files of the snapshot {name!r} are missing or damaged, e.g. {wrong[0]}")
    present = _present_state(files)
    if (present.chunks, present.derived, present.models) != (snapshot.chunks, snapshot.derived, snapshot.models):
        write_snapshot(files, _named(present, f"before-{name}-{present.logical_checksum[:8]}"))
    wanted = {chunk_path(chunk): manifest.to_json() for chunk, manifest in snapshot.manifests.items()}
    wanted |= {manifest_path(m.table, m.partition): m.to_json() for m in snapshot.derived_manifests()}
    wanted |= {path: json.dumps(model, indent=1, sort_keys=True).encode() for path, model in snapshot.models.items()}
    for path, data in wanted.items():
        files.write(path, data)
    for path in [path for folder in ("chunks", "derived") for path, _ in files.list(folder)]:
        if path.endswith(".json") and path not in wanted:
            files.remove(path)
    for path in MODEL_POINTERS:
        if path not in wanted:
            files.remove(path)
    return refresh_generation(files)


def logical_checksum(files: Files) -> str:
    """SHA-256 over the sorted current rows, image SHA-256s among them, without where anything lies.

    Two stores of the same release states have the same one, however their chunks were built.
    """
    with open_views(files, refresh_generation(files)) as views:
        return _combined({table: table_checksum(views, table) for table in CONTENT_TABLES})


def table_checksum(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    """SHA-256 over the sorted hashes of the view's rows; sorted in 4,096 parts, so that none is large."""
    query = f"""
        SELECT coalesce(sha256(string_agg(part || hash, '' ORDER BY part)), '') FROM (
            SELECT left(row_hash, 3) AS part, sha256(string_agg(row_hash, '' ORDER BY row_hash)) AS hash
            FROM (SELECT {row_hash("t")} AS row_hash FROM (SELECT {content_columns(table)} FROM "{table}") t)
            GROUP BY part)
    """
    [checksum] = connection.execute(query).fetchone() or ("",)
    return str(checksum)


def content_columns(table: str) -> str:
    """The columns of a table that say what a row is, for a SELECT."""
    return ", ".join(f'"{name}"' for name in schemas.CHUNK_TABLES[table].names if name not in PLACES)


def row_hash(alias: str) -> str:
    """SQL of the hash of a row."""
    return f"sha256(to_json({alias})::VARCHAR)"


def _combined(checksums: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(checksums, sort_keys=True).encode()).hexdigest()
