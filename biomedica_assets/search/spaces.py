"""The vector spaces of a generation: which tables of features they come from, and how they follow rows and features.

Two spaces: captions by the text encoder, images by the image encoder. Features are made chunk by chunk and may lag
behind the catalogue: what is there is indexed, the rest when it arrives. What does not belong here: segments and their
search (`vectors`), the other parts of a generation (`generation`), queries (`vector_queries`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.search.vector_files import open_rows
from biomedica_assets.search.vector_spaces import SAMPLE, Reduction, fit_bridge, fit_reduction
from biomedica_assets.search.vectors import (
    Segment,
    SegmentRecord,
    VectorIndex,
    build_segment,
    merge_segments,
    plan_merges,
)
from biomedica_assets.store.derived import DerivedManifest, read_derived
from biomedica_assets.store.files import Files

SPACES = {"captions": schemas.CAPTION_FEATURES.name, "images": schemas.IMAGE_FEATURES.name}
"""Spaces by name, with the derived tables that they are made of."""
THREADS = 2
OUTGROWN = 4
"""A reduction that was fitted on less than the sample is fitted anew once there is so many times as much."""
_SAMPLED_FILES = 32


@dataclass(frozen=True)
class Space:
    """What a manifest says of a space. ``encoder`` is the id of the encoder whose vectors it holds, ``made_by`` also
    says by which version of the features; ``chunks`` names the file of features that each chunk's vectors came from.

    ``figures`` is how many figures have vectors, ``vectors`` how many those are, dead ones included. ``reduction`` and
    ``bridge`` are files (see `vector_spaces`), ``fitted_on`` and ``bridged_on`` how many vectors there were then.
    """

    encoder: str
    made_by: str
    segments: list[dict[str, Any]] = field(default_factory=list)
    chunks: dict[str, str] = field(default_factory=dict)
    figures: int = 0
    vectors: int = 0
    reduction: str | None = None
    fitted_on: int = 0
    bridge: str | None = None
    bridged_on: int = 0
    bridge_recall: float | None = None
    """Share of held-out captions whose picture is among the ten nearest of a thousand at most, through the bridge."""

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def records(self) -> list[SegmentRecord]:
        return [SegmentRecord.from_json(record) for record in self.segments]


def space_folder(name: str) -> str:
    """Where a space's files lie in a generation's folder."""
    return f"vectors/{name}"


def update_space(
    files: Files,
    name: str,
    folder: Path,
    before: Space | None,
    connection: duckdb.DuckDBPyConnection,
    alive: np.ndarray,
    first_new: int,
) -> Space | None:
    """Bring a space up to the rows; None when there are no features for it.

    Args:
        files: the store.
        name: of `SPACES`.
        folder: of the generation; holds the segments of before, gets new ones, loses those that were merged.
        before: the space in the generation before; None when rows were given anew.
        connection: has a table ``live`` (chunk, figure_id, row) of all figures.
        alive: bool over rows.
        first_new: the first row that the generation before did not have.
    """
    made = {chunk: (_made_by(m), m) for chunk, m in read_derived(files, SPACES[name]).items() if m.file.rows}
    sizes: Counter[str] = Counter()
    for made_by, manifest in made.values():
        sizes[made_by] += manifest.file.rows
    if not sizes:
        return None
    # While another encoder takes over chunk by chunk, the one with more vectors counts.
    chosen = min(sizes, key=lambda made_by: (-sizes[made_by], made_by))
    features = {chunk: manifest for chunk, (made_by, manifest) in made.items() if made_by == chosen}
    place = folder / space_folder(name)
    place.mkdir(parents=True, exist_ok=True)
    outgrown = before is not None and before.fitted_on < SAMPLE and sizes[chosen] > OUTGROWN * before.fitted_on
    if before is None or before.made_by != chosen or outgrown:
        for path in place.iterdir():
            path.unlink()
        before = Space(next(iter(features.values())).inputs["encoder"], chosen, fitted_on=sizes[chosen])
        reduction = fit_reduction(_sample(files, list(features.values())))
        if reduction is not None:
            before = replace(before, reduction=reduction.save(place))
    else:
        reduction = Reduction.load(place / before.reduction) if before.reduction else None
    records = before.records
    missing = alive.copy()
    for record in records:
        missing[open_rows(place, record)] = False
    for batches, dimensions in _missing_vectors(files, features, before, connection, missing, first_new, reduction):
        added = build_segment(place, batches, dimensions, threads=THREADS)
        if added is not None:
            records.append(added)
    records = _merge(place, records, alive, {before.reduction, before.bridge})
    found = np.zeros(len(alive), bool)
    for record in records:
        found[open_rows(place, record)] = True
    return replace(
        before,
        segments=[record.to_json() for record in records],
        chunks={chunk: manifest.file.path for chunk, manifest in features.items()},
        figures=int(np.count_nonzero(found & alive)),
        vectors=sum(record.count for record in records),
    )


def update_bridge(folder: Path, captions: Space, images: Space, alive: np.ndarray) -> Space:
    """The space of images with a bridge from captions: fitted when there is none, or both have grown by half since."""
    size = min(captions.figures, images.figures)
    if images.bridged_on and size < 1.5 * images.bridged_on:
        return images
    place = folder / space_folder("images")
    texts = VectorIndex(folder / space_folder("captions"), captions.records)
    bridge = fit_bridge(texts, VectorIndex(place, images.records), alive)
    if images.bridge:
        (place / images.bridge).unlink()
    if bridge is None:
        return replace(images, bridge=None, bridged_on=0, bridge_recall=None)
    # One that is no better than chance is not asked, but its judgement is kept.
    kept = bridge.save(place) if bridge.judged.usable else None
    return replace(images, bridge=kept, bridged_on=size, bridge_recall=bridge.judged.recall_10)


def _made_by(manifest: DerivedManifest) -> str:
    return f"{manifest.inputs['encoder']}/{manifest.inputs['features']}"


_Batches = Iterator[tuple[np.ndarray, np.ndarray]]


def _missing_vectors(
    files: Files,
    features: dict[str, DerivedManifest],
    before: Space,
    connection: duckdb.DuckDBPyConnection,
    missing: np.ndarray,
    first_new: int,
    reduction: Reduction | None,
) -> Iterator[tuple[_Batches, int]]:
    """Vectors of rows that have none, as few ascending runs, each to be read before the next is asked for."""
    rows = connection.execute('SELECT chunk, min("row"), max("row") FROM live GROUP BY 1 ORDER BY 2').fetchall()
    runs: list[list[str]] = []
    end = -1
    for chunk, first, last in rows:
        held = features.get(chunk)
        # A figure may have no vector at all: a chunk is read again only when its rows or its features are new.
        if held is None or (last < first_new and before.chunks.get(chunk) == held.file.path):
            continue
        if first <= end or not runs:
            runs.append([])
        runs[-1].append(chunk)
        end = last
    for run in runs:
        batches = _run(files, features, run, connection, missing, reduction)
        first = next(batches, None)
        if first is not None:
            yield chain([first], batches), first[1].shape[1]


def _run(
    files: Files,
    features: dict[str, DerivedManifest],
    chunks: Iterable[str],
    connection: duckdb.DuckDBPyConnection,
    missing: np.ndarray,
    reduction: Reduction | None,
) -> _Batches:
    for chunk in chunks:
        query = 'SELECT figure_id, "row" FROM live WHERE chunk = ?'
        row_of = {figure: row for figure, row in connection.execute(query, [chunk]).fetchall() if missing[row]}
        rows, vectors = _read(files, features[chunk].file.path, row_of)
        if len(rows):
            order = np.argsort(rows, kind="stable")
            yield rows[order], reduction.apply(vectors[order]) if reduction else vectors[order]


def _sample(files: Files, manifests: Sequence[DerivedManifest]) -> Iterator[np.ndarray]:
    """Vectors of evenly spaced chunks, a part of each."""
    step = max(1, len(manifests) // _SAMPLED_FILES)
    chosen = manifests[::step]
    share = -(-SAMPLE // len(chosen))
    for manifest in chosen:
        left = share
        with files.open_seekable(manifest.file.path) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(4096, columns=["vector"]):
                vectors = _matrix(batch.column("vector"))[:left]
                left -= len(vectors)
                yield vectors
                if not left:
                    break


def _matrix(column: pa.Array) -> np.ndarray:
    """[n, dimensions] of a column of lists of equal length."""
    matrix: np.ndarray = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return matrix


def _read(files: Files, path: str, row_of: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and vectors (float16) of the wanted figures of one file, in its order."""
    rows: list[np.ndarray] = []
    vectors: list[np.ndarray] = []
    with files.open_seekable(path) as stream:
        for batch in pq.ParquetFile(stream).iter_batches(4096, columns=["figure_id", "vector"]):
            ids = batch.column("figure_id").to_pylist()
            numbers = np.array([row_of.get(figure_id, -1) for figure_id in ids], np.int64)
            matrix = _matrix(batch.column("vector"))
            rows.append(numbers[numbers >= 0])
            vectors.append(matrix[numbers >= 0])
    if not rows:
        return np.empty(0, np.int64), np.empty((0, 0), np.float16)
    return np.concatenate(rows), np.concatenate(vectors)


def _merge(place: Path, records: list[SegmentRecord], alive: np.ndarray, keep: set[str | None]) -> list[SegmentRecord]:
    """Merge segments as their sizes and their dead ask for; files that no segment needs any more are removed."""
    opened = [Segment(place, record) for record in records]
    living = [int(np.count_nonzero(alive[segment.rows])) for segment in opened]
    merged = dict(enumerate(records))
    for group in plan_merges(living, [record.count for record in records]):
        record = merge_segments(place, [opened[number] for number in group], keep=alive, threads=THREADS)
        for number in group:
            del merged[number]
        if record is not None:
            merged[group[0]] = record
    kept = [merged[number] for number in sorted(merged)]
    needed = keep | {name for record in kept for name in record.files}
    for path in place.iterdir():
        if path.name not in needed:
            path.unlink()
    return kept
