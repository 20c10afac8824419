"""Shards of an export: WebDataset tars, BIOMEDICA's WebDataset, Parquet with embedded images. Deterministic bytes.

What does not belong here: which samples go into which shard, and where it is put (`exports`).
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets.dataset.biomedica_view import ConversionError, biomedica_json, to_jpeg
from biomedica_assets.images.probe import EXTENSIONS
from biomedica_assets.schemas import Row
from biomedica_assets.store.shards import BLOCK, END, ShardWriter, sample_key

HIDDEN = "_"
"""Columns whose names begin so steer the export and are not part of a record."""
_GROUP_BYTES = 32 << 20
_GROUP_ROWS = 100  # readers of single rows, such as the viewers of data hubs, read a whole group for one


Sample = tuple[Row, bytes | None]
"""What is said of a sample, and its image file; null: a text alone."""


@dataclass(frozen=True)
class Skipped:
    """A sample that could not be written, and why."""

    image_id: str
    error: str
    message: str


@dataclass(frozen=True)
class Packed:
    """A finished shard in the scratch folder, and what could not be packed."""

    path: Path
    bytes: int
    sha256: str
    samples: int
    skipped: list[Skipped]


def image_key(image_id: str) -> str:
    """WebDataset key of an image: reversible, without dots, other than any other image's.

    >>> image_key("PMC13900.1/fig_1/1")
    'PMC13900-1-fig_5F1_2F1'
    """
    article_id, _, rest = image_id.partition("/")
    return sample_key(article_id, rest)


def _key_of(row: Row) -> str:
    """Key of a sample, with the number of the copy behind it from the second on."""
    key = image_key(row["_image_id"])
    return key if row["_copy"] == 1 else f"{key}~{row['_copy']}"


def extension(media_type: str | None) -> str:
    """File extension of a media type; 'bin' for none that we know."""
    return EXTENSIONS.get(media_type or "", "bin")


def pack_webdataset(path: Path, samples: Iterable[Sample], *, jpeg_quality: int | None = None) -> Packed:
    """A tar of ``<key>.<jpg|png|...>``, ``<key>.json`` (the record) and ``<key>.txt`` (the text, maybe empty).

    Paragraphs have no picture, a sample that comes again has ``~2`` behind its key, and so on.
    """
    return _pack_tar(path, samples, record_of, jpeg_quality)


def pack_biomedica(path: Path, samples: Iterable[Sample], *, jpeg_quality: int | None = None) -> Packed:
    """A tar of ``<key>.jpg``, ``<key>.json`` (BIOMEDICA's 25 keys) and ``<key>.txt``; others become JPEGs."""
    return _pack_tar(path, samples, biomedica_json, jpeg_quality or 95)


def record_of(row: Row) -> Row:
    """A row without the columns that only steer."""
    return {name: value for name, value in row.items() if not name.startswith(HIDDEN)}


def _pack_tar(path: Path, samples: Iterable[Sample], record: Callable[[Row], Row], jpeg_quality: int | None) -> Packed:
    writer = ShardWriter(path.parent, path.stem, 1 << 62)
    skipped: list[Skipped] = []
    for row, data in samples:
        try:
            image = data if jpeg_quality is None or data is None else to_jpeg(data, quality=jpeg_quality)
        except ConversionError as error:
            skipped.append(Skipped(row["_image_id"], type(error).__name__, str(error)))
            continue
        kind = extension(row["_media_type"]) if jpeg_quality is None else "jpg"
        writer.add(_key_of(row), kind, image, row["_text"] or "", record(row))
    for shard in writer.close():
        shard.path.rename(path)
        return Packed(path, shard.bytes, shard.sha256, shard.samples, skipped)
    path.write_bytes(END)  # every sample was withdrawn or skipped: a valid tar of none
    return Packed(path, len(END), hashlib.sha256(END).hexdigest(), 0, skipped)


def parquet_schema(records: pa.Schema, *, pictures: bool = True) -> pa.Schema:
    """Schema of a Parquet shard: ``image`` (bytes, path) as Hugging Face's `datasets` has it, ``text``, the record.

    Without pictures there is no ``image``.
    """
    fields = [pa.field(field.name, _nullable(field.type)) for field in records if not field.name.startswith(HIDDEN)]
    if not pictures:
        return pa.schema([pa.field("text", pa.string()), *fields])
    image = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
    # `datasets` derives the type of every column from Arrow's, but that of an image, which it must be told.
    features = {"info": {"features": {"image": {"_type": "Image"}}}}
    return pa.schema(
        [pa.field("image", image), pa.field("text", pa.string()), *fields],
        metadata={"huggingface": json.dumps(features)},
    )


def _nullable(kind: pa.DataType) -> pa.DataType:
    """The type with everything in it nullable: DuckDB marks what has no null in the rows of one shard."""
    if pa.types.is_list(kind):
        return pa.list_(_nullable(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(kind.field(i).name, _nullable(kind.field(i).type)) for i in range(kind.num_fields)])
    return kind


def pack_parquet(path: Path, samples: Iterable[Sample], records: pa.Schema, *, pictures: bool = True) -> Packed:
    """A Parquet file with the image files embedded; at most 100 rows or 32 MiB a row group."""
    schema = parquet_schema(records, pictures=pictures)

    def rows() -> Iterator[Row]:
        for row, data in samples:
            image_path = f"{image_key(row['_image_id'])}.{extension(row['_media_type'])}"
            image = {"image": {"bytes": data, "path": image_path}} if pictures else {}
            yield {**record_of(row), **image, "text": row["_text"]}

    return _write_parquet(path, rows(), schema)


def _write_parquet(path: Path, rows: Iterable[Row], schema: pa.Schema) -> Packed:
    # Image files are compressed already; of all else the columns repeat within an article.
    leaves = _leaves(schema)
    compression = {leaf: "none" if leaf == "image.bytes" else "zstd" for leaf in leaves}
    dictionaries = [leaf for leaf in leaves if leaf != "image.bytes"]
    pending: list[Row] = []
    size = total = 0
    with pq.ParquetWriter(
        path, schema, compression=compression, use_dictionary=dictionaries, write_statistics=False
    ) as writer:
        for row in rows:
            pending.append(row)
            size += len(row["image"]["bytes"]) if "image" in row else len(row["text"] or "")
            total += 1
            if len(pending) >= _GROUP_ROWS or size >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(pending, schema=schema))
                pending, size = [], 0
        if pending:
            writer.write_table(pa.Table.from_pylist(pending, schema=schema))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Packed(path, path.stat().st_size, digest, total, [])


