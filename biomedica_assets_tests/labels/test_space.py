"""The concept space on vectors small enough to be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from biomedica_assets.labels.space import (
    Assigned,
    ConceptSpace,
    NoConceptSpaceError,
    default_clusters,
    distances_left_out,
    fit_space,
    load_space,
    read_space_record,
    save_space,
)
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError

CROSS = np.array([[2, 0, 5], [-2, 0, 5], [0, 1, 5], [0, -1, 5]], np.float16)
"""Mean (0, 0, 5); squares about it 8 along x, 2 along y, none along z."""
ABOUT = {
    "encoder": "cross-3@0123456789ab",
    "features": "1",
    "settings": {"components": 2, "clusters": 4, "sample": 100, "seed": 1},
    "pictures": 4,
    "sampled": 4,
    "chunks": {"2026-11-10-00000": "tables/image_features/x.parquet"},
}


def flat(*centres: tuple[float, float]) -> ConceptSpace:
    """A space that takes off (0, 0, 5) and forgets z."""
    mean = np.array([0, 0, 5], np.float32)
    return ConceptSpace(mean, np.eye(3, 2, dtype=np.float32), np.array(centres, np.float32))


def test_axes_are_those_of_most_variance():
    one = fit_space(CROSS, components=1, clusters=2, seed=1)
    assert one.space.mean.tolist() == [0, 0, 5]
    np.testing.assert_allclose(one.space.axes, [[1], [0], [0]], atol=1e-7)
    assert one.kept == 0.8
    both = fit_space(CROSS, components=50, clusters=4, seed=1)
    np.testing.assert_allclose(both.space.axes, [[1, 0], [0, 1], [0, 0]], atol=1e-7)  # z says nothing and is left out
    assert both.kept == 1.0


def test_points_are_centred_and_made_length_one():
    np.testing.assert_allclose(flat((1, 0)).project(CROSS), [[1, 0], [-1, 0], [0, 1], [0, -1]])
    assert flat((1, 0)).project(np.array([[0, 0, 5]])).tolist() == [[0, 0]]  # the mean itself has no direction


def test_distance_and_margin():
    space = flat((1, 0), (0, 1))
    # (3, 4) becomes (0.6, 0.8): sqrt(0.4^2 + 0.8^2) to the first, sqrt(0.6^2 + 0.2^2) to the second.
    found = space.assign(np.array([[3, 4, 5], [7, 0, 5], [1, 1, 5]], np.float32))
    assert found.concept.tolist() == [1, 0, 0]  # of two equally near the lower number
    np.testing.assert_allclose(found.distance, [0.632456, 0, 0.765367], atol=1e-6)
    np.testing.assert_allclose(found.margin, [0.894427 - 0.632456, 2**0.5, 0], atol=2e-6)


def test_a_single_centre_has_no_margin():
    found = flat((1, 0)).assign(CROSS)
    assert found.concept.tolist() == [0] * 4
    np.testing.assert_allclose(found.distance, [0, 2, 2**0.5, 2**0.5], atol=1e-6)
    assert np.isnan(found.margin).all()


def test_separate_groups_become_concepts_the_largest_first():
    directions = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    group = np.array([1] * 6 + [0] * 3 + [2] * 2)
    vectors = (directions[group] + np.random.default_rng(3).normal(0, 0.01, (11, 3))).astype(np.float16)
    fit = fit_space(vectors, components=2, clusters=3, seed=4)
    assert fit.sizes == [6, 3, 2]
    assert fit.space.assign(vectors).concept.tolist() == [0] * 6 + [1] * 3 + [2] * 2
    assert 0 < fit.distance_median <= fit.far < 0.1
    assert fit.space.assign(np.array([[-5, -5, 20]])).concept.tolist() == [2]


def test_no_more_concepts_than_vectors():
    assert fit_space(CROSS, components=2, clusters=2000, seed=1).sizes == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="nothing to cluster"):
        fit_space(np.ones((5, 3), np.float16), components=2, clusters=2, seed=1)


def test_distances_as_if_a_picture_had_not_been_there():
    concept = np.array([0, 0, 0, 1, 0])
    assigned = Assigned(concept, np.array([0.2, 0.3, 0.0, 0.0, 0.9]), np.array([0.5, 0.05, 0.5, 1.1, 0.1]))
    # Four in concept 0: 4/3 of the distance, but not beyond the second centre; alone in concept 1: to the second.
    expected = [0.2 * 4 / 3, 0.35, 0.0, 1.1, 1.0]
    np.testing.assert_allclose(distances_left_out(assigned, np.array([4, 1])), expected)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 9))
def test_a_vector_is_assigned_as_if_it_were_alone(seed, count, concepts):
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(16, 5)))[0].astype(np.float32)
    space = ConceptSpace(
        random.normal(size=16).astype(np.float32), axes, random.normal(size=(concepts, 5)).astype(np.float32)
    )
    vectors = random.normal(size=(count, 16)).astype(np.float16)
    together = space.assign(vectors)
    exact = np.linalg.norm(space.project(vectors)[:, None].astype(np.float64) - space.centres, axis=2)
    np.testing.assert_allclose(together.distance, exact.min(axis=1), atol=1e-5)
    for index in range(count):
        alone = space.assign(vectors[index : index + 1])
        for name in ("concept", "distance", "margin"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[index])


def test_the_same_bytes_whatever_the_number_of_threads():
    vectors = np.random.default_rng(5).normal(size=(9000, 64)).astype(np.float16)
    found = set()
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            found.add(fit_space(vectors, components=20, clusters=30, seed=2).space.to_bytes())
    assert len(found) == 1
    assert fit_space(vectors, components=20, clusters=30, seed=3).space.to_bytes() not in found


def test_clusters_by_default():
    # 4 x the root: of 148 pictures 48.7, of a million 4,000, more than BIOMEDICA's 2,000; never less than two each.
    assert [default_clusters(n) for n in (1, 4, 148, 250_000, 24_000_000)] == [1, 2, 49, 2000, 2000]


def test_kept_and_read_again(tmp_path):
    files = Files(tmp_path)
    with pytest.raises(NoConceptSpaceError, match="materialize `concept_space`"):
        load_space(files)
    assert read_space_record(files) is None
    fit = fit_space(CROSS, components=2, clusters=4, seed=1)
    saved = save_space(files, fit, **ABOUT)
    record, space = load_space(files)
    assert record == saved
    assert space.to_bytes() == fit.space.to_bytes()
    assert (record.concepts, record.components, record.sizes) == (4, 2, [1, 1, 1, 1])
    assert save_space(files, fit, **ABOUT) == record  # the same numbers have the same name

    other = save_space(files, fit_space(CROSS, components=1, clusters=2, seed=1), **ABOUT)
    assert read_space_record(files) == other
    assert load_space(files, record.id)[0] == record, "votes still refer to the one before"
    (tmp_path / other.file.path).write_bytes(b"damaged")
    with pytest.raises(StoreError, match="damaged"):
        load_space(files)
