"""Garbage collection: files that nothing names any more, deleted after a grace period.

A file is named by a record: a small JSON file that commits something, and that says the paths below the store of what
it commits. Who writes a record need not be known here; any text in it that is a path counts, so a record of newer
software keeps its files too. Every state of a subset is a record for good: exports need theirs to lose what is
withdrawn, and they may lie where this store cannot look.

A file written but not yet committed looks like garbage too, and a stream may still read what was live when it began.
So a file is deleted only when an earlier collection had already found it unnamed, long enough ago; the list of such
files is kept in ``garbage.json``. What does not belong here: dead samples inside live shards (compaction).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError, read_all

_PRODUCTS = ("compaction/", "catalogue/", "card/", "duplicates/", "subsets/", "index/", "concepts/", "models/")
_SWEPT = ("tables/", "sources/", "shards/", *_PRODUCTS)
_RECORD_FOLDERS = ("chunks/", "derived/", "snapshots/", *_PRODUCTS)
_RECORDS = re.compile(
    r"(chunks|snapshots|compaction|catalogue|card|duplicates|index|concepts)/[^/]+\.json"
    r"|(derived|subsets|models)/[^/]+/[^/]+\.json"
)
_WAITING = "garbage.json"


@dataclass(frozen=True)
class Collected:
    """What one collection did: files and bytes deleted, files still waiting for their grace period to end."""

    deleted: int
    bytes: int
    waiting: int


def live_paths(files: Files) -> set[str]:
    """Every record, and every text in one: the paths that records name are among them.

    Raises:
        StoreError: a record cannot be read; what it names is not known then.
    """
    paths = sorted(path for folder in _RECORD_FOLDERS for path, _ in files.list(folder) if _RECORDS.fullmatch(path))
    live = set(paths)
    for path, data in read_all(files, paths):
        try:
            live.update(_texts(json.loads(data)))
        except ValueError as error:
            raise StoreError(
                f"{path} is no JSON ({error}): nothing is deleted until it is mended or removed"
            ) from error
    return live


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def collect_garbage(files: Files, *, now: float, grace_seconds: float) -> Collected:
    """Delete what has been unnamed for ``grace_seconds``; remember what is unnamed since now (``now``: Unix time).

    Raises:
        StoreError: a record cannot be read; nothing was deleted.
    """
    try:
        first_seen = json.loads(files.read(_WAITING))
    except FileNotFoundError:
        first_seen = {}
    # List before reading the records: a file committed in between is then in `live`, never a candidate wrongly.
    found = {path: size for folder in _SWEPT for path, size in files.list(folder)}
    live = live_paths(files)
    unnamed = {path: first_seen.get(path, now) for path in found if path not in live}
    due = [path for path, since in unnamed.items() if now - since >= grace_seconds]
    for path in due:
        files.remove(path)
        del unnamed[path]
    files.remove_abandoned(now - max(grace_seconds, 3600))
    files.write(_WAITING, json.dumps(unnamed, indent=1, sort_keys=True).encode())
    return Collected(len(due), sum(found[path] for path in due), len(unnamed))
