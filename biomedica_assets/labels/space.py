"""The concept space: image vectors, centred, turned to their axes of most variance, and cut into many small clusters.

A concept is one of those clusters; experts look at concepts, not at single images. Belongs here: the model, how it is
fitted on vectors and applied to vectors, the files that keep it. Not here: which vectors it is fitted on (`fitting`),
tables (`concepts`), whether it still suits what arrives (`drift`).

A space is kept as ``concepts/files/space-<hash>.npz`` with the record ``concepts/<id>.json``, where the id begins the
hash of the file; ``concepts/space.json`` is the record of the space in use. Spaces of the past are kept, since votes
name the concepts of theirs; they are small.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np

from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, JsonRecord, StoreError

POINTER = "concepts/space.json"
"""Record of the space in use, replaced by one atomic put."""
ITERATIONS = 25
"""Of k-means; the objective moves by less than a thousandth after them."""
BLOCK = 4096
"""Vectors in memory at a time, as double floats 42 MB at 1,280 dimensions."""
FAR_QUANTILE = 0.99
_DIGITS = 6
"""Decimals of distances that are kept: fewer than what the order of additions may change."""
_MISSING = "concepts need faiss and threadpoolctl: pip install 'biomedica_assets[labels]'"


class NoConceptSpaceError(StoreError):
    """The store has no concept space yet."""


@dataclass(frozen=True)
class Assigned:
    """Per vector: ``concept`` int [n]; ``distance`` to its centre; ``margin`` to the second, NaN with one centre."""

    concept: np.ndarray
    distance: np.ndarray
    margin: np.ndarray


@dataclass(frozen=True)
class ConceptSpace:
    """``mean`` float32 [wide]; ``axes`` float32 [wide, narrow], orthonormal; ``centres`` float32 [concepts, narrow]."""

    mean: np.ndarray
    axes: np.ndarray
    centres: np.ndarray

    @property
    def concepts(self) -> int:
        return len(self.centres)

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """float32 [n, narrow], rows of length 1 (of 0 where a vector is the mean), from [n, wide].

        Added up in double floats, so that a row does not depend on the rows that it is projected with.
        """
        turned = (np.asarray(vectors, np.float64) - self.mean) @ self._axes
        lengths = np.linalg.norm(turned, axis=1, keepdims=True)
        return (turned / np.where(lengths > 0, lengths, 1)).astype(np.float32)

    def assign(self, vectors: np.ndarray) -> Assigned:
        """The nearest centre of each of the encoder's vectors [n, wide]; of two equally near the lower number."""
        return self.assign_projected(self.project(vectors))

    def assign_projected(self, points: np.ndarray) -> Assigned:
        """`assign` of points of the space, float32 [n, narrow]."""
        found = self._index.search(np.ascontiguousarray(points), min(2, self.concepts))[1]
        # faiss' own distances are differences of large numbers; the two that matter are cheap to do exactly.
        exact = np.linalg.norm(points[:, None].astype(np.float64) - self.centres[found], axis=2).round(_DIGITS)
        order = np.lexsort((found, exact))
        found, exact = np.take_along_axis(found, order, 1), np.take_along_axis(exact, order, 1)
        margin = exact[:, 1] - exact[:, 0] if self.concepts > 1 else np.full(len(points), np.nan)
        return Assigned(found[:, 0], exact[:, 0].astype(np.float32), margin.round(_DIGITS).astype(np.float32))

    @cached_property
    def _axes(self) -> np.ndarray:
        return self.axes.astype(np.float64)

    @cached_property
    def _index(self) -> Any:
        index = _faiss().IndexFlatL2(self.centres.shape[1])
        index.add(self.centres)
        return index

    def to_bytes(self) -> bytes:
        """The same arrays always give the same bytes."""
        out = io.BytesIO()
        np.savez(out, mean=self.mean, axes=self.axes, centres=self.centres)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return cls(arrays["mean"], arrays["axes"], arrays["centres"])


