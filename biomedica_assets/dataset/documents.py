"""Documents about the dataset (statistics, audit, card): written once under their content's hash, found by a pointer.

What does not belong here: what they say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biomedica_assets.store.catalogue import Generation
from biomedica_assets.store.files import Files


@dataclass(frozen=True)
class Documents:
    """One set: its name, hash, and paths below the store by file name."""

    name: str
    hash: str
    paths: dict[str, str]


def publish(files: Files, name: str, contents: Mapping[str, bytes]) -> Documents:
    """Write a set of documents as ``card/<name>-<hash>/<file>`` and point ``card/<name>.json`` at it."""
    digest = hashlib.sha256()
    for file, data in sorted(contents.items()):
        digest.update(f"{file}\0{len(data)}\0".encode() + data)
    folder = f"card/{name}-{digest.hexdigest()[:16]}"
    documents = Documents(name, digest.hexdigest(), {file: f"{folder}/{file}" for file in sorted(contents)})
    for file, path in documents.paths.items():
        if not files.exists(path):
            files.write(path, contents[file])
    pointer = {"name": name, "hash": documents.hash, "files": list(documents.paths.values())}
    files.write(f"card/{name}.json", json.dumps(pointer, indent=1).encode())
    return documents


def document_path(files: Files, name: str, file: str) -> str:
    """Path of a file of the newest set. Raises FileNotFoundError when there is no such set or file."""
    for path in json.loads(files.read(f"card/{name}.json"))["files"]:
        if path.endswith(f"/{file}"):
            return str(path)
    raise FileNotFoundError(f"card/{name}.json names no {file}")


def read_document(files: Files, name: str, file: str) -> bytes:
    """A file of the newest set. Raises as `document_path`."""
    return files.read(document_path(files, name, file))


def state_of(generation: Generation) -> dict[str, Any]:
    """What a document says of the state that it describes."""
    digest = hashlib.sha256(json.dumps(sorted(f.sha256 for f in generation.files.values())).encode()).hexdigest()
    return {
        "release": max(generation.releases, default=None),
        "releases": len(generation.releases),
        "chunks": len(generation.chunks),
        "catalogue": digest[:16],
    }