def _leaves(schema: pa.Schema) -> list[str]:
    """Dotted paths of Parquet's own columns."""
    parquet = pq.ParquetFile(pa.BufferReader(_empty_parquet(schema))).schema
    return [parquet.column(index).path for index in range(len(parquet))]


def _empty_parquet(schema: pa.Schema) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    return sink.getvalue()


def without(source: Any, path: Path, image_ids: Collection[str]) -> Packed:
    """A copy of a shard without some images; every other sample keeps its bytes (tar) or its values (Parquet).

    Args:
        source: the shard, open for reading at random.
        path: file to write; its suffix says which kind of shard it is.
        image_ids: images to leave out.
    """
    if path.suffix == ".parquet":
        file = pq.ParquetFile(source)
        rows = (row for batch in file.iter_batches(_GROUP_ROWS) for row in batch.to_pylist())
        return _write_parquet(path, (row for row in rows if _sample_id(row) not in image_ids), file.schema_arrow)
    keys = {image_key(image_id) for image_id in image_ids}
    digest, size, kept = hashlib.sha256(), 0, set()
    with path.open("wb") as target:

        def write(data: bytes) -> None:
            nonlocal size
            target.write(data)
            digest.update(data)
            size += len(data)

        for name, block in _members(source):
            key = name.partition(".")[0]
            if key.partition("~")[0] not in keys:
                kept.add(key)
                write(block)
        write(END)
    return Packed(path, size, digest.hexdigest(), len(kept), [])


def _sample_id(row: Row) -> str:
    """Id of a record's sample: what it names beside others that samples may share, of the finest kind."""
    return str(next(row[name] for name in ("paragraph_id", "panel_id", "image_id") if name in row))


def _members(source: Any) -> Iterator[tuple[str, bytes]]:
    """Name and raw blocks (headers, body, padding) of every member of a tar."""
    with tarfile.open(fileobj=source, mode="r:") as archive:
        for member in archive:
            end = member.offset_data + -(-member.size // BLOCK) * BLOCK
            place = source.tell()
            source.seek(member.offset)
            block = source.read(end - member.offset)
            source.seek(place)
            yield member.name, block
