"""Exports: a subset as globally shuffled shards that others train on, wherever an fsspec URL points.

``exports/<name>/<format>-<id>/`` holds ``index.pq`` (which image in which shard, fixed first; not ``.parquet``, which
loaders would take for data), the shards ``data/000000.tar`` ..., a small ``shards/000000.json`` that commits each, and
last ``manifest.json``. Killed at any instant it goes on where it stopped. What was withdrawn before its shard was
written is left out; what is withdrawn later is taken out by `rebuild`, which touches the shards that hold it and no
other. Both are listed as tombstones.
What does not belong here: which images (`subsets`), bytes of shards (`formats`), hubs (`hub`).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.dataset import formats
from biomedica_assets.dataset.biomedica_view import biomedica_query
from biomedica_assets.dataset.duplicates import add_duplicates_view
from biomedica_assets.dataset.fields import records_query
from biomedica_assets.dataset.queries import bounded_catalogue, from_parquet, sql_text
from biomedica_assets.dataset.reading import Span, read_images
from biomedica_assets.dataset.subsets import Subset, add_metadata_view, current_rows
from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import JsonRecord
from biomedica_assets.store.shards import SpanError

EXPORTS_VERSION = 1
"""Raised when the same options give other bytes than before."""

Format = Literal["webdataset", "parquet", "biomedica"]
FORMATS: tuple[Format, ...] = ("webdataset", "parquet", "biomedica")
_RECORD_GROUP = 2_000  # rows; a shard's records are read by row group


@dataclass(frozen=True)
class Options:
    """How an export is written.

    ``shard_bytes`` is about the size of a shard. ``jpeg_quality`` converts what is not JPEG (null: originals; the
    format biomedica always has JPEGs, at 95 unless said otherwise; parquet never converts).
    """

    format: Format = "webdataset"
    shard_bytes: int = 500_000_000
    jpeg_quality: int | None = None


@dataclass(frozen=True)
class ExportShard(JsonRecord):
    """Commits one shard. ``withheld``: planned for it, but no longer served; ``skipped``: image_id, error, message."""

    number: int
    path: str
    bytes: int
    sha256: str
    samples: int
    withheld: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Export(JsonRecord):
    """What an export holds: ``manifest.json``.

    ``subset`` is the id of the subset's state and ``recipe`` the recipe as JSON values; ``shards`` as `ExportShard`;
    ``tombstones`` are image ids that the subset picked and that must not be used: whoever copied an earlier state of
    the export has to drop them.
    """

    version: int
    name: str
    id: str
    options: dict[str, Any]
    subset: str
    recipe: dict[str, Any]
    inputs: dict[str, Any]
    shards: list[ExportShard]
    counts: dict[str, int]
    tombstones: list[str]

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        record = super().from_json(data)
        object.__setattr__(record, "shards", [ExportShard(**shard) for shard in record.shards])  # type: ignore[arg-type]
        return record

    @property
    def folder(self) -> str:
        return export_folder(self.name, Options(**self.options), self.id)


def export_folder(name: str, options: Options, export_id: str) -> str:
    """Folder of an export below the root it is written to."""
    return f"exports/{name}/{options.format}-{export_id}"


def export_id(subset: Subset, options: Options) -> str:
    """16 hex digits: the same ids, said in the same fields with the same options."""
    said = {name: subset.recipe[name] for name in ("fields", "seed", "licence_groups")}
    text = json.dumps([EXPORTS_VERSION, subset.file.sha256, said, asdict(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_export(target: Files, folder: str) -> Export:
    """A finished export's manifest. Raises FileNotFoundError while it is not finished."""
    return Export.from_json(target.read(f"{folder}/manifest.json"))


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
        done = _done(target, folder)
        missing = [number for number in range(total) if number not in done and number % part[1] == part[0]]
        if missing:
            writer = _Writer(files, target, folder, options, local, workers, progress)
            for batch in _batches(connection, missing, batch_bytes):
                writer.write(connection, subset, batch)
    done = _done(target, folder)
    return None if len(done) < total else _finish(target, folder, subset, options, identity, list(done.values()))


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


def _done(target: Files, folder: str) -> dict[int, ExportShard]:
    """Shards that are committed, by number."""
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
        _put_shard(self._target, self._folder, number, packed, withheld, [asdict(s) for s in packed.skipped])
        self._progress(packed.samples)


def suffix(options: Options) -> str:
    """File extension of the shards."""
    return "parquet" if options.format == "parquet" else "tar"


def _shard_rows(records: Path, number: int) -> Iterator[Row]:
    """The records of one shard in order; row groups of other shards are not read."""
    with pq.ParquetFile(records) as file:
        column = file.schema_arrow.get_field_index("_shard")
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(column).statistics
            if statistics is None or statistics.min <= number <= statistics.max:
                for batch in file.iter_batches(500, row_groups=[group]):
                    yield from (row for row in batch.to_pylist() if row["_shard"] == number)


