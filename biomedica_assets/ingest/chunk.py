"""The pass over one chunk: its rows in order, fetched ahead and bounded in memory, written once, committed last.

Killed at any instant it leaves nothing that a reader sees; run again it gives the same files. What becomes of one
row is the business of `article`.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biomedica_assets import schemas
from biomedica_assets.ingest.article import ArticlePass, ArticleResult
from biomedica_assets.ingest.inputs import chunk_inputs, input_hash, wants
from biomedica_assets.ingest.prior import Held, PriorState
from biomedica_assets.ingest.progress import advance
from biomedica_assets.ingest.workspace import Workspace
from biomedica_assets.pmc.file_list import FileListRow, read_chunk_rows, read_summary
from biomedica_assets.pmc.prefetch import ByteBudget, prefetch
from biomedica_assets.schemas import Row
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import (
    ChunkManifest,
    DataFile,
    StoreError,
    read_chunk_manifest,
    release_of,
    write_chunk_manifest,
)
from biomedica_assets.store.shards import ShardWriter, commit_shard
from biomedica_assets.store.tables import TableWriter, commit_table

LOG_EVERY = 500  # rows


class TooManyFailuresError(Exception):
    """The share of failed rows passes the limit: nothing is committed, the chunk stays unfinished."""


def ingest_chunk(
    workspace: Workspace, chunk: str, *, log: Callable[[str], Any] = lambda _: None
) -> tuple[ChunkManifest, bool]:
    """Make and commit a chunk, unless what is committed is still valid; returns the manifest and whether it was.

    Args:
        workspace: store, source, settings.
        chunk: key of the chunk, ``<release>-<nnnnn>``.
        log: gets a line every 500 rows.

    Raises:
        StoreError: no file list has this chunk.
        SourceUnusableError: the source refuses everything.
        TooManyFailuresError: see there.
    """
    files, settings = workspace.files, workspace.settings
    try:
        file_list = read_summary(files, release_of(chunk))
    except FileNotFoundError:
        file_list = None
    if file_list is None or chunk not in dict(file_list.chunks):
        raise StoreError(f"{files.url} has no file list with the chunk {chunk}: materialize `file_list` first")
    inputs = chunk_inputs(settings, file_list, chunk)
    own = read_chunk_manifest(files, chunk)
    if own is not None and not _all_there(files, own):
        log(f"{chunk}: files that its manifest names are missing; it is made anew")
        own = None
    if own is not None and own.input_hash == input_hash(inputs):
        advance(sum(own.outcomes.values()))
        return own, True
    started = time.monotonic()
    rows = read_chunk_rows(files, chunk)
    source = workspace.source.articles(max_object_bytes=settings.max_object_bytes)
    requests, fetched = source.traffic.requests, source.traffic.bytes
    with tempfile.TemporaryDirectory(prefix=f"chunk-{chunk}-", dir=settings.scratch or None) as scratch:
        writer = _ChunkWriter(Path(scratch), chunk, settings.shard_bytes)
        prior = PriorState(files, chunk, rows, own)
        work = ArticlePass(chunk, source, settings, files)
        results = prefetch(
            ((row, prior.get(row)) for row in rows),
            lambda item: work.run(*item),
            concurrency=settings.concurrency,
            budget=ByteBudget(settings.window_bytes),
        )
        with closing(results):
            for number, result in enumerate(_results(results), 1):
                writer.add(result)
                _refuse_too_many_failures(chunk, writer, len(rows), settings)
                advance(1)
                if number % LOG_EVERY == 0:
                    log(f"{chunk}: {number} of {len(rows)} rows, {dict(writer.outcomes)}")
        tables, shards = writer.commit(files)
    manifest = ChunkManifest(
        chunk=chunk,
        release=file_list.release,
        input_hash=input_hash(inputs),
        inputs={**inputs, "wants": wants(settings)},
        tables=tables,
        shards=shards,
        outcomes=dict(sorted(writer.outcomes.items())),
        retry=writer.retry,
        run={
            "committed": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - started, 3),
            "requests": source.traffic.requests - requests,
            "bytes_fetched": source.traffic.bytes - fetched,
        },
    )
    write_chunk_manifest(files, manifest)
    return manifest, False


def _all_there(files: Files, manifest: ChunkManifest) -> bool:
    return all(files.exists(path) for path in manifest.files)


def _results(
    results: Iterator[tuple[tuple[FileListRow, Held | None], ArticleResult | Exception]],
) -> Iterator[ArticleResult]:
    for (row, _), result in results:
        if isinstance(result, Exception):
            # Every fault of an input has its own outcome; what is left is a fault of source, store or code.
            result.add_note(f"while working on {row.listed_id} of chunk {row.chunk}")
            raise result
        yield result


def _refuse_too_many_failures(chunk: str, writer: _ChunkWriter, rows: int, settings: Settings) -> None:
    failed, share = writer.outcomes["failed"], settings.max_failed_share
    if failed > settings.failed_floor and failed > share * rows:
        reasons = ", ".join(f"{count} x {error}" for error, count in writer.errors.most_common(5))
        raise TooManyFailuresError(
            f"{chunk}: {failed} of the first {writer.outcomes.total()} versions failed ({reasons}), more than "
            f"BIOMEDICA_MAX_FAILED_SHARE ({share:.0%}) of {rows}; nothing was committed"
        )


class _ChunkWriter:
    """Tables and shards of one chunk in a scratch folder."""

    def __init__(self, scratch: Path, chunk: str, shard_bytes: int) -> None:
        self._chunk = chunk
        self._tables = {
            name: TableWriter(table, scratch / f"{name}.parquet") for name, table in schemas.CHUNK_TABLES.items()
        }
        self._shards = ShardWriter(scratch, chunk, shard_bytes)
        self._images: list[Row] = []
        """Rows of `images`, kept until their shards have names: about 25,000 small ones per chunk."""
        self._spans: dict[int, int] = {}
        """Position in `_images` -> number of the shard it was written to."""
        self._earlier: dict[str, DataFile] = {}
        self.outcomes: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.retry: list[dict[str, Any]] = []

    def add(self, result: ArticleResult) -> None:
        """Write what one row contributes."""
        self.outcomes[result.outcome] += 1
        if result.retry:
            row = result.row
            self.retry.append({"listed_id": row.listed_id, "etag": row.etag, "attempts": row.attempts})
        spans = {name: self._shards.add(*sample) for name, sample in result.samples.items()}
        for image in result.tables.pop("images", []):
            span = spans.get(image["file_name"])
            if span is not None:
                self._spans[len(self._images)] = span.shard_index
                image |= {"offset": span.offset, "length": span.length, "image_offset": span.image_offset}
            self._images.append(image)
        self._earlier |= result.shards
        self.errors.update(failure["error"] for failure in result.tables.get("failures", ()) if failure["fatal"])
        for name, rows in result.tables.items():
            self._write(name, rows)

    def _write(self, name: str, rows: list[Row]) -> None:
        for row in rows:
            row["chunk"] = self._chunk
        self._tables[name].add(rows)

    def commit(self, files: Files) -> tuple[dict[str, DataFile], list[DataFile]]:
        """Put everything into the store; returns the tables by name, and all shards the images point into."""
        own = [commit_shard(files, self._chunk, shard) for shard in self._shards.close()]
        for position, index in self._spans.items():
            self._images[position]["shard"] = own[index].path
        self._write("images", self._images)
        tables = {name: commit_table(files, name, self._chunk, writer.close()) for name, writer in self._tables.items()}
        shards = {shard.path: shard for shard in own} | self._earlier
        return tables, [shards[path] for path in sorted(shards)]
