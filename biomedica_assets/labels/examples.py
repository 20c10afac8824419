"""Examples for the label model: pictures of which votes say something, with what is said and how much it counts.

A vote on a concept says something of each of its members, the more the nearer they are to its centre; a vote on a
picture says it of that picture, and counts more. Members are chosen by hash, from few chunks where that is enough, so
that reading them costs little at any size of the store. What does not belong here: fitting (`label_model`), what votes
amount to (`consensus`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from biomedica_assets import schemas
from biomedica_assets.labels.concepts import concepts_of
from biomedica_assets.labels.fitting import chosen_features, current_rows, derived_relation, iter_vectors
from biomedica_assets.labels.label_model import Inputs
from biomedica_assets.labels.space import SpaceRecord
from biomedica_assets.store.catalogue import connect
from biomedica_assets.store.derived import DerivedManifest, read_derived
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, StoreError, read_chunk_manifest
from biomedica_assets.store.tables import read_table

PER_CONCEPT = 200
"""Members of a concept that are learnt from at most."""
IMAGE_WEIGHT = 3.0
"""What a vote on a picture counts, where one on a concept counts 1 for a picture at its centre."""


class Verdict(NamedTuple):
    """What the votes for one target say on one axis, and how sure that is (0 to 1)."""

    labels: tuple[str, ...]
    probability: float


Verdicts = Mapping[str, Mapping[str, Verdict]]
"""By target as votes name it, ``concept:<space>/<number>`` or ``image:<sha256>``, and by axis. What votes leave open
(ties, mixed concepts, nobody sure) is not in it."""


@dataclass(frozen=True)
class Examples:
    """Rows side by side; ``answers`` and ``weights`` by axis as `label_model.fit_model` takes them.

    ``concept_articles``: of each concept of the space, how many current articles its members are from.
    """

    inputs: Inputs
    articles: list[str]
    sha256: list[str]
    answers: dict[str, list[frozenset[str] | None]]
    weights: dict[str, np.ndarray]
    image_encoder: str
    text_encoder: str
    counts: dict[str, int]
    concept_articles: tuple[int, ...]


def gather_examples(
    files: Files,
    verdicts: Verdicts,
    space: SpaceRecord | None,
    *,
    most: int,
    seed: int = 0,
    scratch: str | None = None,
) -> Examples:
    """The examples that these verdicts give, among pictures of current articles that have a vector.

    Args:
        files: the store.
        verdicts: of concepts of ``space``, and of pictures.
        space: the concept space in use; those of others are passed over.
        most: examples at most, concepts with few members first served.
        seed: of the choice.
        scratch: local folder.

    Raises:
        StoreError: no chunk has vectors of images.
    """
    features = chosen_features(read_derived(files, schemas.IMAGE_FEATURES.name))
    if not features:
        raise StoreError(f"{files.url} has no vectors of images: materialize `image_features` first")
    members = concepts_of(files, space) if space else {}
    with tempfile.TemporaryDirectory(prefix="examples-", dir=scratch) as folder:
        with connect(files, Path(folder)) as connection:
            chosen = _choose(files, connection, features, members, verdicts, space, most, seed)
            spread = _articles_by_concept(files, connection, members, space)
        captions = {
            chunk: manifest
            for chunk, manifest in read_derived(files, schemas.CAPTION_FEATURES.name).items()
            if chunk in {row["chunk"] for row in chosen}
        }
        encoders = sorted({manifest.inputs["encoder"] for manifest in captions.values()})
        text_encoder = encoders[0] if encoders else ""
        inputs = _read(files, chosen, features, captions, text_encoder)
    answers, weights, counts = _answers(chosen, verdicts, space)
    return Examples(
        inputs,
        [row["article_id"] for row in chosen],
        [row["sha256"] for row in chosen],
        answers,
        weights,
        next(iter(features.values())).inputs["encoder"],
        text_encoder,
        counts,
        spread,
    )


def _articles_by_concept(
    files: Files,
    connection: duckdb.DuckDBPyConnection,
    members: Mapping[str, DerivedManifest],
    space: SpaceRecord | None,
) -> tuple[int, ...]:
    """For a connection that has the view ``current``."""
    if space is None or not members:
        return ()
    relation = derived_relation(files, schemas.CONCEPTS, members.values())
    query = f"""
        SELECT concept, count(DISTINCT article_id)
        FROM {relation} SEMI JOIN current USING (chunk, article_id) GROUP BY 1
    """
    found = dict(connection.execute(query).fetchall())
    return tuple(int(found.get(concept, 0)) for concept in range(space.concepts))


def _choose(
    files: Files,
    connection: duckdb.DuckDBPyConnection,
    features: Mapping[str, DerivedManifest],
    members: Mapping[str, DerivedManifest],
    verdicts: Verdicts,
    space: SpaceRecord | None,
    most: int,
    seed: int,
) -> list[schemas.Row]:
    """Rows chunk, article_id, figure_id, image_id, sha256, concept, distance; by chunk and image_id."""
    prefix = f"concept:{space.id}/" if space else None
    numbers = [int(t.removeprefix(prefix)) for t in verdicts if prefix and t.startswith(prefix)]
    hashes = [target.removeprefix("image:") for target in verdicts if target.startswith("image:")]
    connection.register("labelled", pa.table({"concept": pa.array(numbers, pa.int64())}))
    connection.register("looked_at", pa.table({"sha256": pa.array(hashes, pa.string())}))
    rows = current_rows(files, connection, schemas.IMAGE_FEATURES, features.values())
    ids = "chunk, article_id, figure_id, image_id, sha256"
    connection.execute(f"""
        CREATE TABLE images AS SELECT {ids}, NULL::BIGINT AS concept, NULL::DOUBLE AS distance
        FROM {rows} SEMI JOIN looked_at USING (sha256)
        QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY image_id) = 1
    """)
    # Chunks in the order of their hashes, so that common concepts are filled from a few of them.
    if space is not None and numbers:
        relation = derived_relation(files, schemas.CONCEPTS, (m for chunk, m in members.items() if chunk in features))
        per_concept = max(1, min(PER_CONCEPT, most // max(1, len(numbers))))
        connection.execute(f"""
            CREATE TABLE members AS SELECT {ids}, concept, distance
            FROM (SELECT * FROM {relation} SEMI JOIN current USING (chunk, article_id)
                  SEMI JOIN labelled USING (concept) ANTI JOIN looked_at USING (sha256)
                  QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY image_id) = 1)
            QUALIFY row_number() OVER (
                PARTITION BY concept ORDER BY md5(concat(chunk, '/', {seed})), md5(concat(sha256, '/', {seed}))
            ) <= {per_concept}
        """)
        connection.execute("INSERT INTO images SELECT * FROM members")
    query = f"SELECT {ids}, concept, distance FROM images ORDER BY md5(concat(sha256, '/', {seed})) LIMIT {most}"
    found: list[schemas.Row] = connection.sql(f"FROM ({query}) ORDER BY chunk, image_id").to_arrow_table().to_pylist()
    return found


def _read(
    files: Files,
    chosen: Sequence[schemas.Row],
    features: Mapping[str, DerivedManifest],
    captions: Mapping[str, DerivedManifest],
    text_encoder: str,
) -> Inputs:
    by_chunk: dict[str, list[int]] = {}
    for index, row in enumerate(chosen):
        by_chunk.setdefault(row["chunk"], []).append(index)
    parts: list[Inputs] = []
    for chunk, indices in by_chunk.items():
        manifest = read_chunk_manifest(files, chunk)
        if manifest is None:
            raise StoreError(f"the chunk {chunk} is not committed")
        texts = captions.get(chunk)
        if texts is not None and texts.inputs["encoder"] != text_encoder:
            texts = None
        wanted = {chosen[index]["image_id"] for index in indices}
        read = list(iter_inputs(files, manifest, features[chunk], texts, wanted))
        places = {row["image_id"]: (number, at) for number, (rows, _) in enumerate(read) for at, row in enumerate(rows)}
        for index in indices:
            number, at = places[chosen[index]["image_id"]]
            some = read[number][1]
            parts.append(Inputs(*(array[at : at + 1] for array in (some.images, some.captions, some.panels))))
    if not parts:
        return Inputs(np.zeros((0, 1), np.float16), np.zeros((0, 1), np.float16), np.zeros(0, int))
    narrow = max(part.captions.shape[1] for part in parts)
    return Inputs(
        np.concatenate([part.images for part in parts]),
        np.concatenate([_widened(part.captions, narrow) for part in parts]),
        np.concatenate([part.panels for part in parts]),
    )


def _widened(captions: np.ndarray, narrow: int) -> np.ndarray:
    return captions if captions.shape[1] == narrow else np.zeros((len(captions), narrow), captions.dtype)


def iter_inputs(
    files: Files,
    manifest: ChunkManifest,
    features: DerivedManifest,
    captions: DerivedManifest | None,
    wanted: set[str] | None = None,
) -> Iterator[tuple[list[schemas.Row], Inputs]]:
    """The images of a chunk that have a vector, in batches: rows of ids, and what the label model takes.

    Args:
        files: the store.
        manifest: the chunk's.
        features: its vectors of images.
        captions: its vectors of captions; None where there are none of the right encoder.
        wanted: only these image ids.
    """
    panels = panels_of(files, manifest)
    texts, vectors = _caption_vectors(files, captions)
    ids = ["chunk", "article_id", "figure_id", "image_id", "sha256"]
    for batch, images in iter_vectors(files, features.file.path, ids):
        rows = batch.to_pylist()
        if wanted is not None:
            kept = [index for index, row in enumerate(rows) if row["image_id"] in wanted]
            if not kept:
                continue
            rows, images = [rows[index] for index in kept], images[kept]
        places = np.array([texts.get(row["figure_id"], -1) for row in rows])
        found = np.zeros((len(rows), vectors.shape[1]), np.float16)
        found[places >= 0] = vectors[places[places >= 0]]
        yield rows, Inputs(images, found, np.array([panels.get(row["figure_id"], 0) for row in rows]))


def _caption_vectors(files: Files, captions: DerivedManifest | None) -> tuple[dict[str, int], np.ndarray]:
    """Rows by figure, and the vectors as half floats [n, narrow]; 14,000 captions of 256 numbers are 7 MB."""
    if captions is None:
        return {}, np.zeros((0, 1), np.float16)
    places: dict[str, int] = {}
    parts = []
    for batch, matrix in iter_vectors(files, captions.file.path, ["figure_id"]):
        for figure_id in batch.column("figure_id").to_pylist():
            places[figure_id] = len(places)
        parts.append(matrix)
    return places, np.concatenate(parts) if parts else np.zeros((0, 1), np.float16)


def panels_of(files: Files, manifest: ChunkManifest) -> dict[str, int]:
    """By figure of a chunk, how many panels its caption letters; 0 where the figure has several image files."""
    shown = read_table(files, manifest.tables["images"].path, ["figure_id"])["figure_id"].value_counts().to_pylist()
    single = {row["values"] for row in shown if row["counts"] == 1}
    captions = read_table(files, manifest.tables["captions"].path, ["figure_id", "sub_captions"])
    lengths = pc.fill_null(pc.list_value_length(captions["sub_captions"]), 0)
    return {
        figure_id: count if figure_id in single else 0
        for figure_id, count in zip(captions["figure_id"].to_pylist(), lengths.to_pylist(), strict=True)
    }


def closeness(distance: float, median: float) -> float:
    """How much a concept's vote counts for a member: 1 at the centre, 0.5 at the space's median distance.

    >>> closeness(0.0, 0.4), closeness(0.4, 0.4)
    (1.0, 0.5)
    """
    return 1 / (1 + (distance / median) ** 2) if median else 1.0


def _answers(
    chosen: Sequence[schemas.Row], verdicts: Verdicts, space: SpaceRecord | None
) -> tuple[dict[str, list[frozenset[str] | None]], dict[str, np.ndarray], dict[str, int]]:
    axes = sorted({axis for said in verdicts.values() for axis in said})
    answers: dict[str, list[frozenset[str] | None]] = {axis: [None] * len(chosen) for axis in axes}
    weights = {axis: np.zeros(len(chosen)) for axis in axes}
    counts = {"pictures": 0, "members": 0, "concepts": len({row["concept"] for row in chosen} - {None})}
    for index, row in enumerate(chosen):
        member = row["concept"] is not None
        counts["members" if member else "pictures"] += 1
        if member:
            assert space is not None
            weight = closeness(row["distance"], space.distance_median)
            said = verdicts[f"concept:{space.id}/{row['concept']}"]
        else:
            weight, said = IMAGE_WEIGHT, verdicts[f"image:{row['sha256']}"]
        for axis, verdict in said.items():
            answers[axis][index] = frozenset(verdict.labels)
            weights[axis][index] = weight * verdict.probability
    return answers, weights, counts
