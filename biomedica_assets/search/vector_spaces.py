"""What stands between an encoder's vectors and the index: reduced image vectors, and texts asked in the image space.

Belongs here: the two linear maps, how they are fitted, judged, kept in files. Not here: segments (`vectors`), which
features are read (`spaces`), queries (`vector_queries`).

A `Reduction` makes wide vectors of an image encoder narrower: centred, and turned to the axes of most variance (PCA).
It is fitted once, on a seeded sample, and stays until the index is built anew: those of two reductions do not compare.

A `Bridge` turns a caption's vector into the vector that its picture would have: ridge regression on the pairs that the
index holds, closed form. With it a text finds pictures by their looks, whatever their captions say. An encoder that
puts texts and pictures into one space needs none. A bridge always says how well it does on pairs it was not fitted on.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from biomedica_assets.search.vector_files import settle
from biomedica_assets.search.vectors import VectorIndex

WIDTH = 256
"""Dimensions kept: at 1,280 a million pictures take 2.5 GB, at 256 half of one."""
WIDEST = 512
"""Vectors up to this width are kept as they are."""
FEWEST_TO_CENTRE, FEWEST_TO_REDUCE = 64, 4 * WIDTH
"""Vectors from which a mean, and axes of variance, say more than chance."""
SAMPLE = 50_000
"""Vectors that a reduction is fitted on at most."""
PAIRS, FEWEST_PAIRS = 20_000, 500
"""Pairs that a bridge is fitted on at most, and at least."""
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
BLOCK, BLOCKS = 64, 5
"""Every fifth block of 64 rows is held out: rows of one article stand together, and must not be on both sides."""
GALLERY = 1_000
"""Held-out pictures among which the right one is sought, at most."""
SEED = 20


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


@dataclass(frozen=True)
class Reduction:
    """``mean`` float32 [wide]; ``axes`` float32 [wide, narrow], orthonormal, null when only the mean is taken off."""

    mean: np.ndarray
    axes: np.ndarray | None
    kept: float
    """Share of the sample's variance that the axes hold."""

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """float32 [n, narrow], rows of length 1; rows of zeros (what could not be decoded) stay so."""
        vectors = np.asarray(vectors, np.float32)
        centred = np.where(vectors.any(axis=1, keepdims=True), vectors - self.mean, 0)
        return _unit(centred if self.axes is None else centred @ self.axes)

    def save(self, folder: Path) -> str:
        """Write it to a file named by its content; the name."""
        axes = np.empty((len(self.mean), 0), np.float32) if self.axes is None else self.axes
        return _save(folder, "reduction", mean=self.mean, axes=axes, kept=np.float64(self.kept))

    @classmethod
    def load(cls, path: Path) -> Self:
        arrays = _load(path)
        axes = arrays["axes"]
        return cls(arrays["mean"], axes if axes.shape[1] else None, float(arrays["kept"]))


def fit_reduction(sample: Iterable[np.ndarray]) -> Reduction | None:
    """Fit a reduction on batches of vectors [n, wide], of which at most `SAMPLE` are read.

    Returns:
        None when the vectors are narrow enough or too few for a mean; without axes when too few for those.
    """
    parts, count = [], 0
    for batch in sample:
        some = np.asarray(batch, np.float32)
        some = some[some.any(axis=1)][: SAMPLE - count]
        parts.append(some)
        count += len(some)
        if count >= SAMPLE:
            break
    if count < FEWEST_TO_CENTRE or parts[0].shape[1] <= WIDEST:
        return None
    vectors = np.concatenate(parts)
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    if count < FEWEST_TO_REDUCE:
        return Reduction(mean, None, 1.0)
    centred = vectors - mean
    variances, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = axes[:, ::-1][:, :WIDTH]
    # An axis may point either way: the largest entry is made positive, so that equal input gives equal bytes.
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(WIDTH)])
    kept = float(variances[::-1][:WIDTH].sum() / variances.sum())
    return Reduction(mean, np.ascontiguousarray(axes, np.float32), kept)


@dataclass(frozen=True)
class Judged:
    """How often the right picture is the first, or among the first ten, of ``gallery`` held-out ones."""

    pairs: int
    gallery: int
    recall_1: float
    recall_10: float
    chance_10: float

    @property
    def usable(self) -> bool:
        """Whether asking through it beats drawing pictures at random: by twice, and by more than luck explains."""
        luck = 3 * np.sqrt(self.chance_10 * (1 - self.chance_10) / max(1, self.gallery))
        return bool(self.recall_10 >= 2 * self.chance_10 and self.recall_10 >= self.chance_10 + luck)


