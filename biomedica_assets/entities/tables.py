"""Table `entities`: what captions and the paragraphs that mention figures name.

Belongs here: which texts of a chunk are annotated, when a partition is still valid. Does not belong here: the
annotators, which of the rows are current (`store.catalogue`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from biomedica_assets import schemas
from biomedica_assets.entities.annotators import (
    Annotator,
    AnnotatorError,
    Entity,
    check_annotator,
    load_annotator,
)
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
from biomedica_assets.store.manifests import ChunkManifest, committed_chunk, read_chunk_manifests
from biomedica_assets.store.tables import iter_rows

ENTITIES_VERSION = "1"
"""Raised when the choice of texts or the rows made of an annotator's answers change."""
BATCH = 256
"""Texts annotated at a time."""

_SOURCES = ("captions", "mentions", "paragraphs")


def build_entities(
    files: Files, chunk: str, settings: Settings, *, scratch: str | None = None
) -> tuple[DerivedManifest, bool]:
    """Annotate the texts of a committed chunk; the manifest, and whether what was committed is still valid.

    Texts on which the annotator fails are counted by error class and listed in the manifest's ``run``.

    Args:
        files: the store.
        chunk: key of the chunk.
        settings: name the annotator.
        scratch: local folder for the file being written.

    Raises:
        StoreError: the chunk is not committed.
        AnnotatorError: the annotator cannot be had.
    """
    manifest = committed_chunk(files, chunk)
    annotator = load_annotator(settings.entities)
    inputs = _inputs(manifest, annotator.id)
    own = read_derived_manifest(files, schemas.ENTITIES.name, chunk)
    if still_valid(own, files, inputs, settings.entities):
        return own, True
    making = Making()
    committed = commit_derived(
        files,
        schemas.ENTITIES,
        chunk,
        _rows(_texts(files, manifest), annotator, making),
        inputs=inputs,
        run={"asked": settings.entities},
        making=making,
        scratch=scratch,
    )
    return committed, False


def unfinished_entities(files: Files, settings: Settings) -> list[str]:
    """Committed chunks whose entities are missing, no longer valid or of another annotator, in order.

    Loads no annotator: the name that they were asked for by is compared, and for the default the files' checksums.

    Raises:
        AnnotatorError: the settings name an annotator that does not exist.
    """
    check_annotator(settings.entities)
    offline = load_annotator().id if settings.entities == "offline" else None
    made = read_derived(files, schemas.ENTITIES.name)

    def valid(manifest: ChunkManifest) -> bool:
        own = made.get(manifest.chunk)
        if own is None or own.run.get("asked") != settings.entities:
            return False
        return own.made_of(_inputs(manifest, offline or own.inputs["annotator"]))

    return [m.chunk for m in read_chunk_manifests(files).values() if not valid(m)]


def _inputs(manifest: ChunkManifest, annotator_id: str) -> dict[str, Any]:
    return {
        **{name: manifest.tables[name].sha256 for name in _SOURCES},
        "annotator": annotator_id,
        "entities": ENTITIES_VERSION,
        "schema": schemas.SCHEMA_VERSION,
    }


def _texts(files: Files, manifest: ChunkManifest) -> Iterator[Row]:
    """Key columns, ``field`` and the whole text of everything that is annotated."""
    tables = {name: manifest.tables[name].path for name in _SOURCES}
    key = ["chunk", "article_id"]
    for row in iter_rows(files, tables["captions"], [*key, "figure_id", "text"]):
        if row["text"]:
            yield {"text_id": row.pop("figure_id"), "field": "caption", **row}
    mentioned = {row["paragraph_id"] for row in iter_rows(files, tables["mentions"], ["paragraph_id"])}
    for row in iter_rows(files, tables["paragraphs"], [*key, "paragraph_id", "text"]):
        if row["paragraph_id"] in mentioned and row["text"]:
            yield {"text_id": row.pop("paragraph_id"), "field": "paragraph", **row}


def _rows(texts: Iterator[Row], annotator: Annotator, making: Making) -> Iterator[Row]:
    while some := list(islice(texts, BATCH)):
        for row, entities in zip(some, _annotated(some, annotator, making), strict=True):
            text = row.pop("text")
            making.counts["texts"] += 1
            for entity in entities:
                making.counts.update(["entities", entity.type, *(["with_ids"] if entity.ids else [])])
                yield {
                    **row,
                    "start": entity.start,
                    "end": entity.end,
                    "text": text[entity.start : entity.end],
                    "type": entity.type,
                    "ids": list(entity.ids),
                    "name": entity.name,
                    "source": entity.source,
                    "probability": entity.probability,
                    "annotator": annotator.id,
                }


def _annotated(rows: Sequence[Row], annotator: Annotator, making: Making) -> list[list[Entity]]:
    try:
        return annotator.annotate_many([row["text"] for row in rows])
    except AnnotatorError as error:
        if len(rows) > 1:
            return [entities for row in rows for entities in _annotated([row], annotator, making)]
        making.fail(rows[0]["text_id"], type(error).__name__, str(error))
        return [[]]
