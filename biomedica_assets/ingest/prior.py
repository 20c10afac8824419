"""What the store already holds of the rows of a chunk: source bytes and image spans of earlier commits.

Looked up in the chunk's own former manifest first, then along ``prior_chunk`` of the file lists. Of the sources only
a few row groups are in memory at a time.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets.pmc.file_list import FileListRow, read_chunk_rows
from biomedica_assets.pmc.keys import parse_article_id
from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, DataFile, read_chunk_manifest
from biomedica_assets.store.tables import iter_rows

_GROUPS_HELD = 8  # row groups of `sources` in memory: about 8 MB each, some 80 articles


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
        lost: rows of ``failures`` by object key, of media that the chunk's own former pass found not to be had.
    """

    version: Row
    chunk: str
    complete: bool = True
    sources: dict[str, Row] = field(default_factory=dict)
    images: dict[str, Row] = field(default_factory=dict)
    same_state: bool = False
    shards: dict[str, DataFile] = field(default_factory=dict)
    lost: dict[str, Row] = field(default_factory=dict)


_NEVER_TO_BE_HAD = ("Absent", "NotAnImage")


class PriorState:
    """Finds `Held` for the rows of one chunk. Opened once per pass; each row is asked for once, best in their order."""

    def __init__(self, files: Files, chunk: str, rows: Sequence[FileListRow], own: ChunkManifest | None) -> None:
        self._files, self._chunk = files, chunk
        self._versions: dict[str, tuple[str, Row]] = {}
        """listed_id -> (chunk, its row of versions): the newest one that has sources"""
        self._collected: dict[str, tuple[str, str]] = {}
        """listed_id -> (chunk, article_id): the newest one that has images"""
        self._manifests: dict[str, ChunkManifest] = {}
        self._sources = _Sources(files)
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
        """What is held of the row, or None."""
        found = self._versions.get(row.listed_id)
        if found is None:
            return None
        chunk, state = found
        manifest = self._manifests[chunk]
        tables_only = manifest.inputs.get("wants", {}).get("tables_only", False)
        held = Held(state, chunk, complete=not (tables_only or row.listed_id in self._incomplete[chunk]))
        held.sources = self._sources.get(manifest.tables["sources"].path, (row.pmcid, row.version))
        if row.listed_id in self._collected:
            pictured, article_id = self._collected[row.listed_id]
            if pictured not in self._images:
                self._images[pictured] = self._read_images(pictured)
            held.images = self._images[pictured].pop(article_id, {})
            held.same_state = pictured == chunk
            held.shards = {shard.path: shard for shard in self._manifests[pictured].shards}
        if chunk == self._chunk:
            held.lost = self._lost.get(state["article_id"], {})
        return held

    @cached_property
    def _lost(self) -> dict[str, dict[str, Row]]:
        """By article, then by object key: a re-parse asks the source for none of these again."""
        lost: dict[str, dict[str, Row]] = defaultdict(dict)
        for row in iter_rows(self._files, self._manifests[self._chunk].tables["failures"].path):
            if row["error"] in _NEVER_TO_BE_HAD and not row["fatal"]:
                lost[row["article_id"]][row["object"]] = row
        return lost

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


class _Sources:
    """Rows of `sources` of many chunks, article by article, with a bounded number of row groups in memory.

    Each chunk is read forward, but a day's changes jump between the chunks of hundreds of days.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._footers: dict[str, pq.FileMetaData] = {}
        self._groups: OrderedDict[tuple[str, int], tuple[pa.Table, dict[tuple[int, int], list[int]]]] = OrderedDict()

    def get(self, path: str, key: tuple[int, int]) -> dict[str, Row]:
        """The article's rows by ``name``; ``key`` is (pmcid, version)."""
        footer = self._footer(path)
        pmcid = footer.schema.names.index("pmcid")
        found = {}
        for number in range(footer.num_row_groups):
            statistics = footer.row_group(number).column(pmcid).statistics
            if statistics.min <= key[0] <= statistics.max:
                table, places = self._group(path, number)
                for place in places.get(key, ()):
                    [row] = table.slice(place, 1).to_pylist()
                    found[row["name"]] = row
        return found

    def _footer(self, path: str) -> pq.FileMetaData:
        if path not in self._footers:
            with self._files.open_seekable(path) as file:
                self._footers[path] = pq.read_metadata(file)
        return self._footers[path]

    def _group(self, path: str, number: int) -> tuple[pa.Table, dict[tuple[int, int], list[int]]]:
        if (path, number) not in self._groups:
            while len(self._groups) >= _GROUPS_HELD:
                self._groups.popitem(last=False)
            with self._files.open_seekable(path) as file:
                table = pq.ParquetFile(file, metadata=self._footer(path)).read_row_group(number, use_threads=False)
            places: dict[tuple[int, int], list[int]] = defaultdict(list)
            for place, key in enumerate(zip(table["pmcid"].to_pylist(), table["version"].to_pylist(), strict=True)):
                places[key].append(place)
            self._groups[path, number] = (table, places)
        self._groups.move_to_end((path, number))
        return self._groups[path, number]


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