@dataclass(frozen=True)
class Fit:
    """What is known of a space since it was fitted.

    ``kept`` is the share of variance that the axes hold, ``sizes`` how many pictures of the sample each concept has,
    ``distance_median`` and ``far`` the median and the 99th percentile of their distances, each measured to the centre
    that its concept would have without it: what new pictures of the same kind may be expected to show.
    """

    space: ConceptSpace
    kept: float
    sizes: list[int]
    distance_median: float
    far: float


@dataclass(frozen=True)
class SpaceRecord(JsonRecord):
    """What the store says of a space.

    ``encoder`` and ``features`` name what made the vectors; ``settings`` are those it was asked for with; ``pictures``
    were current then, ``sampled`` of them were fitted on; ``chunks`` maps the chunks whose vectors were there to
    their files. The rest is of `Fit`.
    """

    id: str
    file: DataFile
    encoder: str
    features: str
    settings: dict[str, int]
    concepts: int
    components: int
    pictures: int
    sampled: int
    kept: float
    sizes: list[int]
    distance_median: float
    far: float
    chunks: dict[str, str]

    @property
    def made_by(self) -> str:
        """Encoder and version of the features, as `fitting.made_by` gives them."""
        return f"{self.encoder}/{self.features}"


def record_path(space_id: str) -> str:
    """Path of a space's record below the store."""
    return f"concepts/{space_id}.json"


def read_space_record(files: Files, space_id: str | None = None) -> SpaceRecord | None:
    """The record of the space in use, or of another one by its id; None when there is none."""
    try:
        return SpaceRecord.from_json(files.read(record_path(space_id) if space_id else POINTER))
    except FileNotFoundError:
        return None


def load_space(files: Files, space_id: str | None = None) -> tuple[SpaceRecord, ConceptSpace]:
    """The space in use, or another one by its id.

    Raises:
        NoConceptSpaceError: there is none.
        StoreError: its file is not the one that was committed.
    """
    record = read_space_record(files, space_id)
    if record is None:
        which = f"no concept space {space_id}" if space_id else "no concept space yet: materialize `concept_space`"
        raise NoConceptSpaceError(f"{files.url} has {which}")
    data = files.read(record.file.path)
    if hashlib.sha256(data).hexdigest() != record.file.sha256:
        raise StoreError(f"{record.file.path} is damaged: restore it, or materialize `concept_space` with refit")
    return record, ConceptSpace.from_bytes(data)


def save_space(files: Files, fit: Fit, **about: Any) -> SpaceRecord:
    """Commit a space and make it the one in use; ``about`` are the fields of `SpaceRecord` that `Fit` lacks."""
    data = fit.space.to_bytes()
    digest = hashlib.sha256(data).hexdigest()
    record = SpaceRecord(
        id=digest[:16],
        file=DataFile(f"concepts/files/space-{digest[:16]}.npz", len(data), digest, fit.space.concepts),
        concepts=fit.space.concepts,
        components=fit.space.axes.shape[1],
        kept=fit.kept,
        sizes=fit.sizes,
        distance_median=fit.distance_median,
        far=fit.far,
        **about,
    )
    files.write(record.file.path, data)
    files.write(record_path(record.id), record.to_json())
    files.write(POINTER, record.to_json())
    return record


