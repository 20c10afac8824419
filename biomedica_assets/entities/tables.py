"""Table `entities`: what captions and the paragraphs that mention figures name.

Belongs here: which texts of a chunk are annotated, when a partition is still valid. Does not belong here: the
annotators, which of the rows are current (`store.catalogue`).
"""

from __future__ import annotations

import time
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
from biomedica_assets.store.derived import DerivedManifest, commit_derived, read_derived, read_derived_manifest
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, StoreError, read_chunk_manifest, read_chunk_manifests
from biomedica_assets.store.tables import iter_rows

ENTITIES_VERSION = "1"
"""Raised when the choice of texts or the rows made of an annotator's answers change."""
BATCH = 256
"""Texts annotated at a time."""
LISTED_FAILURES = 1000
"""So many failures are listed in a manifest; all are counted."""

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
    manifest = read_chunk_manifest(files, chunk)
    if manifest is None:
        raise StoreError(f"the chunk {chunk} is not committed: materialize `articles` first")
    annotator = load_annotator(settings.entities)
    inputs = _inputs(manifest, annotator.id)
    own = read_derived_manifest(files, schemas.ENTITIES.name, chunk)
    valid = own is not None and own.made_of(inputs) and own.run.get("asked") == settings.entities
    if own is not None and valid and files.exists(own.file.path):
        return own, True
    started, cpu = time.monotonic(), time.process_time()
    counts: dict[str, int] = {}
    run: dict[str, Any] = {"asked": settings.entities, "failures": []}
    rows = _rows(_texts(files, manifest), annotator, counts, run["failures"])
    # The manifest is written behind the rows: what is counted while they are made is complete by then.
    return (
        commit_derived(
            files,
            schemas.ENTITIES,
            chunk,
            _timed(rows, run, started, cpu),
            inputs=inputs,
            counts=counts,
            run=run,
            scratch=scratch,
        ),
        False,
    )


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


def _rows(
    texts: Iterator[Row], annotator: Annotator, counts: dict[str, int], failures: list[dict[str, str]]
) -> Iterator[Row]:
    while some := list(islice(texts, BATCH)):
        for row, entities in zip(some, _annotated(some, annotator, counts, failures), strict=True):
            text = row.pop("text")
            _add(counts, "texts")
            for entity in entities:
                _add(counts, "entities", entity.type, *(["with_ids"] if entity.ids else []))
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


def _annotated(
    rows: Sequence[Row], annotator: Annotator, counts: dict[str, int], failures: list[dict[str, str]]
) -> list[list[Entity]]:
    try:
        return annotator.annotate_many([row["text"] for row in rows])
    except AnnotatorError as error:
        if len(rows) > 1:
            return [entities for row in rows for entities in _annotated([row], annotator, counts, failures)]
        name = type(error).__name__
        _add(counts, name)
        if len(failures) < LISTED_FAILURES:
            failures.append({"object": rows[0]["text_id"], "error": name, "message": str(error)})
        return [[]]


def _add(counts: dict[str, int], *names: str) -> None:
    for name in names:
        counts[name] = counts.get(name, 0) + 1


def _timed(rows: Iterator[Row], run: dict[str, Any], started: float, cpu: float) -> Iterator[Row]:
    yield from rows
    run["seconds"] = round(time.monotonic() - started, 3)
    run["cpu_seconds"] = round(time.process_time() - cpu, 3)
