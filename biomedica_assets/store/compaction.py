"""Compaction: shards are written anew without dead samples; live samples keep their bytes and only move.

A sample is live while the newest collected row of some version points at it, or a row that a kept snapshot shows.
It is dead once a newer row has other bytes, or the version is withdrawn for good: at once when PMC's own record of
that very version says so (retracted, no open licence any more), after ``confirm_releases`` further releases when it
merely went missing. Rows of `images` whose sample is gone keep all they say but the place of the bytes, so that a
re-parse asks nobody for them.

Safe under kill: new shards come first, then one journal that says what moves where, then one manifest after the
other; the next call finishes what the journal says. Safe under a running stream: the old shards stay until garbage
collection's grace has passed. What does not belong here: deleting files (`garbage`).
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.store.catalogue import (
    Generation,
    catalogue_stem,
    connect,
    parquet_relation,
    refresh_generation,
)
from biomedica_assets.store.duck import duck_url, write_query
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import (
    ChunkManifest,
    DataFile,
    JsonRecord,
    StoreError,
    read_chunk_manifests,
    write_chunk_manifest,
)
from biomedica_assets.store.shards import BLOCK, END, put_once, read_span
from biomedica_assets.store.snapshots import Snapshot, list_snapshots, read_snapshot, with_manifests, write_snapshot
from biomedica_assets.store.tables import TableWriter, commit_table, read_table

JOURNAL = "compaction/journal.json"
_COPY_BYTES = 8 << 20
_SPAN = ("shard", "offset", "length", "image_offset")
_SHARD = re.compile(r"shards/(?P<chunk>.+)-(?P<index>\d{4,})-[0-9a-f]{16}\.tar")


@dataclass(frozen=True)
class Compacted:
    """Shards written anew or given up, their bytes before and after, and the chunks whose manifest was replaced."""

    shards: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    chunks: int = 0


@dataclass(frozen=True)
class _Journal(JsonRecord):
    """``shards``: the old shards by path, each with the new one or null. ``tables``: the files of `images` to rewrite.

    ``moves`` is a Parquet file (shard, offset, new_shard, new_offset) of all live samples. ``files`` is what garbage
    collection must spare while the journal exists.
    """

    shards: dict[str, dict[str, Any] | None]
    tables: list[str]
    moves: str
    bytes_before: int
    files: list[str] = field(default_factory=list)


def compact(
    files: Files,
    *,
    dead_share: float = 0.3,
    confirm_releases: int = 2,
    max_bytes: int | None = None,
    scratch: str | None = None,
    log: Callable[[str], Any] = lambda _: None,
) -> Compacted:
    """Rewrite every shard of which at least ``dead_share`` is dead; then build the catalogue of the new places.

    Args:
        files: the store.
        dead_share: dead part of a shard's bytes from which rewriting it is worth its cost, 0 to 1.
        confirm_releases: releases after the one that lost a version, before its bytes go.
        max_bytes: live bytes to copy at most; the deadest shards come first, the others wait for the next call.
        scratch: local folder for one shard at a time; default the system's.
        log: gets a line per shard.
    """
    done = _finish(files, scratch)
    with tempfile.TemporaryDirectory(prefix="compaction-", dir=scratch) as folder:
        journal = _plan(files, Path(folder), dead_share, confirm_releases, max_bytes, log)
    if journal is None:
        return done
    files.write(JOURNAL, journal.to_json())
    return _sum(done, _finish(files, scratch))


def _sum(one: Compacted, other: Compacted) -> Compacted:
    return Compacted(**{name: value + getattr(other, name) for name, value in asdict(one).items()})


def _states(files: Files) -> dict[str, tuple[Generation, dict[str, ChunkManifest]]]:
    """The present state (under "") and those of kept snapshots."""
    generation = refresh_generation(files)
    states = {"": (generation, read_chunk_manifests(files))}
    for name in list_snapshots(files):
        snapshot = read_snapshot(files, name)
        states[name] = (snapshot.catalogue, snapshot.manifests)
    return states


def _plan(
    files: Files,
    scratch: Path,
    dead_share: float,
    confirm_releases: int,
    max_bytes: int | None,
    log: Callable[[str], Any],
) -> _Journal | None:
    """Write the new shards and the moves; null when no shard is worth it."""
    states = _states(files)
    known = {s.path: s for _, manifests in states.values() for m in manifests.values() for s in m.shards}
    if not known:
        return None
    with connect(files, scratch) as connection:
        _find_live(files, connection, states, confirm_releases)
        rows = connection.execute("SELECT shard, sum(length)::BIGINT FROM live_spans GROUP BY 1").fetchall()
        live = dict(rows)
        shares = {path: 1 - (live.get(path, 0) + len(END)) / shard.bytes for path, shard in known.items()}
        worth = [path for path, share in shares.items() if live.get(path, 0) + len(END) < known[path].bytes]
        chosen: dict[str, DataFile | None] = {}
        moves, copied = [], 0
        for path in sorted((p for p in worth if shares[p] >= dead_share), key=lambda p: (-shares[p], p)):
            if max_bytes is not None and copied + live.get(path, 0) > max_bytes:
                continue
            copied += live.get(path, 0)
            spans = _spans(connection, known[path])
            chosen[path] = _rewrite(files, scratch, path, spans)
            moves += list(_moves(path, chosen[path], spans))
            log(f"{path}: {shares[path]:.0%} dead, {len(spans)} samples kept")
        if not chosen:
            return None
        connection.execute("CREATE TABLE chosen (shard VARCHAR)")
        connection.executemany("INSERT INTO chosen VALUES (?)", [[path] for path in chosen])
        query = "SELECT DISTINCT path FROM rows SEMI JOIN chosen USING (shard) ORDER BY 1"
        tables = [path for [path] in connection.execute(query).fetchall()]
    moves_path = _write_moves(files, scratch, moves)
    return _Journal(
        shards={path: asdict(new) if new else None for path, new in sorted(chosen.items())},
        tables=tables,
        moves=moves_path,
        bytes_before=sum(known[path].bytes for path in chosen),
        files=sorted({moves_path, *chosen, *(new.path for new in chosen.values() if new)}),
    )


def _find_live(
    files: Files,
    connection: duckdb.DuckDBPyConnection,
    states: dict[str, tuple[Generation, dict[str, ChunkManifest]]],
    confirm_releases: int,
) -> None:
    """Tables ``rows`` (path, article_id, shard, offset, length) and ``live_spans`` (shard, offset, length)."""
    present, _ = states[""]
    urls = {m.tables["images"].path: c for _, manifests in states.values() for c, m in manifests.items()}
    connection.register(
        "table_files",
        pa.table({"url": [duck_url(files, path) for path in urls], "path": list(urls), "chunk": list(urls.values())}),
    )
    listed = ", ".join(_quoted(duck_url(files, path)) for path in sorted(urls))
    connection.execute(f"""
        CREATE TABLE rows AS
        SELECT f.path, f.chunk, i.article_id, i.shard, i."offset", i.length
        FROM read_parquet([{listed}], union_by_name = true, filename = 'url') i JOIN table_files f USING (url)
        WHERE i.shard IS NOT NULL
    """)
    # Which rows are needed, of which table file: that of the present state, and those that snapshots show.
    connection.register("releases", pa.table({"release": pa.array(present.releases, pa.string())}))
    connection.execute(f"""
        CREATE TABLE gone AS SELECT w.pmcid, w.version FROM {_catalogue_file(files, present, "withdrawals")} w
        WHERE w.reason NOT IN ('pmcid_retracted', 'pubmed_retracted') AND (w.reason NOT IN ('removed', 'absent')
              OR (SELECT count(*) FROM releases WHERE release > w.since_release) >= {int(confirm_releases)})
    """)
    connection.execute("CREATE TABLE needed (path VARCHAR, article_id VARCHAR)")
    for name, (generation, manifests) in states.items():
        paths = pa.table({"chunk": list(manifests), "path": [m.tables["images"].path for m in manifests.values()]})
        connection.register("paths", paths)
        shown = f"SELECT chunk, article_id, pmcid, version FROM {_catalogue_file(files, generation, 'current')}"
        if not name:
            shown = f"""
                SELECT chunk, article_id, pmcid, version FROM {_catalogue_file(files, generation, "version_log")}
                WHERE outcome = 'collected'
                QUALIFY row_number() OVER (PARTITION BY pmcid, version ORDER BY chunk DESC) = 1
            """
        connection.execute(f"""
            INSERT INTO needed SELECT path, article_id FROM ({shown}) JOIN paths USING (chunk)
            ANTI JOIN gone USING (pmcid, version)
        """)
    connection.execute("""
        CREATE TABLE live_spans AS
        SELECT DISTINCT shard, "offset", length FROM rows SEMI JOIN needed USING (path, article_id)
    """)


def _catalogue_file(files: Files, generation: Generation, table: str) -> str:
    return f"read_parquet({_quoted(duck_url(files, generation.files[table].path))})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _spans(connection: duckdb.DuckDBPyConnection, shard: DataFile) -> list[tuple[int, int]]:
    """Live (offset, length) of a shard in order. Raises `StoreError` when they do not fit each other or the shard."""
    query = 'SELECT "offset", length FROM live_spans WHERE shard = ? ORDER BY 1, 2'
    spans = connection.execute(query, [shard.path]).fetchall()
    end = 0
    for offset, length in spans:
        if offset < end or length <= 0 or offset % BLOCK or length % BLOCK or offset + length > shard.bytes:
            raise StoreError(f"{shard.path}: no sample can lie at {offset} with {length} bytes; check the store")
        end = offset + length
    return spans


def _rewrite(files: Files, scratch: Path, path: str, spans: list[tuple[int, int]]) -> DataFile | None:
    """Copy the spans of a shard, one after the other, into a new one under its chunk's name; null for none."""
    if not spans:
        return None
    match = _SHARD.fullmatch(path)
    if match is None:
        raise StoreError(f"{path!r} is not named like a shard")
    local, digest, size = scratch / "shard.tar", hashlib.sha256(), 0
    with local.open("wb") as out:
        for data in _copied(files, path, spans):
            out.write(data)
            digest.update(data)
            size += len(data)
    new = f"shards/{match['chunk']}-{match['index']}-{digest.hexdigest()[:16]}.tar"
    put_once(files, local, new, size)
    return DataFile(new, size, digest.hexdigest(), len(spans))


