"""What an index generation is: one manifest that names immutable files, and a pointer that names the manifest.

``index/generation.json`` points at ``index/<id>.json``, the newest, and at the one before; a manifest says under which
name each file of ``index/files/`` stands in a local copy. What does not belong here: how generations are made
(`generation`) and copied (`local`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biomedica_assets.search.requests import IndexMissingError
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord
from biomedica_assets.store.shards import put_once

POINTER = "index/generation.json"
INDEX_VERSION = 2
"""Raised when documents or rows change meaning: the index is then built anew, and older servers refuse it."""
BUILD_ONLY = "build/"
"""Folder of a generation that only the next build reads."""


@dataclass(frozen=True)
class IndexManifest(JsonRecord):
    """One generation. ``files`` by name in a local copy; ``rows`` is one more than the largest row ever given.

    ``inputs`` names what of the catalogue it was made of, ``options`` what else decides its content, ``spaces`` its
    vectors (see `spaces`), ``counts`` figures, articles, images, dead rows.
    """

    version: int
    inputs: dict[str, Any]
    options: dict[str, Any]
    files: dict[str, DataFile]
    rows: int
    counts: dict[str, int]
    spaces: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """16 hex digits that name the generation."""
        return hashlib.sha256(self.to_json()).hexdigest()[:16]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())


def manifest_path(generation: str) -> str:
    """Path of a generation's manifest below the store."""
    return f"index/{generation}.json"


@dataclass(frozen=True)
class Pointer:
    """Ids of the newest generation and of the one before (null for the first)."""

    generation: str
    previous: str | None


def read_pointer(files: Files) -> Pointer | None:
    """What is published now; None before the first generation."""
    try:
        record = json.loads(files.read(POINTER))
    except FileNotFoundError:
        return None
    return Pointer(_id(record["generation"]), _id(record["previous"]) if record["previous"] else None)


def _id(path: str) -> str:
    return path.removeprefix("index/").removesuffix(".json")


def read_manifest(files: Files, generation: str) -> IndexManifest:
    """The manifest of a generation.

    Raises:
        IndexMissingError: it is gone.
    """
    try:
        return IndexManifest.from_json(files.read(manifest_path(generation)))
    except FileNotFoundError as error:
        raise IndexMissingError(f"the search index generation {generation} is no longer in {files.url}") from error


def read_newest(files: Files) -> IndexManifest | None:
    """The newest generation; None before the first."""
    pointer = read_pointer(files)
    return read_manifest(files, pointer.generation) if pointer else None


def publish_file(files: Files, local: Path, known: dict[str, DataFile], *, rows: int = 0) -> DataFile:
    """Put a file below ``index/files/`` under its content's hash; one that is there already is not written again."""
    with local.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest in known:
        return known[digest]
    size = local.stat().st_size
    path = f"index/files/{digest[:32]}{local.suffix}"
    put_once(files, local, path, size)
    return DataFile(path, size, digest, rows)


def publish(files: Files, manifest: IndexManifest) -> None:
    """Make a generation whose files are in the store the newest one; manifests before its predecessor are dropped.

    What only those named is left to garbage collection.
    """
    before = read_pointer(files)
    files.write(manifest_path(manifest.id), manifest.to_json())
    if before and before.generation == manifest.id:
        return
    previous = manifest_path(before.generation) if before else None
    pointer = {"generation": manifest_path(manifest.id), "previous": previous}
    files.write(POINTER, json.dumps(pointer, indent=1).encode())
    kept = {POINTER, *pointer.values()}
    for path in [path for path, _ in files.list("index") if path.endswith(".json") and path.count("/") == 1]:
        if path not in kept:
            files.remove(path)
