"""Garbage collection: files that nothing names any more, deleted after a grace period.

A file written but not yet committed looks like garbage too, and a stream may still read what was live when it began.
So a file is deleted only when an earlier collection had already found it unnamed, long enough ago; the list of such
files is kept in ``garbage.json``. What does not belong here: dead samples inside live shards (compaction).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from biomedica_assets import schemas
from biomedica_assets.store.catalogue import POINTER, read_generation
from biomedica_assets.store.derived import read_derived
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import read_chunk_manifests

_SWEPT = ("tables/", "sources/", "shards/", "catalogue/", "compaction/", "card/")
_NAMING = ("snapshots/", "compaction/", "card/")
"""Folders with JSON files whose key ``files`` lists paths: snapshots, the journal of a compaction, documents."""
_RECORD = "garbage.json"


@dataclass(frozen=True)
class Collected:
    """What one collection did: files and bytes deleted, files still waiting for their grace period to end."""

    deleted: int
    bytes: int
    waiting: int


def live_paths(files: Files) -> set[str]:
    """Every path that a manifest, the newest catalogue generation, a snapshot or a running compaction names."""
    live = {POINTER}
    for manifest in read_chunk_manifests(files).values():
        live.update(manifest.files)
    for table in schemas.DERIVED_TABLES:
        live.update(manifest.file.path for manifest in read_derived(files, table).values())
    generation = read_generation(files)
    if generation:
        live |= {data_file.path for data_file in generation.files.values()}
        live |= {path for paths in generation.paths.values() for path in paths}
    for path in (path for folder in _NAMING for path, _ in files.list(folder)):
        if path.endswith(".json") and path.count("/") == 1:
            live.update([path, *json.loads(files.read(path)).get("files", [])])
    return live


def collect_garbage(files: Files, *, now: float, grace_seconds: float) -> Collected:
    """Delete what has been unnamed for ``grace_seconds``; remember what is unnamed since now (``now``: Unix time)."""
    try:
        first_seen = json.loads(files.read(_RECORD))
    except FileNotFoundError:
        first_seen = {}
    # List before reading the manifests: a file committed in between is then in `live`, never a candidate wrongly.
    found = {path: size for folder in _SWEPT for path, size in files.list(folder)}
    live = live_paths(files)
    unnamed = {path: first_seen.get(path, now) for path in found if path not in live}
    due = [path for path, since in unnamed.items() if now - since >= grace_seconds]
    for path in due:
        files.remove(path)
        del unnamed[path]
    files.remove_abandoned(now - max(grace_seconds, 3600))
    files.write(_RECORD, json.dumps(unnamed, indent=1, sort_keys=True).encode())
    return Collected(len(due), sum(found[path] for path in due), len(unnamed))
