"""Manifests: the small JSON files that commit what the big write-once files hold.

``store.json`` binds a store to one source, ``chunks/<chunk>.json`` commits a chunk. Each is replaced by one atomic put,
and readers open only what they name.
What does not belong here: the formats of the files they list (`tables`, `shards`) and how a chunk comes about.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Self, get_args, get_type_hints

from biomedica_assets.store.files import Files

FORMAT_VERSION = 1
"""Version of the store's layout; a store of a newer one is refused."""


class StoreError(Exception):
    """The store cannot be used as it is; the message says what to do."""


@dataclass(frozen=True)
class DataFile:
    """One write-once file: path below the store, size in bytes, SHA-256, rows (tables) or samples (shards)."""

    path: str
    bytes: int
    sha256: str
    rows: int


class JsonRecord:
    """A dataclass that is stored as a JSON object with sorted keys; unknown keys of newer writers are ignored.

    Fields that hold dataclasses, such as `DataFile`, alone or as the values of a list or dict, come back as such.
    """

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        kinds = _field_kinds(cls)  # type: ignore[arg-type]
        return cls(**{name: _typed(value, kinds[name]) for name, value in json.loads(data).items() if name in kinds})


@cache
def _field_kinds(record: type[JsonRecord]) -> dict[str, Any]:
    hints = get_type_hints(record)
    return {f.name: hints[f.name] for f in fields(record)}  # type: ignore[arg-type]


def _typed(value: Any, kind: Any) -> Any:
    if is_dataclass(kind):
        return kind(**value)  # type: ignore[operator]
    item = get_args(kind)[-1:]
    if item and is_dataclass(item[0]):
        if isinstance(value, dict):
            return {name: _typed(each, item[0]) for name, each in value.items()}
        return [_typed(each, item[0]) for each in value]
    return value


@dataclass(frozen=True)
class ChunkManifest(JsonRecord):
    """Commits a chunk's live files.

    ``inputs`` holds what the data depends on and ``input_hash`` its hash; ``retry`` the rows that failed for a
    transient reason (listed_id, etag, attempts); ``run`` what is not part of the data: times, requests, bytes.
    """

    chunk: str
    release: str
    input_hash: str
    inputs: dict[str, Any]
    tables: dict[str, DataFile]
    shards: list[DataFile]
    """Every shard its images point into, shards of earlier chunks included."""
    outcomes: dict[str, int]
    retry: list[dict[str, Any]]
    run: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def own_shards(self) -> list[DataFile]:
        """The shards this chunk wrote itself."""
        return [shard for shard in self.shards if PurePosixPath(shard.path).name.startswith(self.chunk)]

    @property
    def bytes(self) -> int:
        """Bytes that this chunk adds to the store."""
        return sum(f.bytes for f in [*self.tables.values(), *self.own_shards])

    @property
    def files(self) -> Iterator[str]:
        yield from (f.path for f in self.tables.values())
        yield from (f.path for f in self.shards)


def input_hash(inputs: dict[str, Any]) -> str:
    """Hash of what a chunk's data depends on, 64 hex digits."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def bind_store(files: Files, source_identity: str, *, adopt: bool = False) -> None:
    """Bind the store to a source on first use; refuse any other source later unless ``adopt``.

    Raises:
        StoreError: the store belongs to another source or to a newer version of this software.
    """
    record = {"format_version": FORMAT_VERSION, "source": source_identity}
    try:
        found = json.loads(files.read("store.json"))
    except FileNotFoundError:
        found = None
    if found == record:
        return
    if found and found["format_version"] > FORMAT_VERSION:
        raise StoreError(
            f"{files.url} has store format {found['format_version']}; this software writes {FORMAT_VERSION}: upgrade it"
        )
    if found and found["source"] != source_identity and not adopt:
        raise StoreError(
            f"{files.url} holds data of {found['source']!r}, but BIOMEDICA_SOURCE is {source_identity!r}. "
            "Use another BIOMEDICA_STORE, or `biomedica build --adopt` if both serve the same articles"
        )
    files.write("store.json", json.dumps(record, indent=1, sort_keys=True).encode())


def file_list_path(release: str) -> str:
    """Path of a release's file list below the store. The file commits itself: it is put there whole, once."""
    return f"releases/{release}.parquet"


def list_releases(files: Files) -> list[str]:
    """Names of the releases that have a file list, oldest first."""
    names = (path.removeprefix("releases/").removesuffix(".parquet") for path, _ in files.list("releases"))
    return sorted(names)


def release_of(chunk: str) -> str:
    """The release in whose file list the chunk is: ``2026-11-20-00042`` -> ``2026-11-20``."""
    return chunk.rpartition("-")[0]


def chunk_path(chunk: str) -> str:
    """Path of a chunk's manifest below the store."""
    return f"chunks/{chunk}.json"


def write_chunk_manifest(files: Files, manifest: ChunkManifest) -> None:
    """Commit the chunk: from here on readers see its files."""
    files.write(chunk_path(manifest.chunk), manifest.to_json())


def read_chunk_manifest(files: Files, chunk: str) -> ChunkManifest | None:
    """The chunk's manifest, or None while it is not committed."""
    try:
        return ChunkManifest.from_json(files.read(chunk_path(chunk)))
    except FileNotFoundError:
        return None


def committed_chunk(files: Files, chunk: str) -> ChunkManifest:
    """The manifest of a chunk that something is to be made of.

    Raises:
        StoreError: it is not committed.
    """
    manifest = read_chunk_manifest(files, chunk)
    if manifest is None:
        raise StoreError(f"the chunk {chunk} is not committed: materialize `articles` first")
    return manifest


def read_chunk_manifests(files: Files) -> dict[str, ChunkManifest]:
    """The manifests of all committed chunks, by chunk key in order."""
    paths = sorted(path for path, *_ in files.list("chunks/") if path.endswith(".json"))
    manifests = (ChunkManifest.from_json(data) for _, data in read_all(files, paths))
    return {manifest.chunk: manifest for manifest in manifests}


def read_all(files: Files, paths: Iterable[str]) -> list[tuple[str, bytes]]:
    """Read many small files; a local disk needs no threads, an object store wants many requests in flight."""
    paths = list(paths)
    if files.local_path("") is not None:
        return [(path, files.read(path)) for path in paths]
    with ThreadPoolExecutor(32) as pool:
        return list(zip(paths, pool.map(files.read, paths), strict=True))