def _copied(files: Files, path: str, spans: list[tuple[int, int]]) -> Iterator[bytes]:
    for start, end in _runs(spans):
        for offset in range(start, end, _COPY_BYTES):
            yield read_span(files, path, offset, min(_COPY_BYTES, end - offset))
    yield END


def _runs(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Neighbouring spans as one (start, end)."""
    start = end = -1
    for offset, length in spans:
        if offset != end:
            if end > 0:
                yield start, end
            start = offset
        end = offset + length
    if end > 0:
        yield start, end


def _moves(path: str, new: DataFile | None, spans: list[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    position = 0
    for offset, length in spans:
        yield {"shard": path, "offset": offset, "new_shard": new.path if new else None, "new_offset": position}
        position += length


_MOVES = pa.schema(
    [("shard", pa.string()), ("offset", pa.int64()), ("new_shard", pa.string()), ("new_offset", pa.int64())]
)


def _write_moves(files: Files, scratch: Path, moves: list[dict[str, Any]]) -> str:
    local = scratch / "moves.parquet"
    pq.write_table(pa.Table.from_pylist(moves, schema=_MOVES), local, compression="zstd")
    path = f"compaction/{hashlib.sha256(local.read_bytes()).hexdigest()[:16]}.parquet"
    files.put_file(local, path)
    return path


def _finish(files: Files, scratch: str | None) -> Compacted:
    """Do what the journal says, wherever an earlier call was ended; nothing when there is none."""
    try:
        journal = _Journal.from_json(files.read(JOURNAL))
    except FileNotFoundError:
        return Compacted()
    with tempfile.TemporaryDirectory(prefix="compaction-", dir=scratch) as folder:
        work = _Relocation(files, Path(folder), journal)
        chunks = 0
        for manifest in read_chunk_manifests(files).values():
            moved = work.manifest(manifest)
            if moved is not manifest:
                write_chunk_manifest(files, moved)
                chunks += 1
        for name in list_snapshots(files):
            snapshot = read_snapshot(files, name)
            moved_snapshot = work.snapshot(snapshot)
            if moved_snapshot is not snapshot:
                write_snapshot(files, moved_snapshot)
    refresh_generation(files)  # before the journal goes: until then it keeps the old shards for readers of the old one
    files.remove(JOURNAL)
    files.remove(journal.moves)
    after = sum(new["bytes"] for new in journal.shards.values() if new)
    return Compacted(len(journal.shards), journal.bytes_before, after, chunks)


class _Relocation:
    """Manifests and snapshots with the places that a journal gives to samples."""

    def __init__(self, files: Files, scratch: Path, journal: _Journal) -> None:
        self._files, self._scratch, self._journal = files, scratch, journal
        self._new = {new["path"]: DataFile(**new) for new in journal.shards.values() if new}
        self._images: dict[str, tuple[DataFile, set[str]]] = {}
        with files.open_seekable(journal.moves) as file:
            self._moves = pq.read_table(file)
        self._by_shard = self._moves["shard"].combine_chunks()

    def manifest(self, manifest: ChunkManifest) -> ChunkManifest:
        """The manifest with its table of images rewritten; itself when the journal does not concern it."""
        images = manifest.tables["images"]
        if images.path not in self._journal.tables:
            return manifest
        if images.path not in self._images:
            self._images[images.path] = self._rewrite(manifest.chunk, images.path)
        table, named = self._images[images.path]
        known = {shard.path: shard for shard in manifest.shards} | self._new
        return replace(
            manifest,
            tables={**manifest.tables, "images": table},
            shards=[known[path] for path in sorted(named)],
        )

    def _rewrite(self, chunk: str, path: str) -> tuple[DataFile, set[str]]:
        """The rewritten table and the shards that it points into."""
        rows = read_table(self._files, path).to_pylist()
        places = self._places({row["shard"] for row in rows})
        for row in rows:
            if row["shard"] in self._journal.shards:
                new_shard, new_offset = places.get((row["shard"], row["offset"]), (None, None))
                if new_shard is None:
                    row.update(dict.fromkeys(_SPAN))
                else:
                    inside = row["image_offset"] - row["offset"]
                    row.update(shard=new_shard, offset=new_offset, image_offset=new_offset + inside)
        writer = TableWriter(schemas.IMAGES, self._scratch / "images.parquet")
        writer.add(rows)
        written = commit_table(self._files, "images", chunk, writer.close())
        return written, {row["shard"] for row in rows if row["shard"] is not None}

    def _places(self, shards: set[str | None]) -> dict[tuple[str, int], tuple[str | None, int]]:
        wanted = pa.array(sorted(s for s in shards if s in self._journal.shards), pa.string())
        mask = pa.compute.is_in(self._by_shard, value_set=wanted)
        columns = (self._moves.filter(mask)[name].to_pylist() for name in _MOVES.names)
        return {(shard, offset): (new, place) for shard, offset, new, place in zip(*columns, strict=True)}

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        """The same state in other files; itself when the journal does not concern it."""
        before = snapshot.manifests
        after = {chunk: self.manifest(manifest) for chunk, manifest in before.items()}
        if all(after[chunk] is manifest for chunk, manifest in before.items()):
            return snapshot
        return with_manifests(snapshot, after, {"sample_index": self._sample_index(snapshot.catalogue)})

    def _sample_index(self, generation: Generation) -> DataFile:
        old = parquet_relation(self._files, [generation.files["sample_index"].path], schemas.SAMPLE_INDEX, [])
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder, connect(self._files, Path(folder)) as connection:
            connection.register("moves", self._moves)
            shards = pa.array(sorted(self._journal.shards), pa.string())
            connection.register("chosen", pa.table({"shard": shards}))
            query = f"""
                SELECT i.* REPLACE (
                    CASE WHEN c.shard IS NULL THEN i.shard ELSE m.new_shard END AS shard,
                    CASE WHEN c.shard IS NULL THEN i."offset" ELSE m.new_offset END AS "offset",
                    CASE WHEN c.shard IS NULL OR m.shard IS NOT NULL THEN i.length END AS length,
                    CASE WHEN c.shard IS NULL THEN i.image_offset
                         ELSE m.new_offset + i.image_offset - i."offset" END AS image_offset)
                FROM {old} i LEFT JOIN chosen c ON c.shard = i.shard
                LEFT JOIN moves m ON m.shard = i.shard AND m."offset" = i."offset"
                ORDER BY i.pmcid, i.image_id
            """
            stem = catalogue_stem(schemas.SAMPLE_INDEX)
            return write_query(self._files, connection, Path(folder), schemas.SAMPLE_INDEX, query, stem)
