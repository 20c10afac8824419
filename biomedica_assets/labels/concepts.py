"""Table `concepts`: the concept of every image of a chunk that has a vector.

Belongs here: the rows of a chunk, when they are still valid. Does not belong here: the space (`space`, `fitting`),
which rows are current (`store.catalogue`), what experts say of concepts (`votes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from biomedica_assets import schemas
from biomedica_assets.labels.fitting import iter_vectors, made_by
from biomedica_assets.labels.space import ConceptSpace, SpaceRecord, one_thread
from biomedica_assets.schemas import Row
from biomedica_assets.store.derived import (
    DerivedManifest,
    Making,
    commit_derived,
    read_derived,
    read_derived_manifest,
    still_valid,
)
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError

TABLE = schemas.CONCEPTS
CONCEPTS_VERSION = "1"
"""Raised when an image's row would change though vector and space did not."""
_COPIED = ("chunk", "article_id", "figure_id", "image_id", "sha256")


def build_concepts(
    files: Files, chunk: str, record: SpaceRecord, space: ConceptSpace, *, scratch: str | None = None
) -> tuple[DerivedManifest, bool]:
    """Assign the images of a chunk to concepts; the manifest, and whether what was committed is still valid.

    Raises:
        StoreError: the chunk has no vectors yet, or those of another encoder than the space was fitted on.
    """
    features = read_derived_manifest(files, schemas.IMAGE_FEATURES.name, chunk)
    if features is None:
        raise StoreError(f"the chunk {chunk} has no vectors of images: materialize `image_features` first")
    if made_by(features) != record.made_by:
        raise StoreError(
            f"the vectors of {chunk} are of {made_by(features)}, the concept space of {record.made_by}: materialize "
            "`image_features` of the chunk with that encoder, or `concept_space` with refit once all have the new one"
        )
    inputs = _inputs(features, record)
    own = read_derived_manifest(files, TABLE.name, chunk)
    if still_valid(own, files, inputs):
        return own, True
    making = Making()
    counts: dict[str, int] = {"images": 0, "far": 0}

    def rows() -> Iterator[Row]:
        with one_thread():
            yield from _rows(files, features.file.path, record, space, counts)

    made = commit_derived(
        files,
        TABLE,
        chunk,
        rows(),
        inputs=inputs,
        counts=counts,
        making=making,
        scratch=scratch,
    )
    return made, False


def unfinished_concepts(files: Files, record: SpaceRecord) -> list[str]:
    """Chunks with vectors that the space can be applied to, whose rows are missing or of other vectors or spaces."""
    features, made = read_derived(files, schemas.IMAGE_FEATURES.name), read_derived(files, TABLE.name)
    return [
        chunk
        for chunk, manifest in features.items()
        if made_by(manifest) == record.made_by
        and (chunk not in made or not made[chunk].made_of(_inputs(manifest, record)))
    ]


def concepts_of(files: Files, record: SpaceRecord) -> dict[str, DerivedManifest]:
    """The committed partitions of the table that belong to this space, by chunk."""
    return {chunk: m for chunk, m in read_derived(files, TABLE.name).items() if m.inputs["space"] == record.id}


def _inputs(features: DerivedManifest, record: SpaceRecord) -> dict[str, Any]:
    return {
        "image_features": features.file.sha256,
        "space": record.id,
        "concepts": CONCEPTS_VERSION,
        "schema": schemas.SCHEMA_VERSION,
    }


def _rows(files: Files, path: str, record: SpaceRecord, space: ConceptSpace, counts: dict[str, int]) -> Iterator[Row]:
    for batch, vectors in iter_vectors(files, path, _COPIED):
        assigned = space.assign(vectors)
        counts["images"] += len(batch)
        counts["far"] += int((assigned.distance > record.far).sum())
        margins = pa.array(assigned.margin, from_pandas=True).to_pylist()  # NaN, with a single centre, is null
        found = zip(assigned.concept.tolist(), assigned.distance.tolist(), margins, strict=True)
        for row, (concept, distance, margin) in zip(batch.to_pylist(), found, strict=True):
            yield {**row, "space": record.id, "concept": concept, "distance": distance, "margin": margin}
