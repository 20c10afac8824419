"""Exports: a subset as globally shuffled shards that others train on, wherever an fsspec URL points.

``exports/<name>/<format>-<id>/`` holds ``index.pq`` (which image in which shard, fixed first; not ``.parquet``, which
loaders would take for data), the shards ``data/000000.tar`` ..., a small ``shards/000000.json`` that commits each, and
last ``manifest.json``. Killed at any instant it goes on where it stopped. What was withdrawn before its shard was
written is left out; what is withdrawn later is taken out by `export_upkeep.rebuild`, which touches the shards that hold
it and no other. Both are listed as tombstones.
What does not belong here: which images (`subsets`), bytes of shards (`formats`), hubs (`hub`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.dataset import formats
from biomedica_assets.dataset.biomedica_view import biomedica_query
from biomedica_assets.dataset.duplicates import add_duplicates_view
from biomedica_assets.dataset.export_manifest import (
    Export,
    ExportShard,
    Options,
    export_folder,
    export_id,
    finish,
    put_shard,
    suffix,
)
from biomedica_assets.dataset.fields import records_query
from biomedica_assets.dataset.queries import bounded_catalogue, from_parquet, sql_text
from biomedica_assets.dataset.reading import Span, read_images
from biomedica_assets.dataset.subsets import Subset, add_metadata_view, current_rows
from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import SpanError

_RECORD_GROUP = 2_000  # rows; a shard's records are read by row group


def export(
    files: Files,
    subset: Subset,
    options: Options | None = None,
    *,
    target: Files | None = None,
    workers: int = 8,
    part: tuple[int, int] = (0, 1),
    batch_bytes: int = 4_000_000_000,
    scratch: str | None = None,
    progress: Callable[[int], Any] = lambda _: None,
) -> Export | None:
    """Write a subset's export, or what is missing of it; returns its manifest, None while other parts are missing.

    Args:
        files: the store.
        subset: what to export.
        options: see there.
        target: where to, default into the store itself.
        workers: requests in flight, and shards packed at the same time.
        part: (i, n): write only every n-th shard, from the i-th; n processes or machines then share the work.
        batch_bytes: image bytes in scratch at a time: larger batches read the archive in longer stretches.
        scratch: local folder; it holds the records of all samples and one batch of images.
        progress: gets the number of samples of each shard that is done.

    Raises:
        SpanError: the archive holds other bytes than the tables say.
        FileNotFoundError: the store has no catalogue.
    """
    target, options = target or files, options or Options()
    if options.format == "parquet" and options.jpeg_quality is not None:
        raise ValueError("parquet exports hold the original files; jpeg_quality is for tars")
    identity = export_id(subset, options)
    folder = export_folder(subset.name, options, identity)
    with bounded_catalogue(files, scratch) as (connection, local):
        add_duplicates_view(files, connection)
        add_metadata_view(connection)
        total = _assign(connection, files, subset, options)
        _write_index(connection, target, folder, local)
        done = committed_shards(target, folder)
        missing = [number for number in range(total) if number not in done and number % part[1] == part[0]]
        if missing:
            writer = _Writer(files, target, folder, options, local, workers, progress)
            for batch in _batches(connection, missing, batch_bytes):
                writer.write(connection, subset, batch)
    done = committed_shards(target, folder)
    return None if len(done) < total else finish(target, folder, subset, options, identity, list(done.values()))


def _assign(connection: duckdb.DuckDBPyConnection, files: Files, subset: Subset, options: Options) -> int:
    """Table ``plan``: every image of the subset, withdrawn or not, with its shard and position; how many shards."""
    chance = f"md5(concat({int(subset.recipe['seed'])}, ':', image_id)), image_id"
    connection.execute(f"""
        CREATE TABLE shuffled AS
        SELECT image_id, sha256, length FROM {from_parquet(files, subset.file.path)} ORDER BY {chance}
    """)
    connection.execute(f"""
        CREATE TABLE plan AS
        SELECT ((sum(length) OVER (ORDER BY rowid) - length) // {options.shard_bytes})::BIGINT AS shard,
               rowid AS position, image_id, sha256, length
        FROM shuffled ORDER BY rowid
    """)
    connection.execute("DROP TABLE shuffled")
    # A sample longer than a shard leaves numbers unused: shards are numbered without gaps.
    connection.execute("""
        CREATE OR REPLACE TABLE plan AS
        SELECT dense_rank() OVER (ORDER BY shard) - 1 AS shard, position, image_id, sha256, length
        FROM plan ORDER BY position
    """)
    return int(connection.execute("SELECT coalesce(max(shard) + 1, 0) FROM plan").fetchall()[0][0])


def _write_index(connection: duckdb.DuckDBPyConnection, target: Files, folder: str, local: Path) -> None:
    path = f"{folder}/index.pq"
    if target.exists(path):
        return
    schema = schemas.EXPORT_INDEX.arrow
    with pq.ParquetWriter(local / "index.pq", schema, compression="zstd") as writer:
        for batch in connection.sql("SELECT * FROM plan ORDER BY position").to_arrow_reader(100_000):
            columns = [batch.column(name).cast(schema.field(name).type) for name in schema.names]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    target.put_file(local / "index.pq", path, move=True)


def committed_shards(target: Files, folder: str) -> dict[int, ExportShard]:
    """Shards of an export that are committed, by number; of one that is not finished too."""
    shards = (
        ExportShard.from_json(target.read(path))
        for path, _ in target.list(f"{folder}/shards")
        if path.endswith(".json")
    )
    return {shard.number: shard for shard in sorted(shards, key=lambda shard: shard.number)}


def _batches(connection: duckdb.DuckDBPyConnection, missing: list[int], batch_bytes: int) -> Iterator[list[int]]:
    """The missing shards in groups whose images fit into scratch together, at least one each."""
    sizes = dict(connection.execute("SELECT shard, sum(length)::BIGINT FROM plan GROUP BY 1").fetchall())
    batch: list[int] = []
    size = 0
    for number in missing:
        if batch and size + sizes[number] > batch_bytes:
            yield batch
            batch, size = [], 0
        batch.append(number)
        size += sizes[number]
    if batch:
        yield batch


_STEERING = """s._shard, s._position, s.image_id AS _image_id, s.sha256 AS _sha256, s.shard AS _archive,
    s.image_offset AS _offset, s.bytes AS _bytes, s.media_type AS _media_type, s.article_id AS _article_id, """


class _Writer:
    """Writes batches of shards: records from the tables, images from the archive in its own order, then the shards."""

    def __init__(
        self,
        files: Files,
        target: Files,
        folder: str,
        options: Options,
        local: Path,
        workers: int,
        progress: Callable[[int], Any],
    ) -> None:
        self._files, self._target, self._folder, self._options = files, target, folder, options
        self._local, self._workers, self._progress = local, workers, progress

    def write(self, connection: duckdb.DuckDBPyConnection, subset: Subset, batch: list[int]) -> None:
        """Write and commit these shards."""
        records, withheld = self._records(connection, subset, batch)
        spans = self._images(records)

        def one(number: int) -> None:
            rows = _shard_rows(records, number)
            self._commit(number, self._pack(number, rows, spans, records), withheld.get(number, []))

        with ThreadPoolExecutor(min(self._workers, 4)) as pool:
            for _ in pool.map(one, batch):
                pass
        (self._local / "images").unlink()
        records.unlink()

    def _records(
        self, connection: duckdb.DuckDBPyConnection, subset: Subset, batch: list[int]
    ) -> tuple[Path, dict[int, list[str]]]:
        """A scratch file of what is said of each sample, in the export's order; and what is no longer served."""
        numbers = ", ".join(map(str, batch))
        connection.execute(f"""
            CREATE OR REPLACE TABLE wanted AS
            SELECT s.*, p.shard AS _shard, p.position AS _position
            FROM plan p JOIN {current_rows(self._files, subset)} s USING (image_id) WHERE p.shard IN ({numbers})
        """)
        gone = connection.execute(f"""
            SELECT shard, image_id FROM plan p WHERE shard IN ({numbers})
            AND image_id NOT IN (SELECT image_id FROM wanted) ORDER BY position
        """).fetchall()
        withheld: dict[int, list[str]] = {}
        for number, image_id in gone:
            withheld.setdefault(number, []).append(image_id)
        if self._options.format == "biomedica":
            query = biomedica_query(_STEERING, "wanted")
        else:
            query = records_query(subset.recipe["fields"], _STEERING)
        path = self._local / "records.parquet"
        connection.execute(f"""
            COPY (SELECT r.*, coalesce(c.text, c.group_caption) AS _text FROM ({query}) r
                  JOIN wanted w ON w.image_id = r._image_id
                  LEFT JOIN captions c ON c.chunk = w.chunk AND c.figure_id = w.figure_id
                  ORDER BY r._position)
            TO {sql_text(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_RECORD_GROUP})
        """)
        return path, withheld

    def _images(self, records: Path) -> dict[int, tuple[int, int]]:
        """Scratch file ``images`` of the batch's images in the archive's order; (offset, length) by position."""
        columns = ["_position", "_archive", "_offset", "_bytes", "_sha256"]
        table = pq.read_table(records, columns=columns).to_pydict()
        spans = [Span(*span) for span in zip(*(table[name] for name in columns[1:4]), strict=True)]
        places: dict[int, tuple[int, int]] = {}
        offset = 0
        with (self._local / "images").open("wb") as scratch:
            for index, data in read_images(self._files, spans, self._workers):
                if hashlib.sha256(data).hexdigest() != table["_sha256"][index]:
                    span = spans[index]
                    raise SpanError(f"{span.shard} holds other bytes than {table['_sha256'][index]} at {span.offset}")
                scratch.write(data)
                places[table["_position"][index]] = (offset, len(data))
                offset += len(data)
        return places

    def _pack(
        self, number: int, rows: Iterator[Row], places: dict[int, tuple[int, int]], records: Path
    ) -> formats.Packed:
        def samples() -> Iterator[tuple[Row, bytes]]:
            with (self._local / "images").open("rb") as scratch:
                for row in rows:
                    offset, length = places[row["_position"]]
                    scratch.seek(offset)
                    yield row, scratch.read(length)

        path = self._local / f"{number:06d}.{suffix(self._options)}"
        if self._options.format == "parquet":
            return formats.pack_parquet(path, samples(), pq.read_schema(records))
        pack = formats.pack_biomedica if self._options.format == "biomedica" else formats.pack_webdataset
        return pack(path, samples(), jpeg_quality=self._options.jpeg_quality)

    def _commit(self, number: int, packed: formats.Packed, withheld: list[str]) -> None:
        put_shard(self._target, self._folder, number, packed, withheld, [asdict(s) for s in packed.skipped])
        self._progress(packed.samples)


def _shard_rows(records: Path, number: int) -> Iterator[Row]:
    """The records of one shard in order; row groups of other shards are not read."""
    with pq.ParquetFile(records) as file:
        column = file.schema_arrow.get_field_index("_shard")
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(column).statistics
            if statistics is None or statistics.min <= number <= statistics.max:
                for batch in file.iter_batches(500, row_groups=[group]):
                    yield from (row for row in batch.to_pylist() if row["_shard"] == number)
