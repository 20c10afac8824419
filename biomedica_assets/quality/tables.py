"""Table `paragraph_quality`: type, domain and score of every paragraph of running text of a chunk.

Belongs here: the rows of a chunk and when they are still valid. A teacher's own label wins over the classifier's. What
does not belong here: who said it (`collect`), how the classifier came about (`training`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from biomedica_assets import schemas
from biomedica_assets.quality.classifier import BATCH, Predicted, QualityModel
from biomedica_assets.quality.labels import DOMAINS, TYPES, text_sha256
from biomedica_assets.quality.model_files import load_model, read_record
from biomedica_assets.quality.paragraphs import iter_paragraphs
from biomedica_assets.quality.teacher_labels import labels_digest, read_labels
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

PARAGRAPH_QUALITY_VERSION = "1"
"""Raised when the same model and labels would give other rows."""
MODEL, TEACHER = "model", "teacher"
_DECIMALS = 4
_NAME = schemas.PARAGRAPH_QUALITY.name


def build_paragraph_quality(
    files: Files, chunk: str, settings: Settings, *, scratch: str | None = None
) -> tuple[DerivedManifest, bool]:
    """Label a committed chunk's paragraphs; the manifest, and whether what was committed is still valid.

    Raises:
        StoreError: the chunk is not committed, or the store's model is missing or of another version.
    """
    manifest = committed_chunk(files, chunk)
    record, taught = read_record(files), read_labels(files).get(chunk, [])
    metadata = read_derived_manifest(files, schemas.METADATA.name, chunk)
    inputs = _inputs(manifest, metadata, record.id, taught)
    own = read_derived_manifest(files, _NAME, chunk)
    if still_valid(own, files, inputs):
        return own, True
    model = load_model(files, record)
    making = Making()

    def rows() -> Iterator[Row]:
        for row in _rows(files, manifest, metadata, model, taught):
            level = f"level_{int(row['score'])}"
            making.counts.update(["paragraphs", row["source"], f"type_{row['type']}", f"domain_{row['domain']}", level])
            yield row

    committed = commit_derived(
        files,
        schemas.PARAGRAPH_QUALITY,
        chunk,
        rows(),
        inputs=inputs,
        making=making,
        scratch=scratch,
    )
    return committed, False


def unfinished_paragraph_quality(files: Files, settings: Settings) -> list[str]:
    """Committed chunks whose rows are missing or of other tables, model or labels; in order. Loads no model.

    Raises:
        StoreError: the store's model is of another version.
    """
    record, taught = read_record(files), read_labels(files)
    metadata, made = read_derived(files, schemas.METADATA.name), read_derived(files, _NAME)

    def valid(manifest: ChunkManifest) -> bool:
        own = made.get(manifest.chunk)
        return own is not None and own.made_of(
            _inputs(manifest, metadata.get(manifest.chunk), record.id, taught.get(manifest.chunk, []))
        )

    return [manifest.chunk for manifest in read_chunk_manifests(files).values() if not valid(manifest)]


def _inputs(
    manifest: ChunkManifest, metadata: DerivedManifest | None, model: str, taught: Sequence[Row]
) -> dict[str, Any]:
    return {
        **{name: manifest.tables[name].sha256 for name in ("paragraphs", "articles")},
        "metadata": metadata.file.sha256 if metadata else None,
        "model": model,
        "labels": labels_digest(taught),
        "quality": PARAGRAPH_QUALITY_VERSION,
        "schema": schemas.SCHEMA_VERSION,
    }


def _rows(
    files: Files,
    manifest: ChunkManifest,
    metadata: DerivedManifest | None,
    model: QualityModel,
    taught: Sequence[Row],
) -> Iterator[Row]:
    labels = {row["paragraph_id"]: row for row in taught}
    found = iter_paragraphs(files, manifest, metadata)
    while some := list(islice(found, BATCH)):
        predicted = model.predict([paragraph for _, paragraph in some])
        for number, (keys, paragraph) in enumerate(some):
            label = labels.get(keys["paragraph_id"])
            if label is not None and label["text_sha256"] == text_sha256(paragraph.text):
                said = {name: label[name] for name in ("type", "domain", "score")}
                sure = {"type_probability": 1.0, "domain_probability": 1.0}
                yield {**keys, **said, **sure, "source": TEACHER, "model": label["teacher"]}
            else:
                yield {**keys, **_answer(predicted, number), "source": MODEL, "model": f"quality-{model.id}"}


def _answer(predicted: Predicted, number: int) -> Row:
    return {
        "type": TYPES[predicted.types[number]],
        "type_probability": round(float(predicted.type_probabilities[number]), _DECIMALS),
        "domain": DOMAINS[predicted.domains[number]],
        "domain_probability": round(float(predicted.domain_probabilities[number]), _DECIMALS),
        # Rounded down: a score of 3.99996 must not pass for level 4.
        "score": float(np.floor(predicted.scores[number] * 100) / 100),
    }