class Vectors(Protocol):
    """Vectors [n, wide], in memory or not: a slice of rows is asked for at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


def fit_space(vectors: Vectors, *, components: int, clusters: int, seed: int) -> Fit:
    """Fit a space on vectors [n, wide], read in blocks, three times.

    PCA by the eigenvectors of the covariance; the points, made length 1, are then clustered by k-means. One thread, so
    that the sums do not depend on how many there are; concepts are numbered by size, the largest first.

    Args:
        components: axes kept; fewer where the vectors span fewer.
        clusters: concepts; as many as there are vectors at most.
        seed: of the first centres.

    Raises:
        ValueError: fewer than two different vectors.
    """
    with one_thread():
        mean, axes, kept = _principal_axes(vectors, components)
        turn = ConceptSpace(mean, axes, np.empty((0, axes.shape[1]), np.float32))
        points = np.concatenate([turn.project(block) for block in _blocks(vectors)])
        space = ConceptSpace(mean, axes, _centres(points, min(clusters, len(points)), seed))
        assigned = _assign_blocks(space, points)
    sizes = np.bincount(assigned.concept, minlength=space.concepts)
    expected = distances_left_out(assigned, sizes)
    far = float(np.quantile(expected, FAR_QUANTILE).round(_DIGITS))
    return Fit(space, kept, sizes.tolist(), float(np.median(expected).round(_DIGITS)), far)


def default_clusters(pictures: int) -> int:
    """Concepts for so many pictures: 4 for each of their root, 2,000 at most (as BIOMEDICA has), from 250,000 on."""
    return max(1, min(2000, round(4 * pictures**0.5), pictures // 2))


@contextmanager
def one_thread() -> Iterator[None]:
    """The linear algebra of numpy and faiss on one thread: runs are the unit of parallelism, and sums stay the same."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ImportError(_MISSING) from error
    with threadpool_limits(1):
        yield


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ImportError(_MISSING) from error
    return faiss


def _blocks(vectors: Vectors) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), BLOCK):
        yield np.asarray(vectors[start : start + BLOCK])


def _principal_axes(vectors: Vectors, components: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean [wide], axes [wide, narrow] by falling variance, and the share of variance that they hold."""
    wide = vectors.shape[1]
    mean = np.zeros(wide)
    for block in _blocks(vectors):
        mean += block.sum(axis=0, dtype=np.float64)
    mean = (mean / max(1, len(vectors))).astype(np.float32)
    spread = np.zeros((wide, wide))
    for block in _blocks(vectors):
        centred = block.astype(np.float64) - mean
        spread += centred.T @ centred
    variance, axes = np.linalg.eigh(spread)
    variance, axes = variance[::-1], axes[:, ::-1]
    some = int(np.count_nonzero(variance > 1e-9 * max(variance[0], 1e-300)))
    if variance[0] <= 0 or not some:
        raise ValueError("all vectors are the same: there is nothing to cluster")
    axes = axes[:, : min(components, some)]
    # An axis and its opposite are equally good: the largest number of each is positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    kept = float(variance[: axes.shape[1]].sum() / variance[:some].sum())
    return mean, axes.astype(np.float32), round(kept, _DIGITS)


def _centres(points: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    faiss = _faiss()
    kmeans = faiss.Kmeans(
        points.shape[1],
        clusters,
        niter=ITERATIONS,
        seed=seed,
        # First centres far from each other: random ones leave well separated groups together.
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
        min_points_per_centroid=1,
        max_points_per_centroid=len(points),  # all: the sample is what the settings say
    )
    kmeans.train(np.ascontiguousarray(points))
    centres: np.ndarray = kmeans.centroids
    space = ConceptSpace(np.empty(0), np.empty((0, 0)), centres)
    sizes = np.bincount(_assign_blocks(space, points).concept, minlength=clusters)
    return np.ascontiguousarray(centres[np.lexsort((*centres.T[::-1], -sizes))])


def _assign_blocks(space: ConceptSpace, points: np.ndarray) -> Assigned:
    parts = [space.assign_projected(block) for block in _blocks(points)]
    return Assigned(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("concept", "distance", "margin")))


def distances_left_out(assigned: Assigned, sizes: np.ndarray) -> np.ndarray:
    """Distances as they would be to centres fitted without the very picture.

    The mean of n points without one of them is n / (n - 1) times as far from it; who is alone in a concept would be in
    the second nearest, where also others go that are nearer to it.
    """
    size = sizes[assigned.concept]
    second = assigned.distance + np.nan_to_num(assigned.margin)
    without = assigned.distance * size / np.maximum(size - 1, 1)
    return np.where(size > 1, np.minimum(without, np.maximum(second, assigned.distance)), second)
