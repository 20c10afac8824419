"""Reduced image vectors, and texts asked in the image space: fitted on made pairs whose relation is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from biomedica_assets.search import vector_spaces
from biomedica_assets.search.vector_spaces import Bridge, Judged, Reduction, fit_bridge, fit_reduction
from biomedica_assets.search.vectors import VectorIndex, build_segment


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def low_rank(count: int, wide: int = 600, rank: int = 20, seed: int = 0) -> np.ndarray:
    """Vectors that vary along ``rank`` directions around a mean far from zero."""
    random = np.random.default_rng(seed)
    axes = np.random.default_rng(99).standard_normal((rank, wide))
    return unit(5 * np.ones(wide) + random.standard_normal((count, rank)) @ axes)


def index_of(folder: Path, rows: np.ndarray, matrix: np.ndarray) -> VectorIndex:
    record = build_segment(folder, [(rows, matrix)], matrix.shape[1])
    assert record is not None
    return VectorIndex(folder, [record])


def test_a_reduction_keeps_what_varies(tmp_path: Path) -> None:
    vectors = low_rank(1_200)
    reduction = fit_reduction([vectors[:700], vectors[700:]])
    assert reduction is not None
    assert reduction.axes is not None
    assert reduction.axes.shape == (600, 256)
    assert reduction.kept > 0.999
    fresh = low_rank(50, seed=1)
    narrow = reduction.apply(fresh)
    centred = unit(fresh - vectors.mean(axis=0))
    assert narrow.shape == (50, 256)
    assert narrow @ narrow.T == pytest.approx(centred @ centred.T, abs=1e-3)
    again = Reduction.load(tmp_path / reduction.save(tmp_path))
    assert (again.apply(fresh) == narrow).all()
    assert again.kept == reduction.kept
    assert reduction.save(tmp_path) == fit_reduction([vectors]).save(tmp_path)  # type: ignore[union-attr]


def test_what_could_not_be_decoded_stays_nothing() -> None:
    vectors = low_rank(100)
    reduction = fit_reduction([vectors])
    assert reduction is not None
    assert reduction.axes is None  # 100 vectors tell a mean, not 256 axes
    vectors[3] = 0
    reduced = reduction.apply(vectors)
    assert not reduced[3].any()
    assert np.linalg.norm(np.delete(reduced, 3, axis=0), axis=1) == pytest.approx(np.ones(99))


@pytest.mark.parametrize(("count", "wide"), [(63, 600), (2_000, 512), (0, 600)])
def test_narrow_or_few_vectors_stay_as_they_are(count: int, wide: int) -> None:
    assert fit_reduction([low_rank(count, wide)]) is None
    assert fit_reduction([]) is None


def test_zeros_do_not_count_as_vectors() -> None:
    assert fit_reduction([low_rank(63, 600), np.zeros((500, 600), np.float32)]) is None


def pairs(count: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    texts = unit(random.standard_normal((count, 24)))
    turned = texts @ np.random.default_rng(4).standard_normal((24, 40)) / np.sqrt(24)
    return texts, unit(turned + noise * random.standard_normal((count, 40)) / np.sqrt(40) * 1.0)


def test_a_bridge_finds_the_pictures_of_texts(tmp_path: Path) -> None:
    texts, looks = pairs(1_500, noise=0.5)
    rows = np.arange(1_500)
    captions, images = index_of(tmp_path / "c", rows, texts), index_of(tmp_path / "i", rows[200:], looks[200:])
    bridge = fit_bridge(captions, images, np.ones(1_500, bool))
    assert bridge is not None
    assert bridge.judged.pairs == 1_300
    # Blocks of 64 rows; 0, 5, 10, 15, 20 are held out; of row 200 on (block 3): 5, 10, 15 and 20.
    assert bridge.judged.gallery == 4 * 64
    assert bridge.judged.chance_10 == 10 / 256
    assert bridge.judged.recall_1 > 0.5
    assert bridge.judged.recall_10 > 0.9
    assert bridge.judged.usable
    found = [int(images.search(vector, 1)[0][0]) for vector in bridge.to_image(texts[200:300])]
    assert np.mean(np.array(found) == rows[200:300]) > 0.5
    again = Bridge.load(tmp_path / bridge.save(tmp_path))
    assert again.judged == bridge.judged
    assert (again.to_image(texts[:5]) == bridge.to_image(texts[:5])).all()


def test_pairs_without_relation_are_judged_unusable(tmp_path: Path) -> None:
    texts, _ = pairs(900, noise=0.5)
    looks = unit(np.random.default_rng(8).standard_normal((900, 40)))
    rows = np.arange(900)
    bridge = fit_bridge(index_of(tmp_path / "c", rows, texts), index_of(tmp_path / "i", rows, looks), rows >= 0)
    assert bridge is not None
    assert not bridge.judged.usable


def test_too_few_living_pairs_give_no_bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, looks = pairs(600, noise=0.1)
    rows = np.arange(600)
    captions, images = index_of(tmp_path / "c", rows, texts), index_of(tmp_path / "i", rows, looks)
    assert fit_bridge(captions, images, rows < 499) is None
    assert fit_bridge(captions, images, rows < 500) is not None
    assert fit_bridge(captions, VectorIndex(tmp_path, []), rows < 600) is None
    monkeypatch.setattr(vector_spaces, "PAIRS", 520)
    sampled = fit_bridge(captions, images, rows < 600)
    assert sampled is not None
    assert sampled.judged.pairs == 520


def test_what_counts_as_usable() -> None:
    # Of 100 pictures, ten come first by chance; luck is three standard deviations of 0.03 each.
    assert Judged(500, 100, 0.0, 0.21, 0.1).usable
    assert not Judged(500, 100, 0.0, 0.19, 0.1).usable
    assert not Judged(500, 12, 0.0, 1.0, 10 / 12).usable
