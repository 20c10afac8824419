"""Tables `caption_features` and `image_features`: one vector per caption and image of a chunk, as half floats.

Belongs here: which texts and images of a chunk are encoded, what is taken over from rows made before, when a partition
is still valid. Does not belong here: the encoders, which of the rows are current (`store.catalogue`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from biomedica_assets import schemas
from biomedica_assets.dataset.reading import Span, read_images, stored_images
from biomedica_assets.models.encoders import Encoder, EncoderError, configured_name
from biomedica_assets.schemas import Row
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import (
    DerivedManifest,
    Making,
    commit_derived,
    read_derived,
    read_derived_manifest,
    still_valid,
)
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import (
    ChunkManifest,
    committed_chunk,
    read_chunk_manifests,
)
from biomedica_assets.store.tables import iter_rows, read_table

FEATURES_VERSION = "1"
"""Raised when preprocessing, pinned weights or the choice of texts change; all is then encoded anew."""

BATCH = 512
"""Texts or images encoded at a time."""
BATCH_BYTES = 32 << 20
"""Bytes of image files encoded at a time, unless a single one is larger."""
READERS = 4
"""Reads of archive shards at the same time, up to 8 MB each; encoding is far slower than they are."""
ROWS_PER_IMAGE = 50
"""So many rows of an earlier chunk are read in less time than one image is encoded."""

MODALITIES = {schemas.CAPTION_FEATURES.name: "text", schemas.IMAGE_FEATURES.name: "image"}
"""What each table encodes; the tables in the order in which they are made."""
_ENCODER_INPUTS = ("encoder", "features")
_SOURCES = {schemas.CAPTION_FEATURES.name: "captions", schemas.IMAGE_FEATURES.name: "images"}


@dataclass
class _Work(Making):
    """Rows to be written, without their vectors, and what happens to them."""

    rows: list[Row]
    vectors: np.ndarray

    def written(self) -> Iterator[Row]:
        for row, vector in zip(self.rows, self.vectors, strict=True):
            if vector.any():
                yield {**row, "vector": vector}

    def fail_row(self, row: Row, error: str, message: str) -> None:
        self.fail(row.get("image_id") or row["figure_id"], error, message)


def build_caption_features(
    files: Files, chunk: str, encoder: Encoder, *, asked: str = "", scratch: str | None = None
) -> tuple[DerivedManifest, bool]:
    """Encode the captions of a committed chunk; the manifest, and whether what was committed is still valid.

    A figure's text is its caption and, behind it, that of its group; figures without either have no row. Texts that
    this chunk's rows of the same encoder hold already are not encoded again.

    Args:
        files: the store.
        chunk: key of the chunk.
        encoder: knows texts.
        asked: how the settings name the encoder, so that schedules see a change without loading it.
        scratch: local folder for the file being written.

    Raises:
        StoreError: the chunk is not committed.
        EncoderError: the encoder knows no texts.
    """

    def encode(work: _Work, manifest: ChunkManifest, missing: list[int]) -> None:
        wanted = set(missing)
        texts = ((i, row["text"]) for i, row in enumerate(_captions(files, manifest)) if i in wanted)
        while some := list(islice(texts, BATCH)):
            indices = [index for index, _ in some]
            vectors = encoder.encode_texts([text for _, text in some])
            work.vectors[indices] = vectors
            for index in np.array(indices)[~vectors.any(axis=1)]:
                work.fail_row(work.rows[index], "NoTokens", "the encoder finds no word in the caption")

    return _build(files, schemas.CAPTION_FEATURES, chunk, encoder, _captions, encode, asked, scratch)


def build_image_features(
    files: Files, chunk: str, encoder: Encoder, *, asked: str = "", scratch: str | None = None
) -> tuple[DerivedManifest, bool]:
    """Encode the images of a committed chunk; the manifest, and whether what was committed is still valid.

    What cannot be decoded is counted by error class and listed in the manifest's ``run``. Images that this chunk's
    rows of the same encoder hold already are not encoded again, nor those whose bytes lie in a shard of an earlier
    chunk that has such rows.

    Args:
        files: the store.
        chunk: key of the chunk.
        encoder: knows images.
        asked: how the settings name the encoder, so that schedules see a change without loading it.
        scratch: local folder for the file being written.

    Raises:
        StoreError: the chunk is not committed.
        EncoderError: the encoder knows no images.
        FileNotFoundError, SpanError: the store does not hold what it should.
    """

    def encode(work: _Work, _: ChunkManifest, missing: list[int]) -> None:
        spans = [Span(row["shard"], row["image_offset"], row["bytes"]) for row in (work.rows[i] for i in missing)]
        for some, images in _image_batches(read_images(files, spans, READERS)):
            rows = [missing[i] for i in some]
            vectors, errors = encoder.encode_images(images)
            work.vectors[rows] = vectors
            for error in errors:
                work.fail_row(work.rows[rows[error.index]], error.error, error.message)

    return _build(files, schemas.IMAGE_FEATURES, chunk, encoder, _images, encode, asked, scratch)


def unfinished_features(files: Files, settings: Settings) -> list[str]:
    """Committed chunks whose features are missing, no longer valid or of another encoder, in order.

    Loads no encoder: the name that the features were asked for by is compared.

    Raises:
        EncoderError: the settings name an encoder that does not exist or cannot do this.
    """
    asked = {table: asked_for(settings, table) for table in MODALITIES}
    made = {table: read_derived(files, table) for table in MODALITIES}

    def valid(table: str, manifest: ChunkManifest) -> bool:
        own = made[table].get(manifest.chunk)
        if own is None or own.run.get("asked") != asked[table]:
            return False
        return own.made_of(_inputs(table, manifest, own.inputs["encoder"]))

    chunks = read_chunk_manifests(files).values()
    return [manifest.chunk for manifest in chunks if not all(valid(table, manifest) for table in MODALITIES)]


def asked_for(settings: Settings, table: str) -> str:
    """What the settings ask a table's vectors to be made with: name and, where they are named, weights.

    Raises:
        EncoderError: there is no such encoder, or it does not know what the table needs.
    """
    name = configured_name(settings, MODALITIES[table])
    return f"{name} {settings.encoder_weights}" if name.startswith("open_clip") else name


def _inputs(table: str, manifest: ChunkManifest, encoder_id: str) -> dict[str, Any]:
    source = _SOURCES[table]
    return {
        source: manifest.tables[source].sha256,
        "encoder": encoder_id,
        "features": FEATURES_VERSION,
        "schema": schemas.SCHEMA_VERSION,
    }


def _build(
    files: Files,
    table: schemas.Table,
    chunk: str,
    encoder: Encoder,
    read: Callable[[Files, ChunkManifest], Iterator[Row]],
    encode: Callable[[_Work, ChunkManifest, list[int]], None],
    asked: str,
    scratch: str | None,
) -> tuple[DerivedManifest, bool]:
    if not (encoder.texts if MODALITIES[table.name] == "text" else encoder.images):
        raise EncoderError(f"{encoder.id} does not encode what {table.name} needs")
    manifest = committed_chunk(files, chunk)
    inputs = _inputs(table.name, manifest, encoder.id)
    own = read_derived_manifest(files, table.name, chunk)
    if still_valid(own, files, inputs, asked):
        return own, True
    rows = [{name: value for name, value in row.items() if name != "text"} for row in read(files, manifest)]
    work = _Work(rows, np.zeros((len(rows), encoder.dimensions), np.float16))
    earlier = [own, *_of_earlier_chunks(files, table.name, chunk, rows)]
    same = [m for m in earlier if m and all(m.inputs.get(name) == inputs[name] for name in _ENCODER_INPUTS)]
    missing = _take_over(files, work, [m for m in same if files.exists(m.file.path)])
    encode(work, manifest, missing)
    work.counts.update(vectors=int(work.vectors.any(axis=1).sum()), reused=len(rows) - len(missing))
    for row in rows:
        for name in row.keys() - set(table.names):
            del row[name]
        row["encoder"] = encoder.id
    committed = commit_derived(
        files,
        table,
        chunk,
        work.written(),
        inputs=inputs,
        run={"asked": asked, "weights_sha256": encoder.weights_sha256},
        making=work,
        scratch=scratch,
    )
    return committed, False


def _captions(files: Files, manifest: ChunkManifest) -> Iterator[Row]:
    columns = ["chunk", "article_id", "figure_id", "text", "group_caption"]
    for row in iter_rows(files, manifest.tables["captions"].path, columns):
        text = " ".join(part for part in (row["text"], row.pop("group_caption")) if part)
        if text.strip():
            yield {**row, "text": text, "sha256": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()}


def _images(files: Files, manifest: ChunkManifest) -> Iterator[Row]:
    columns = ["chunk", "article_id", "figure_id", "image_id", "sha256", "shard", "image_offset", "bytes"]
    return stored_images(files, manifest.tables["images"].path, columns)


def _chunk_of(shard: str) -> str:
    """The chunk that wrote a shard: ``shards/2026-11-20-00042-0003-<hash>.tar`` -> ``2026-11-20-00042``."""
    return PurePosixPath(shard).name.rsplit("-", 2)[0]


def _of_earlier_chunks(files: Files, table: str, chunk: str, rows: Sequence[Row]) -> Iterator[DerivedManifest]:
    """What was made of the chunks in whose shards images of ``rows`` lie, where reading it costs less than encoding."""
    wanted = Counter(_chunk_of(row["shard"]) for row in rows if "shard" in row)
    for other, images in sorted(wanted.items()):
        found = read_derived_manifest(files, table, other) if other != chunk else None
        if found and found.file.rows <= ROWS_PER_IMAGE * images:
            yield found


def _take_over(files: Files, work: _Work, earlier: Sequence[DerivedManifest]) -> list[int]:
    """Fill in vectors of the same bytes from rows made before; the positions that are still missing."""
    places: dict[str, list[int]] = {}
    for index, row in enumerate(work.rows):
        places.setdefault(row["sha256"], []).append(index)
    for manifest in earlier:
        made = read_table(files, manifest.file.path, ["sha256", "vector"])
        if not places or not len(made):
            continue
        vectors = np.concatenate([part.values.to_numpy() for part in made["vector"].chunks]).reshape(len(made), -1)
        for sha256, vector in zip(made["sha256"].to_pylist(), vectors, strict=True):
            for index in places.pop(sha256, ()):
                work.vectors[index] = vector
    return sorted(index for indices in places.values() for index in indices)


def _image_batches(images: Iterable[tuple[int, bytes]]) -> Iterator[tuple[list[int], list[bytes]]]:
    some: list[int] = []
    held: list[bytes] = []
    size = 0
    for index, data in images:
        if held and (len(held) >= BATCH or size + len(data) > BATCH_BYTES):
            yield some, held
            some, held, size = [], [], 0
        some.append(index)
        held.append(data)
        size += len(data)
    if held:
        yield some, held