def _put_shard(
    target: Files,
    folder: str,
    number: int,
    packed: formats.Packed,
    withheld: list[str],
    skipped: list[dict[str, str]],
) -> ExportShard:
    name = f"data/{packed.path.name}"
    target.put_file(packed.path, f"{folder}/{name}", move=True)
    shard = ExportShard(number, name, packed.bytes, packed.sha256, packed.samples, withheld, skipped)
    target.write(f"{folder}/shards/{packed.path.stem}.json", shard.to_json())
    return shard


def _finish(
    target: Files, folder: str, subset: Subset, options: Options, identity: str, shards: list[ExportShard]
) -> Export:
    record = Export(
        version=EXPORTS_VERSION,
        name=subset.name,
        id=identity,
        options=asdict(options),
        subset=subset.id,
        recipe=subset.recipe,
        inputs=subset.inputs,
        shards=shards,
        counts=_counts(shards),
        tombstones=sorted(image_id for shard in shards for image_id in shard.withheld),
    )
    data = record.to_json()
    try:
        unchanged = target.read(f"{folder}/manifest.json") == data
    except FileNotFoundError:
        unchanged = False
    if not unchanged:
        target.write(f"{folder}/manifest.json", data)
    return record


def _counts(shards: list[ExportShard]) -> dict[str, int]:
    return {
        "shards": len(shards),
        "samples": sum(shard.samples for shard in shards),
        "bytes": sum(shard.bytes for shard in shards),
        "withheld": sum(len(shard.withheld) for shard in shards),
        "skipped": sum(len(shard.skipped) for shard in shards),
    }


def rebuild_needed(files: Files, subset: Subset, record: Export, target: Files | None = None) -> dict[int, list[str]]:
    """Image ids that an export still holds and that are not served any more, by number of the shard; empty: none."""
    target = target or files
    with bounded_catalogue(files) as (connection, local):
        index = local / "index.pq"
        with index.open("wb") as copy:
            for block in target.stream(f"{record.folder}/index.pq"):
                copy.write(block)
        rows = connection.execute(f"""
            SELECT shard, image_id FROM read_parquet({sql_text(index)})
            WHERE image_id NOT IN (SELECT image_id FROM {current_rows(files, subset)}) ORDER BY position
        """).fetchall()
    known = set(record.tombstones)
    needed: dict[int, list[str]] = {}
    for number, image_id in rows:
        if image_id not in known:
            needed.setdefault(number, []).append(image_id)
    return needed


def rebuild(
    files: Files, subset: Subset, record: Export, *, target: Files | None = None, scratch: str | None = None
) -> Export:
    """Take what is withdrawn out of the shards that hold it; every other shard, and sample, stays as it is."""
    target = target or files
    shards = {shard.number: shard for shard in record.shards}
    for number, image_ids in rebuild_needed(files, subset, record, target).items():
        before = shards[number]
        with (
            tempfile.TemporaryDirectory(prefix="rebuild-", dir=scratch or None) as folder,
            target.open_seekable(f"{record.folder}/{before.path}") as source,
        ):
            packed = formats.without(source, Path(folder, Path(before.path).name), image_ids)
            withheld = [*before.withheld, *image_ids]
            shards[number] = _put_shard(target, record.folder, number, packed, withheld, before.skipped)
    options = Options(**record.options)
    return _finish(target, record.folder, subset, options, record.id, [shards[n] for n in sorted(shards)])


def copy_export(source: Files, record: Export, target: Files) -> int:
    """Copy a finished export to another place, the manifest last; files that are there already are skipped.

    Returns:
        How many files were copied.
    """
    copied = 0
    shards = {shard.path: shard for shard in record.shards}
    states = [f"shards/{Path(path).stem}.json" for path in shards]
    for name in [*shards, *states, "index.pq", "manifest.json"]:
        path = f"{record.folder}/{name}"
        if name in shards and _has(target, record.folder, shards[name]):
            continue
        with tempfile.NamedTemporaryFile() as local:
            for block in source.stream(path):
                local.write(block)
            local.flush()
            target.put_file(local.name, path)
        copied += 1
    return copied


def _has(target: Files, folder: str, shard: ExportShard) -> bool:
    """Whether the target holds the shard: its size, and a record of it, which is written after it."""
    try:
        record = ExportShard.from_json(target.read(f"{folder}/shards/{Path(shard.path).stem}.json"))
        return record == shard and target.size(f"{folder}/{shard.path}") == shard.bytes
    except FileNotFoundError:
        return False
