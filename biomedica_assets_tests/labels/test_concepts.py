"""Concepts of a small store: the sample, chunks one by one, what makes them anew, snapshots and garbage."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from biomedica_assets import schemas
from biomedica_assets.labels import fitting
from biomedica_assets.labels.concepts import build_concepts, concepts_of, unfinished_concepts
from biomedica_assets.labels.fitting import TooFewPicturesError, ensure_space
from biomedica_assets.labels.space import POINTER, load_space, read_space_record
from biomedica_assets.models.features import build_image_features
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import read_derived, read_derived_manifest
from biomedica_assets.store.garbage import collect_garbage
from biomedica_assets.store.manifests import StoreError, read_chunk_manifests
from biomedica_assets.store.snapshots import create_snapshot, restore_snapshot, verify_snapshot
from biomedica_assets.store.tables import read_table
from biomedica_assets_tests.ingest.releases import DAYS, World, art, picture

pytestmark = pytest.mark.usefixtures("no_local_database")

CHUNK, NEXT = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"


class Corners:
    """A stand-in: a picture's vector is near one of four corners, which one its SHA-256 says."""

    texts, images, dimensions = False, True, 6

    def __init__(self, name: str = "corners-6@0123456789ab") -> None:
        self.id, self.weights_sha256 = name, "0123456789ab" + "0" * 52

    def encode_images(self, images):
        rows = np.array([[*np.eye(4)[corner(d)] * 4, *hashlib.sha256(d).digest()[1:3]] for d in images], np.float32)
        rows[:, 4:] /= 500
        return rows / np.linalg.norm(rows, axis=1, keepdims=True), []


def corner(data: bytes) -> int:
    return hashlib.sha256(data).digest()[0] % 4


@pytest.fixture
def make(tmp_path):
    def world(name="world", **given):
        return World(tmp_path / name, **given)

    return world


@pytest.fixture
def world(make):
    return make()


def settings(world, **changed):
    return Settings(**world.given | {"concept_clusters": 4} | changed, _env_file=None)


def encode(world, encoder=None):
    for chunk in read_chunk_manifests(world.files):
        build_image_features(world.files, chunk, encoder or Corners())


def assign(world):
    """Assign what is unfinished; the chunks that it was."""
    record, space = load_space(world.files)
    unfinished = unfinished_concepts(world.files, record)
    for chunk in unfinished:
        build_concepts(world.files, chunk, record, space)
    return unfinished


def rows(world, *chunks):
    made = read_derived(world.files, "concepts")
    return [row for chunk in chunks or made for row in read_table(world.files, made[chunk].file.path).to_pylist()]


def many(*pmcids):
    return [art(pmcid, pictures=3) for pmcid in pmcids]


def test_pictures_of_a_corner_share_a_concept(world):
    world.build(DAYS[0], *many(*range(1, 9)))
    encode(world)
    record, fitted = ensure_space(world.files, settings(world))
    assert fitted
    assert (record.concepts, record.pictures, record.sampled) == (4, 24, 24)
    assert assign(world) == [CHUNK]
    corners = {hashlib.sha256(picture(p * 10 + n)).hexdigest(): corner(picture(p * 10 + n))
               for p in range(1, 9) for n in range(1, 4)}  # fmt: skip
    found = rows(world)
    assert len({(corners[row["sha256"]], row["concept"]) for row in found}) == 4
    assert len(found) == 24
    for row in found:
        assert row["space"] == record.id
        assert 0 <= row["distance"] < 0.5 < row["margin"]
        assert row["image_id"].startswith(f"{row['figure_id']}/")
    sizes = np.bincount(list(corners.values()), minlength=4)
    assert record.sizes == sorted(sizes.tolist(), reverse=True)
    counts = read_derived_manifest(world.files, "concepts", CHUNK).counts
    assert counts["images"] == 24
    assert counts["far"] == sum(row["distance"] > record.far for row in found)


