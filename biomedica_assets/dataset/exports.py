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
from biomedica_assets.dataset.queries import bounded_catalogue, from_parquet
from biomedica_assets.dataset.reading import Span, read_images
from biomedica_assets.dataset.subsets import Subset, add_metadata_view, current_rows
from biomedica_assets.images.crops import crop, crop_media_type
from biomedica_assets.images.probe import ImageError
from biomedica_assets.schemas import Row
from biomedica_assets.store.duck import sql_text
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import SpanError

_RECORD_GROUP = 2_000  # rows; a shard's records are read by row group


def unfit(subset: Subset, kind: str) -> str | None:
    """Why a subset cannot be written in a format, for people; null when it can."""
    if kind == "biomedica" and (subset.unit.cut or not subset.unit.pictured):
        parts = f"{subset.recipe['unit']}s"
        return f"BIOMEDICA's format has whole images; {subset.name} is made of {parts}: webdataset or parquet"
    return None


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
    if fault := unfit(subset, options.format):
        raise ValueError(fault)
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
    """Table ``plan``: every sample of the subset, withdrawn or not, with its shard and position; how many shards."""
    again = "CASE WHEN copy > 1 THEN concat('~', copy) ELSE '' END"
    chance = f"md5(concat({int(subset.recipe['seed'])}, ':', image_id, {again})), image_id, copy"
    copies = "copies" if subset.version >= 2 else "1"
    connection.execute(f"""
        CREATE TABLE shuffled AS
        SELECT image_id, sha256, length, copy::BIGINT AS copy FROM (
            SELECT {subset.key} AS image_id, sha256, length, unnest(range(1, 1 + {copies})) AS copy
            FROM {from_parquet(files, subset.file.path)})
        ORDER BY {chance}
    """)
    connection.execute(f"""
        CREATE TABLE plan AS
        SELECT ((sum(length) OVER (ORDER BY rowid) - length) // {options.shard_bytes})::BIGINT AS shard,
               rowid AS position, image_id, sha256, length, copy
        FROM shuffled ORDER BY rowid
    """)
    connection.execute("DROP TABLE shuffled")
    # A sample longer than a shard leaves numbers unused: shards are numbered without gaps.
    connection.execute("""
        CREATE OR REPLACE TABLE plan AS
        SELECT dense_rank() OVER (ORDER BY shard) - 1 AS shard, position, image_id, sha256, length, copy
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


_STEERING = """s._shard, s._position, s._copy, s.sample_id AS _image_id, s.sha256 AS _sha256, s.shard AS _archive,
    s.image_offset AS _offset, s.bytes AS _bytes, s.media_type AS _media_type, s.article_id AS _article_id, """


_BOX = "s.panel_x AS _x, s.panel_y AS _y, s.panel_width AS _width, s.panel_height AS _height,"


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
        self._pictures, self._panels = subset.unit.pictured, subset.unit.cut
        spans = self._images(records) if self._pictures else {}

        def one(number: int) -> None:
            rows = _shard_rows(records, number)
            self._commit(number, self._pack(number, rows, spans, records), withheld.get(number, []))

        with ThreadPoolExecutor(min(self._workers, 4)) as pool:
            for _ in pool.map(one, batch):
                pass
        (self._local / "images").unlink(missing_ok=True)
        records.unlink()

    def _records(
        self, connection: duckdb.DuckDBPyConnection, subset: Subset, batch: list[int]
    ) -> tuple[Path, dict[int, list[str]]]:
        """A scratch file of what is said of each sample, in the export's order; and what is no longer served."""
        numbers = ", ".join(map(str, batch))
        connection.execute(f"""
            CREATE OR REPLACE TABLE wanted AS
            SELECT s.*, p.shard AS _shard, p.position AS _position, p.copy AS _copy
            FROM plan p JOIN {current_rows(self._files, subset)} s ON s.sample_id = p.image_id
            WHERE p.shard IN ({numbers})
        """)
        gone = connection.execute(f"""
            SELECT shard, image_id FROM plan p WHERE shard IN ({numbers})
            AND image_id NOT IN (SELECT sample_id FROM wanted) ORDER BY position
        """).fetchall()
        withheld: dict[int, list[str]] = {}
        for number, image_id in dict.fromkeys(gone):
            withheld.setdefault(number, []).append(image_id)
        if self._options.format == "biomedica":
            query = biomedica_query(_STEERING, "wanted")
        else:
            unit = subset.unit
            steering = _STEERING + (_BOX if unit.cut else "")
            query = records_query(subset.recipe["fields"], steering, unit.fields, unit.always)
        path = self._local / "records.parquet"
        connection.execute(f"""
            COPY (SELECT r.*, {subset.unit.text} AS _text FROM ({query}) r
                  JOIN wanted s ON s._position = r._position
                  LEFT JOIN captions c ON c.chunk = s.chunk AND c.figure_id = s.figure_id
                  ORDER BY r._position)
            TO {sql_text(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_RECORD_GROUP})
        """)
        return path, withheld

    def _images(self, records: Path) -> dict[int, tuple[int, int]]:
        """Scratch file ``images`` of the batch's images in the archive's order; (offset, length) by position."""
        columns = ["_position", "_archive", "_offset", "_bytes", "_sha256"]
        table = pq.read_table(records, columns=columns).to_pydict()
        wanted: dict[Span, list[int]] = {}  # panels and copies share their image
        for row, span in enumerate(zip(*(table[name] for name in columns[1:4]), strict=True)):
            wanted.setdefault(Span(*span), []).append(row)
        spans = list(wanted)
        places: dict[int, tuple[int, int]] = {}
        offset = 0
        with (self._local / "images").open("wb") as scratch:
            for index, data in read_images(self._files, spans, self._workers):
                span = spans[index]
                expected = table["_sha256"][wanted[span][0]]
                if hashlib.sha256(data).hexdigest() != expected:
                    raise SpanError(f"{span.shard} holds other bytes than {expected} at {span.offset}")
                scratch.write(data)
                places |= {table["_position"][row]: (offset, len(data)) for row in wanted[span]}
                offset += len(data)
        return places

    def _pack(
        self, number: int, rows: Iterator[Row], places: dict[int, tuple[int, int]], records: Path
    ) -> formats.Packed:
        skipped: list[formats.Skipped] = []

        def samples() -> Iterator[formats.Sample]:
            if not self._pictures:
                yield from ((row, None) for row in rows)
                return
            with (self._local / "images").open("rb") as scratch:
                for row in rows:
                    offset, length = places[row["_position"]]
                    scratch.seek(offset)
                    data = scratch.read(length)
                    try:
                        yield _cut(row, data) if self._panels else (row, data)
                    except (ImageError, ValueError) as error:
                        skipped.append(formats.Skipped(row["_image_id"], type(error).__name__, str(error)))

        packed = self._packed(number, samples(), records)
        packed.skipped.extend(skipped)
        return packed

    def _packed(self, number: int, samples: Iterator[formats.Sample], records: Path) -> formats.Packed:
        path = self._local / f"{number:06d}.{suffix(self._options)}"
        if self._options.format == "parquet":
            return formats.pack_parquet(path, samples, pq.read_schema(records), pictures=self._pictures)
        pack = formats.pack_biomedica if self._options.format == "biomedica" else formats.pack_webdataset
        return pack(path, samples, jpeg_quality=self._options.jpeg_quality)

    def _commit(self, number: int, packed: formats.Packed, withheld: list[str]) -> None:
        put_shard(self._target, self._folder, number, packed, withheld, [asdict(s) for s in packed.skipped])
        self._progress(packed.samples)


def _cut(row: Row, data: bytes) -> formats.Sample:
    """A panel's row and its picture. Raises images.probe.ImageError, ValueError."""
    box = tuple(row[f"_{edge}"] for edge in ("x", "y", "width", "height"))
    return {**row, "_media_type": crop_media_type(row["_media_type"])}, crop(data, box)


def _shard_rows(records: Path, number: int) -> Iterator[Row]:
    """The records of one shard in order; row groups of other shards are not read."""
    with pq.ParquetFile(records) as file:
        column = file.schema_arrow.get_field_index("_shard")
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(column).statistics
            if statistics is None or statistics.min <= number <= statistics.max:
                for batch in file.iter_batches(500, row_groups=[group]):
                    yield from (row for row in batch.to_pylist() if row["_shard"] == number)
