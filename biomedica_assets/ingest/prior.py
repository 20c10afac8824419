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

_NOTHING_HELD = ("failed", "superseded", "removed")
_ROWS_AT_ONCE = 64  # articles of sources in memory per open chunk: about 100 kB each


@dataclass(slots=True)
class Held:
    """What is held of one file-list row.

    ``version`` is the row of table ``versions`` it comes from, ``chunk`` the chunk that holds it, ``sources`` its rows
    of ``sources`` by name (json, xml), ``images`` the rows of ``images`` by file name, ``shards`` the shards that they
    point into, by path.
    """

    version: Row
    chunk: str
    sources: dict[str, Row] = field(default_factory=dict)
    images: dict[str, Row] = field(default_factory=dict)
    shards: dict[str, DataFile] = field(default_factory=dict)


class PriorState:
    """Finds `Held` for the rows of one chunk. Opened once per pass; rows must be asked for in file-list order."""

    def __init__(self, files: Files, chunk: str, rows: Sequence[FileListRow], own: ChunkManifest | None) -> None:
        self._files, self._chunk = files, chunk
        self._versions: dict[str, tuple[str, Row]] = {}
        """listed_id -> (chunk that holds it, its row of versions)"""
        self._manifests: dict[str, ChunkManifest] = {}
        self._sources: dict[str, _SourceCursor] = {}
        self._images: dict[str, dict[str, dict[str, Row]]] = {}
        ids = {row.listed_id for row in rows}
        if own is not None:
            self._manifests[chunk] = own
            wanted = {chunk: ids}
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
        """Note which of the rows this chunk holds; returns their ids. An uncommitted chunk holds none."""
        manifest = self._manifests.get(chunk) or read_chunk_manifest(self._files, chunk)
        if manifest is None:
            return set()
        self._manifests[chunk] = manifest
        # The chunk's own former pass tells all it found; of earlier chunks only what has files is of use.
        own, useful = chunk == self._chunk, ("collected", "out_of_scope")
        found = set()
        for state in iter_rows(self._files, manifest.tables["versions"].path, filters=_pmcid_in(listed_ids)):
            if state["listed_id"] in listed_ids and (
                state["outcome"] not in _NOTHING_HELD if own else state["outcome"] in useful
            ):
                self._versions[state["listed_id"]] = (chunk, state)
                found.add(state["listed_id"])
        return found

    def get(self, row: FileListRow) -> Held | None:
        """What is held of the row, or None. Call in file-list order."""
        found = self._versions.get(row.listed_id)
        if found is None:
            return None
        chunk, state = found
        manifest = self._manifests[chunk]
        if chunk not in self._sources:
            listed_ids = {listed_id for listed_id, (c, _) in self._versions.items() if c == chunk}
            self._sources[chunk] = _SourceCursor(self._files, manifest.tables["sources"].path, listed_ids)
            self._images[chunk] = self._read_images(manifest, chunk)
        return Held(
            version=state,
            chunk=chunk,
            sources=self._sources[chunk].get((row.pmcid, row.version)),
            images=self._images[chunk].get(state["article_id"], {}),
            shards={shard.path: shard for shard in manifest.shards},
        )

    def _read_images(self, manifest: ChunkManifest, chunk: str) -> dict[str, dict[str, Row]]:
        wanted = {state["article_id"] for c, state in self._versions.values() if c == chunk}
        by_article: dict[str, dict[str, Row]] = defaultdict(dict)
        columns = ["article_id", *HELD_IMAGE_COLUMNS]
        for row in iter_rows(self._files, manifest.tables["images"].path, columns=columns):
            if row["article_id"] in wanted:
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