def test_equal_bytes_and_what_is_not_current_count_once_or_not_at_all(world):
    same = [art(p, pictures=2).with_file("f2.png", picture(999)) for p in (1, 2, 3, 4)]
    world.build(DAYS[0], *same, art(5, pictures=3))
    world.build(DAYS[1], *same)  # 5 is gone
    encode(world)
    record, _ = ensure_space(world.files, settings(world))
    assert (record.pictures, record.sampled) == (5, 5)
    assert assign(world) == [CHUNK, NEXT]
    assert len(rows(world, CHUNK)) == 11, "rows of the past have a concept too, as every row of image_features"


def test_the_space_depends_neither_on_chunks_nor_on_their_order(make):
    """The same 24 pictures in one chunk, in eight, and listed by two releases in the other order."""
    worlds = [make("one"), make("eight", chunk_size=1), make("later")]
    worlds[0].build(DAYS[0], *many(*range(1, 9)))
    worlds[1].build(DAYS[0], *many(*range(1, 9)))
    worlds[2].build(DAYS[0], *many(5, 6, 7, 8))
    worlds[2].build(DAYS[1], *many(*range(1, 9)))
    found, assigned = [], []
    for world in worlds:
        encode(world)
        record, _ = ensure_space(world.files, settings(world, concept_sample=15))
        assert (record.pictures, record.sampled) == (24, 15)
        found.append((record.id, record.sizes, record.far, record.kept))
        assign(world)
        names = ("image_id", "sha256", "space", "concept", "distance", "margin")
        assigned.append(sorted(tuple(row[name] for name in names) for row in rows(world)))
    assert [len(read_derived(world.files, "concepts")) for world in worlds] == [1, 8, 2]
    assert found[0] == found[1] == found[2]
    assert assigned[0] == assigned[1] == assigned[2]
    assert (
        ensure_space(worlds[0].files, settings(worlds[0], concept_sample=15, concept_seed=9), refit=True)[0].id
        != found[0][0]
    ), "another seed takes another sample"


def test_the_sample_is_the_smallest_hashes(world):
    world.build(DAYS[0], *many(1, 2, 3))
    encode(world)
    features = read_derived(world.files, "image_features")
    folder = world.root / "scratch"
    folder.mkdir()
    count, sample = fitting._sample(world.files, features, folder, 4, 7)
    shas = [hashlib.sha256(picture(p * 10 + n)).hexdigest() for p in (1, 2, 3) for n in (1, 2, 3)]
    assert count == 9
    assert sample == sorted(shas, key=lambda sha: hashlib.md5(f"{sha}/7".encode()).hexdigest())[:4]


def test_a_space_is_kept_until_somebody_asks_for_another(world):
    world.build(DAYS[0], *many(1, 2, 3, 4))
    encode(world)
    first, _ = ensure_space(world.files, settings(world))
    world.build(DAYS[1], *many(*range(1, 9)))
    encode(world)
    kept, fitted = ensure_space(world.files, settings(world, concept_clusters=3))
    assert (kept, fitted) == (first, False)
    anew, fitted = ensure_space(world.files, settings(world, concept_clusters=3), refit=True)
    assert fitted
    assert (anew.concepts, anew.pictures, set(anew.chunks)) == (3, 24, {CHUNK, NEXT})
    assert read_space_record(world.files, first.id) == first


def test_a_new_chunk_is_the_only_one_assigned(world):
    world.build(DAYS[0], *many(1, 2, 3, 4))
    encode(world)
    record, _ = ensure_space(world.files, settings(world))
    assert assign(world) == [CHUNK]
    assert assign(world) == []
    before = world.files.read(f"derived/concepts/{CHUNK}.json")
    world.build(DAYS[1], *many(*range(1, 6)))
    assert unfinished_concepts(world.files, record) == [], "it has no vectors yet"
    encode(world)
    assert assign(world) == [NEXT]
    assert {row["article_id"] for row in rows(world, NEXT)} == {"PMC5.1"}
    assert world.files.read(f"derived/concepts/{CHUNK}.json") == before
    made, skipped = build_concepts(world.files, CHUNK, *load_space(world.files))
    assert skipped
    assert made == read_derived_manifest(world.files, "concepts", CHUNK)
    ensure_space(world.files, settings(world, concept_seed=5, concept_clusters=2), refit=True)
    assert assign(world) == [CHUNK, NEXT], "another space assigns all"
    assert set(concepts_of(world.files, load_space(world.files)[0])) == {CHUNK, NEXT}
    assert concepts_of(world.files, record) == {}


