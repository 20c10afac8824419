"""What the store already holds of the rows of a chunk: source bytes and image spans of earlier commits.

Looked up in the chunk's own former manifest first, then along ``prior_chunk`` of the file lists. Sources are streamed
in row order, so a chunk is never in memory as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from biomedica_assets.pmc.file_list import FileListRow, read_chunk_rows
from biomedica_assets.pmc.keys import parse_article_id
from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, DataFile, read_chunk_manifest
from biomedica_assets.store.tables import iter_rows

_ROWS_AT_ONCE = 64  # articles of sources in memory per open chunk: about 100 kB each


@dataclass(slots=True)
class Held:
    """What is held of one file-list row.

    Attributes:
        version: the newest row of table ``versions`` that says something of it; ``chunk`` the chunk it is in.
        complete: nothing of it was lost to a transient problem or left for later by a scope of tables only.
        sources: rows of ``sources`` of that chunk by name (json, xml).
        images: rows of ``images`` by file name, of the newest chunk that collected the version.
        same_state: the images are of the very state that the sources state.
        shards: the shards that the images point into, by path.
    """

    version: Row
    chunk: str
    complete: bool = True
    sources: dict[str, Row] = field(default_factory=dict)
    images: dict[str, Row] = field(default_factory=dict)
    same_state: bool = False
    shards: dict[str, DataFile] = field(default_factory=dict)


class PriorState:
    """Finds `Held` for the rows of one chunk. Opened once per pass; rows must be asked for in file-list order."""

    def __init__(self, files: Files, chunk: str, rows: Sequence[FileListRow], own: ChunkManifest | None) -> None:
        self._files, self._chunk = files, chunk
        self._versions: dict[str, tuple[str, Row]] = {}
        """listed_id -> (chunk, its row of versions): the newest one that has sources"""
        self._collected: dict[str, tuple[str, str]] = {}
        """listed_id -> (chunk, article_id): the newest one that has images"""
        self._manifests: dict[str, ChunkManifest] = {}
        self._sources: dict[str, _SourceCursor] = {}
        self._images: dict[str, dict[str, dict[str, Row]]] = {}
        self._incomplete: dict[str, set[str]] = {}
        ids = {row.listed_id for row in rows if row.action != "remove"}
        if own is not None:
            self._manifests[chunk] = own
            wanted = {chunk: ids} if ids else {}
        else:
            wanted = _by_chunk(rows, ids)
        while wanted:
            further: dict[str, set[str]] = defaultdict(set)
            for prior_chunk, listed_ids in sorted(wanted.items()):
                missing = listed_ids - self._look_in(prior_chunk, listed_ids)
                chunk_rows = rows if prior_chunk == chunk else read_chunk_rows(files, prior_chunk) if missing else []
                for link, linked in _by_chunk(chunk_rows, missing).items():
                    further[link] |= linked
            wanted = further

    def _look_in(self, chunk: str, listed_ids: set[str]) -> set[str]:
        """Note what this chunk holds of the versions; returns the ids of those that need no look further back."""
        manifest = self._manifests.get(chunk) or read_chunk_manifest(self._files, chunk)
        if manifest is None:
            return set()
        self._manifests[chunk] = manifest
        self._incomplete[chunk] = {row["listed_id"] for row in manifest.retry}
        found = set()
        for state in iter_rows(self._files, manifest.tables["versions"].path, filters=_pmcid_in(listed_ids)):
            listed_id = state["listed_id"]
            if listed_id not in listed_ids:
                continue
            # Metadata were read when a change token is known, whatever came of them. That nothing was there is
            # worth remembering only for the chunk itself: a later row may find it.
            gone = state["outcome"] == "absent" and chunk == self._chunk
            if state["etag"] is not None or gone:
                self._versions.setdefault(listed_id, (chunk, state))
            if state["outcome"] == "collected":
                self._collected[listed_id] = (chunk, state["article_id"])
            if state["outcome"] == "collected" or gone:
                found.add(listed_id)
        return found

    def get(self, row: FileListRow) -> Held | None:
        """What is held of the row, or None. Call in file-list order."""
        found = self._versions.get(row.listed_id)
        if found is None:
            return None
        chunk, state = found
        manifest = self._manifests[chunk]
        tables_only = manifest.inputs.get("wants", {}).get("tables_only", False)
        held = Held(state, chunk, complete=not (tables_only or row.listed_id in self._incomplete[chunk]))
        if chunk not in self._sources:
            listed_ids = {listed_id for listed_id, (c, _) in self._versions.items() if c == chunk}
            self._sources[chunk] = _SourceCursor(self._files, manifest.tables["sources"].path, listed_ids)
        held.sources = self._sources[chunk].get((row.pmcid, row.version))
        if row.listed_id in self._collected:
            pictured, article_id = self._collected[row.listed_id]
            if pictured not in self._images:
                self._images[pictured] = self._read_images(pictured)
            held.images = self._images[pictured].get(article_id, {})
            held.same_state = pictured == chunk
            held.shards = {shard.path: shard for shard in self._manifests[pictured].shards}
        return held

    def _read_images(self, chunk: str) -> dict[str, dict[str, Row]]:
        wanted = sorted(article_id for c, article_id in self._collected.values() if c == chunk)
        by_article: dict[str, dict[str, Row]] = defaultdict(dict)
        path, columns = self._manifests[chunk].tables["images"].path, ["article_id", *HELD_IMAGE_COLUMNS]
        for row in iter_rows(self._files, path, columns=columns, filters=[("article_id", "in", wanted)]):
            by_article[row.pop("article_id")].setdefault(row["file_name"], row)
        return by_article


HELD_IMAGE_COLUMNS = (
    *("file_name", "key", "media_type", "width", "height", "mode", "frames", "bytes", "md5", "sha256"),
    *("perceptual_hash", "shard", "offset", "length", "image_offset", "sample_key"),
)
"""What is true of an image file whatever the XML says of it: carried over when the bytes are unchanged."""


class _SourceCursor:
    """Rows of one sources file for some PMCIDs, read forward."""

    def __init__(self, files: Files, path: str, listed_ids: set[str]) -> None:
        self._rows: Iterator[Row] = iter_rows(files, path, batch=_ROWS_AT_ONCE, filters=_pmcid_in(listed_ids))
        self._next = next(self._rows, None)

    def get(self, key: tuple[int, int]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        while self._next is not None and (self._next["pmcid"], self._next["version"]) <= key:
            if (self._next["pmcid"], self._next["version"]) == key:
                found[self._next["name"]] = self._next
            self._next = next(self._rows, None)
        return found


def _by_chunk(rows: Sequence[FileListRow], listed_ids: set[str]) -> dict[str, set[str]]:
    """The rows' earlier chunks, and which of the ids each may hold."""
    links: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.prior_chunk and row.listed_id in listed_ids:
            links[row.prior_chunk].add(row.listed_id)
    return links


def _pmcid_in(listed_ids: set[str]) -> Any:
    """A filter that lets row groups without these articles be skipped."""
    pmcids = sorted({parse_article_id(listed_id)[0] for listed_id in listed_ids})
    return [("pmcid", "in", pmcids), ("pmcid", ">=", pmcids[0]), ("pmcid", "<=", pmcids[-1])]
