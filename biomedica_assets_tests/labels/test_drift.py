"""When a concept space no longer suits what arrives."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest

from biomedica_assets import schemas
from biomedica_assets.labels import drift
from biomedica_assets.labels.concepts import TABLE, build_concepts
from biomedica_assets.labels.drift import compare_spread, divergence, far_by_chance, measure_drift
from biomedica_assets.labels.fitting import ensure_space
from biomedica_assets.labels.space import load_space
from biomedica_assets.models.features import build_image_features
from biomedica_assets.store.derived import commit_derived
from biomedica_assets_tests.ingest.releases import DAYS, World
from biomedica_assets_tests.labels.test_concepts import NEXT, Corners, assign, encode, many, settings

pytestmark = pytest.mark.usefixtures("no_local_database")


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.build(DAYS[0], *many(*range(1, 9)))
    encode(world)
    ensure_space(world.files, settings(world))
    assign(world)
    return world


def arrive(world, counts, distance=0.01, chunk=NEXT, prefix=""):
    """A chunk whose concepts are so many pictures each, every one so far from its centre."""
    record, _ = load_space(world.files)
    listed = [
        {"chunk": chunk, "article_id": "PMC99.1", "figure_id": "PMC99.1/f", "image_id": f"PMC99.1/f/{concept}-{n}",
         "sha256": f"{prefix}{concept}-{n}", "space": record.id, "concept": concept, "distance": distance}
        for concept, count in enumerate(counts)
        for n in range(count)
    ]  # fmt: skip
    inputs = {"space": record.id, "schema": schemas.SCHEMA_VERSION}
    commit_derived(world.files, TABLE, chunk, listed, inputs=inputs)


def measured(world, **changed):
    return measure_drift(world.files, settings(world, **changed), load_space(world.files)[0])


def test_divergence_by_hand():
    # Half a picture more each: (2, 2) of 4 against (1, 3) of 4.
    assert divergence(np.array([0.5, 2.5]), np.array([1.5, 1.5])) == pytest.approx(
        0.5 * log(0.5 / 0.25) + 0.5 * log(0.5 / 0.75)
    )
    assert divergence(np.array([3, 9]), np.array([3, 9])) == 0
    assert divergence(np.array([10, 0]), np.array([0, 10])) == pytest.approx((10.5 - 0.5) / 11 * log(10.5 / 0.5))


def test_chance_alone_is_no_drift():
    random = np.random.default_rng(1)
    shares = random.dirichlet(np.ones(500))
    old = random.multinomial(5000, shares)
    same = compare_spread(old, random.multinomial(300, shares))
    # Of 300 pictures in 500 concepts much is missing by chance: a divergence that says nothing.
    assert same.divergence > 0.3
    assert same.divergence == pytest.approx(same.expected, rel=0.2)
    assert same.excess == 0
    other = compare_spread(old, random.multinomial(300, shares[::-1]))
    assert other.divergence > other.limit > other.expected
    assert other.excess == pytest.approx(other.divergence - other.expected)
    assert other.excess > 0.5
    assert compare_spread(old, old) == compare_spread(old, old)


def test_how_many_are_far_by_chance():
    # Beyond the largest of n: 1 - 0.01 ** (1 / n) in 99 of 100 cases; beyond the 11th largest of 1,000 about 2 %.
    assert far_by_chance(24, 10**6) == pytest.approx(1 - 0.01 ** (1 / 24), abs=0.01)
    assert far_by_chance(1000, 10**6) == pytest.approx(0.02, abs=0.003)
    assert far_by_chance(500_000, 10**7) == pytest.approx(0.0103, abs=0.0003)
    assert far_by_chance(500_000, 100) == pytest.approx(0.04, abs=0.011)


def test_nothing_new_and_little_new_say_nothing(world):
    found = measured(world)
    assert (found.pictures, found.far, found.spread, found.reasons) == (0, 0, None, ())
    assert found.far_share == 0
    arrive(world, (20, 0, 0, 0), distance=1.9)
    found = measured(world)
    assert (found.pictures, found.far, found.spread) == (20, 20, None)
    assert found.reasons == ()


def test_like_what_was_there(world):
    sizes = load_space(world.files)[0].sizes
    arrive(world, [n * 3 for n in sizes])
    assert sum(sizes) * 3 < drift.FEWEST
    arrive(world, [n * 5 for n in sizes])
    found = measured(world)
    assert (found.pictures, found.far) == (120, 0)
    assert found.spread.divergence < 0.05
    assert found.reasons == ()


def test_pictures_that_lie_elsewhere(world):
    record, _ = load_space(world.files)
    arrive(world, [n * 5 for n in record.sizes])
    arrive(world, (4, 1, 1, 0), distance=record.far + 0.01, chunk=f"{DAYS[2]}-00000", prefix="far-")
    sampled = replace(record, sampled=100_000)  # of 24 alone nobody could say what is far
    found = measure_drift(world.files, settings(world), sampled)
    assert (found.pictures, found.far) == (126, 6)
    assert found.far_share == pytest.approx(6 / 126)
    assert found.reasons == (), "4.8 % are within 5 %"
    [reason] = measure_drift(world.files, settings(world, concept_drift_far=0.045), sampled).reasons
    assert reason == "6 of 126 new pictures lie farther from their centre than 99 % did"
    assert measured(world, concept_drift_far=0.04).reasons == ()


def test_pictures_that_spread_otherwise(world):
    arrive(world, (0, 0, 0, 110))
    [reason] = [r for r in measured(world).reasons if "spread" in r]
    assert "nats beyond chance" in reason
    assert not [r for r in measured(world, concept_drift_spread=9).reasons if "spread" in r]


def test_a_picture_that_comes_twice_counts_once(world):
    arrive(world, (30, 30, 30, 30))
    arrive(world, (30, 30, 30, 30), chunk=f"{DAYS[2]}-00000")
    assert measured(world).pictures == 120


def test_other_settings_another_encoder_and_growth(world):
    assert measured(world, concept_seed=1).reasons[0].startswith("the settings ask for {'components': 50")
    world.build(DAYS[1], *many(*range(1, 10)))
    build_image_features(world.files, NEXT, Corners("other-6@ba9876543210"))
    [reason] = measured(world).reasons
    assert reason == ("1 of 2 chunks have vectors of other-6@ba9876543210/1, not of corners-6@0123456789ab/1")
    build_image_features(world.files, NEXT, Corners())
    assert measured(world).reasons == ()

    record, _ = load_space(world.files)
    free = settings(world, concept_clusters=0)
    record = replace(record, settings={**record.settings, "clusters": 0})
    arrive(world, [6 * n for n in record.sizes])
    # 24 pictures then, 144 more now: 4 x the root of 168 is 51.8.
    assert measure_drift(world.files, free, record).reasons == ("4 concepts for 24 pictures; now 52 are due",)


def test_real_chunks(world):
    world.build(DAYS[1], *many(*range(1, 9), *range(20, 60)))
    encode(world)
    for chunk in (f"{DAYS[1]}-{n:05d}" for n in range(4)):
        build_concepts(world.files, chunk, *load_space(world.files))
    found = measured(world)
    assert found.pictures == 120
    assert found.reasons == (), found