def test_what_is_missing_is_said_with_what_to_do(world):
    with pytest.raises(TooFewPicturesError, match="materialize `image_features`"):
        ensure_space(world.files, settings(world))
    world.build(DAYS[0], art(1, pictures=3))
    encode(world)
    with pytest.raises(TooFewPicturesError, match="3 current pictures, a concept space needs 4"):
        ensure_space(world.files, settings(world))
    world.build(DAYS[1], *many(1, 2, 3))
    with_features = CHUNK
    build_image_features(world.files, NEXT, Corners())
    record, _ = ensure_space(world.files, settings(world))
    world.build(DAYS[2], *many(1, 2, 3, 4))
    with pytest.raises(StoreError, match=f"{DAYS[2]}-00000 has no vectors of images: materialize `image_features`"):
        build_concepts(world.files, f"{DAYS[2]}-00000", *load_space(world.files))
    build_image_features(world.files, with_features, Corners("other-6@ba9876543210"))
    with pytest.raises(StoreError, match=r"of other-6@ba9876543210/1, the concept space of corners-6@0123456789ab/1"):
        build_concepts(world.files, with_features, *load_space(world.files))
    assert unfinished_concepts(world.files, record) == [NEXT]


def test_the_encoder_with_most_vectors_counts(world):
    world.build(DAYS[0], *many(1, 2))
    world.build(DAYS[1], *many(1, 2, 3, 4, 5))
    build_image_features(world.files, CHUNK, Corners("other-6@ba9876543210"))
    build_image_features(world.files, NEXT, Corners())
    record, _ = ensure_space(world.files, settings(world))
    assert (record.encoder, record.pictures, set(record.chunks)) == ("corners-6@0123456789ab", 9, {NEXT})


def test_shards_and_other_tables_stay_as_they_are(world):
    world.build(DAYS[0], *many(1, 2, 3))
    encode(world)

    def others():
        own = ("concepts/", "derived/concepts/", "tables/concepts/", "catalogue", "garbage")
        return {path: world.files.read(path) for path, _ in world.files.list() if not path.startswith(own)}

    before = others()
    ensure_space(world.files, settings(world))
    assign(world)
    ensure_space(world.files, settings(world, concept_seed=3), refit=True)
    assign(world)
    assert others() == before


def test_snapshots_hold_their_space_and_garbage_collection_spares_it(world):
    world.build(DAYS[0], *many(1, 2, 3, 4))
    encode(world)
    first, _ = ensure_space(world.files, settings(world))
    assign(world)
    kept = rows(world)
    snapshot = create_snapshot(world.files, "one")
    assert first.file.path in snapshot.files
    assert schemas.CONCEPTS.name in snapshot.derived
    second, _ = ensure_space(world.files, settings(world, concept_clusters=2), refit=True)
    assign(world)
    collect_garbage(world.files, now=0, grace_seconds=0)
    collect_garbage(world.files, now=1, grace_seconds=0)
    assert not verify_snapshot(world.files, "one", contents=True).wrong
    assert load_space(world.files)[0] == second
    assert load_space(world.files, first.id)[0] == first

    restore_snapshot(world.files, "one")
    assert load_space(world.files)[0] == first
    assert rows(world) == kept
    assert unfinished_concepts(world.files, first) == []


def test_restoring_a_state_before_there_was_a_space_leaves_none(world):
    world.build(DAYS[0], *many(1, 2, 3, 4))
    encode(world)
    create_snapshot(world.files, "before")
    ensure_space(world.files, settings(world))
    assign(world)
    restore_snapshot(world.files, "before")
    assert not world.files.exists(POINTER)
    assert read_derived(world.files, "concepts") == {}