@dataclass(frozen=True)
class Bridge:
    """Image vector of a text vector: ``(text - text_mean) @ matrix + image_mean``, made length 1."""

    text_mean: np.ndarray
    matrix: np.ndarray
    image_mean: np.ndarray
    judged: Judged

    def to_image(self, texts: np.ndarray) -> np.ndarray:
        """float32 [n, image dimensions], rows of length 1, for float [n, text dimensions]."""
        return _unit((np.asarray(texts, np.float32) - self.text_mean) @ self.matrix + self.image_mean)

    def save(self, folder: Path) -> str:
        """Write it to a file named by its content; the name."""
        judged = np.array(list(asdict(self.judged).values()), np.float64)
        means = {"text_mean": self.text_mean, "image_mean": self.image_mean}
        return _save(folder, "bridge", **means, matrix=self.matrix, judged=judged)

    @classmethod
    def load(cls, path: Path) -> Self:
        arrays = _load(path)
        pairs, gallery, *shares = arrays["judged"].tolist()
        judged = Judged(int(pairs), int(gallery), *shares)
        return cls(arrays["text_mean"], arrays["matrix"], arrays["image_mean"], judged)


def fit_bridge(captions: VectorIndex, images: VectorIndex, alive: np.ndarray) -> Bridge | None:
    """Fit a bridge on the living rows that have a caption and a picture; null when they are fewer than `FEWEST_PAIRS`.

    Args:
        captions, images: of one generation, so that rows mean the same in both.
        alive: bool over rows.
    """
    rows = np.intersect1d(_rows(captions), _rows(images))
    rows = rows[alive[rows]]
    if len(rows) < FEWEST_PAIRS:
        return None
    if len(rows) > PAIRS:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, PAIRS, replace=False))
    texts = np.concatenate([captions.vectors_of(row)[:1] for row in rows.tolist()])
    looks = np.concatenate([images.vectors_of(row)[:1] for row in rows.tolist()])
    held = (rows // BLOCK) % BLOCKS == 0
    if held.all() or not held.any():  # all rows within one block
        held = np.arange(len(rows)) % BLOCKS == 0
    tuned = (rows // BLOCK) % BLOCKS == 1
    rest = ~held & ~tuned
    strengths = {}
    if tuned.any() and rest.any():
        for strength in STRENGTHS:
            strengths[strength] = _judge(_ridge(texts[rest], looks[rest], strength), texts[tuned], looks[tuned])
    best = max(strengths, key=lambda s: (strengths[s].recall_10, s), default=STRENGTHS[-2])
    judged = _judge(_ridge(texts[~held], looks[~held], best), texts[held], looks[held])
    text_mean, matrix, image_mean = _ridge(texts, looks, best)
    return Bridge(text_mean, matrix, image_mean, replace(judged, pairs=len(rows)))


_Ridge = tuple[np.ndarray, np.ndarray, np.ndarray]


def _ridge(texts: np.ndarray, looks: np.ndarray, strength: float) -> _Ridge:
    """Means and the matrix that minimises |looks - texts @ matrix|^2 / n + strength |matrix|^2, all centred."""
    text_mean, image_mean = texts.mean(axis=0), looks.mean(axis=0)
    x, y = (texts - text_mean).astype(np.float64), (looks - image_mean).astype(np.float64)
    square = x.T @ x / len(x) + strength * np.eye(x.shape[1])
    return text_mean, np.linalg.solve(square, x.T @ y / len(x)).astype(np.float32), image_mean


def _judge(ridge: _Ridge, texts: np.ndarray, looks: np.ndarray) -> Judged:
    texts, looks = texts[:GALLERY], looks[:GALLERY]
    text_mean, matrix, image_mean = ridge
    asked = _unit((texts - text_mean) @ matrix + image_mean)
    scores = asked @ _unit(looks).T
    place = (scores > np.diag(scores)[:, None]).sum(axis=1)
    count = len(texts)
    return Judged(count, count, float((place < 1).mean()), float((place < 10).mean()), min(1.0, 10 / count))


def _rows(index: VectorIndex) -> np.ndarray:
    return np.concatenate([np.empty(0, np.uint32), *(segment.rows for segment in index.segments)])


def _save(folder: Path, kind: str, **arrays: Any) -> str:
    path = folder / f"writing.{kind}"
    with path.open("wb") as out:
        np.savez(out, **arrays)
    return settle(path, f"{kind}.npz")


def _load(path: Path) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
