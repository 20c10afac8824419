"""Features per chunk: which rows there are, what is encoded again and what is taken over, failures, validity."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from biomedica_assets import schemas
from biomedica_assets.models import features
from biomedica_assets.models.encoders import EncoderError, ImageError, load_encoder
from biomedica_assets.models.features import build_caption_features, build_image_features, unfinished_features
from biomedica_assets.settings import Settings
from biomedica_assets.store import catalogue
from biomedica_assets.store.compaction import compact
from biomedica_assets.store.derived import read_derived, read_derived_manifest
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.tables import read_table
from biomedica_assets_tests.ingest.releases import DAYS, World, art, picture

pytestmark = pytest.mark.usefixtures("no_local_database")

CHUNK = f"{DAYS[0]}-00000"
NEXT = f"{DAYS[1]}-00000"


class Counting:
    """A stand-in: the vector of (first byte of the SHA-256, 1), made length 1; remembers what it was given."""

    texts = images = True
    dimensions = 2

    def __init__(self, name: str = "counting-2@0123456789ab") -> None:
        self.id, self.weights_sha256 = name, "0123456789ab" + "0" * 52
        self.given: list[bytes] = []

    def encode_texts(self, texts):
        return self._vectors([text.encode() for text in texts])

    def encode_images(self, images):
        errors = [ImageError(i, "DamagedImage", "cut short") for i, data in enumerate(images) if b"bad" in data]
        vectors = self._vectors(images)
        vectors[[error.index for error in errors]] = 0
        return vectors, errors

    def _vectors(self, items):
        self.given += items
        rows = np.array([[hashlib.sha256(item).digest()[0], 1] for item in items], np.float32).reshape(-1, 2)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def expected(data: bytes) -> list[float]:
    row = np.array([hashlib.sha256(data).digest()[0], 1], np.float32)
    return (row / np.linalg.norm(row)).astype(np.float16).tolist()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def rows(world, manifest):
    return read_table(world.files, manifest.file.path).to_pylist()


def settings(world, **changed):
    return Settings(**world.given | changed, _env_file=None)


def test_a_row_for_every_caption_that_has_words(world):
    group = b"""<article xmlns:xlink="http://www.w3.org/1999/xlink"><front><article-meta>
<article-id pub-id-type="pmcid-ver">PMC7.1</article-id></article-meta></front><body>
<fig-group id="g"><caption><p>Both lungs.</p></caption>
<fig id="a"><caption><p>The left one.</p></caption></fig><fig id="b"/></fig-group>
<fig id="c"><label>Figure 3</label></fig></body></article>"""
    world.build(DAYS[0], art(1), art(7).but(xml=group, files=()))
    encoder = Counting()
    manifest, skipped = build_caption_features(world.files, CHUNK, encoder)
    assert not skipped
    found = {row["figure_id"]: row for row in rows(world, manifest)}
    texts = {"PMC1.1/f1": "caption 1", "PMC1.1/f2": "caption 2", "PMC7.1/a": "The left one. Both lungs.",
             "PMC7.1/b": "Both lungs."}  # fmt: skip
    assert {figure: text for figure, text in texts.items() if figure in found} == texts
    assert "PMC7.1/c" not in found, "a figure without words has no row"
    for figure, text in texts.items():
        row = found[figure]
        assert row["vector"] == expected(text.encode()), figure
        assert row["sha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert (row["chunk"], row["encoder"]) == (CHUNK, encoder.id)
    assert manifest.counts["vectors"] == len(found)
    assert manifest.run["weights_sha256"] == encoder.weights_sha256


def test_a_row_for_every_image(world):
    world.build(DAYS[0], art(1), art(2, pictures=1))
    manifest, _ = build_image_features(world.files, CHUNK, Counting())
    found = {row["image_id"]: row for row in rows(world, manifest)}
    assert {name: row["vector"] for name, row in found.items()} == {
        "PMC1.1/f1/1": expected(picture(11)),
        "PMC1.1/f2/1": expected(picture(12)),
        "PMC2.1/f1/1": expected(picture(21)),
    }
    assert found["PMC2.1/f1/1"]["sha256"] == hashlib.sha256(picture(21)).hexdigest()
    assert manifest.counts == {"vectors": 3}
    table = read_table(world.files, manifest.file.path)
    assert str(table.schema.field("vector").type) == "list<element: halffloat>" or "halffloat" in str(table.schema)


def test_what_is_valid_is_not_done_again(world):
    world.build(DAYS[0], art(1))
    encoder = Counting()
    first, _ = build_image_features(world.files, CHUNK, encoder)
    again, skipped = build_image_features(world.files, CHUNK, encoder)
    assert skipped
    assert again == first
    assert len(encoder.given) == 2
    world.files.remove(first.file.path)
    lost, skipped = build_image_features(world.files, CHUNK, encoder)
    assert not skipped, "a file that is gone is made again"
    assert lost.file == first.file, "and is the same file"


def test_another_encoder_encodes_everything_anew(world):
    world.build(DAYS[0], art(1))
    build_image_features(world.files, CHUNK, Counting())
    other = Counting("other-2@ffffffffffff")
    manifest, skipped = build_image_features(world.files, CHUNK, other)
    assert not skipped
    assert len(other.given) == 2
    assert {row["encoder"] for row in rows(world, manifest)} == {other.id}


def test_a_new_version_of_the_code_encodes_everything_anew(world, monkeypatch):
    world.build(DAYS[0], art(1))
    build_caption_features(world.files, CHUNK, Counting())
    monkeypatch.setattr(features, "FEATURES_VERSION", "next")
    encoder = Counting()
    build_caption_features(world.files, CHUNK, encoder)
    assert encoder.given == [b"caption 1", b"caption 2"]


def test_unchanged_images_of_a_changed_article_are_taken_over(world):
    """The second release changes one of two pictures; the other one's bytes stay in the first chunk's shard."""
    world.build(DAYS[0], art(1), art(2))
    build_image_features(world.files, CHUNK, Counting())
    changed = art(1, title="A better title").with_file("f2.png", picture(99))
    world.build(DAYS[1], changed, art(2))
    encoder = Counting()
    manifest, _ = build_image_features(world.files, NEXT, encoder)
    assert encoder.given == [picture(99)]
    assert {row["image_id"]: row["vector"] for row in rows(world, manifest)} == {
        "PMC1.1/f1/1": expected(picture(11)),
        "PMC1.1/f2/1": expected(picture(99)),
    }
    assert manifest.counts == {"reused": 1, "vectors": 2}
    fresh, _ = build_image_features(world.files, NEXT, other := Counting("other-2@ffffffffffff"))
    assert len(other.given) == 2, "vectors of another encoder are never taken over"
    assert fresh.counts == {"vectors": 2}


def test_a_large_chunk_is_not_read_for_one_image(world, monkeypatch):
    monkeypatch.setattr(features, "ROWS_PER_IMAGE", 1)
    world.build(DAYS[0], art(1), art(2))
    build_image_features(world.files, CHUNK, Counting())
    world.build(DAYS[1], art(1, title="A better title"), art(2))
    encoder = Counting()
    manifest, _ = build_image_features(world.files, NEXT, encoder)
    assert len(encoder.given) == 2, "two images are wanted, four rows would be read"
    assert manifest.counts == {"vectors": 2}


def test_a_chunk_whose_table_changed_keeps_the_vectors_it_has(world):
    """Compaction moves the bytes, so the table of images is another; nothing is encoded again."""
    world.build(DAYS[0], art(1), art(2))
    before, _ = build_image_features(world.files, CHUNK, Counting())
    world.build(DAYS[1], art(2))  # removes PMC1
    world.build(DAYS[2], art(2))
    world.build(DAYS[3], art(2))
    compact(world.files, dead_share=0, confirm_releases=1)
    assert unfinished_features(world.files, settings(world))[0] == CHUNK
    encoder = Counting()
    after, skipped = build_image_features(world.files, CHUNK, encoder)
    assert not skipped
    assert encoder.given == []
    kept = {row["image_id"]: row["vector"] for row in rows(world, before)}
    assert {row["image_id"]: row["vector"] for row in rows(world, after)} == {
        name: vector for name, vector in kept.items() if name.startswith("PMC2.1/")
    }


def test_what_cannot_be_decoded_is_listed_and_the_rest_goes_on(world):
    broken = picture(5)[:-20] + b"bad"
    world.build(DAYS[0], art(1).with_file("f1.png", broken))
    manifest, _ = build_image_features(world.files, CHUNK, Counting())
    assert [row["image_id"] for row in rows(world, manifest)] == ["PMC1.1/f2/1"]
    assert manifest.counts == {"DamagedImage": 1, "vectors": 1}
    assert manifest.run["failures"] == [{"object": "PMC1.1/f1/1", "error": "DamagedImage", "message": "cut short"}]


def test_an_encoder_of_the_wrong_kind_and_a_chunk_that_is_not_there(world):
    world.build(DAYS[0], art(1))
    blind = Counting()
    blind.images = False
    with pytest.raises(EncoderError, match="does not encode what image_features needs"):
        build_image_features(world.files, CHUNK, blind)
    with pytest.raises(StoreError, match="is not committed"):
        build_caption_features(world.files, NEXT, Counting())
    assert read_derived(world.files, "image_features") == {}


def test_a_chunk_without_figures_has_an_empty_file(world):
    world.build(DAYS[0], art(1, pictures=0))
    for build, table in ((build_caption_features, "caption_features"), (build_image_features, "image_features")):
        manifest, _ = build(world.files, CHUNK, Counting())
        assert manifest.counts == {}
        assert rows(world, manifest) == []
        assert read_table(world.files, manifest.file.path).schema.names == list(schemas.DERIVED_TABLES[table].names)


def test_unfinished_is_what_lacks_vectors_of_the_encoder_asked_for(world):
    world.build(DAYS[0], art(1))
    given = settings(world)
    assert unfinished_features(world.files, given) == [CHUNK]
    build_caption_features(world.files, CHUNK, Counting(), asked="wordllama")
    assert unfinished_features(world.files, given) == [CHUNK], "the images are missing"
    build_image_features(world.files, CHUNK, Counting(), asked="efficientnet-lite0")
    assert unfinished_features(world.files, given) == []
    assert unfinished_features(world.files, settings(world, text_encoder="minilm")) == [CHUNK]
    clip = {"image_encoder": "open_clip:ViT-B-32", "encoder_weights": "/w.pt"}
    build_image_features(world.files, CHUNK, Counting(), asked="open_clip:ViT-B-32 /w.pt")
    assert unfinished_features(world.files, settings(world, **clip)) == []
    assert unfinished_features(world.files, settings(world, **clip | {"encoder_weights": "/v.pt"})) == [CHUNK]
    world.build(DAYS[1], art(1, title="A better title"))
    assert unfinished_features(world.files, settings(world, **clip)) == [NEXT]


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_batches_change_nothing(world, monkeypatch, size):
    world.build(DAYS[0], art(1), art(2))
    whole, _ = build_image_features(world.files, CHUNK, Counting())
    texts, _ = build_caption_features(world.files, CHUNK, Counting())
    for table in ("image_features", "caption_features"):
        world.files.remove(f"derived/{table}/{CHUNK}.json")
    monkeypatch.setattr(features, "BATCH", size)
    monkeypatch.setattr(features, "BATCH_BYTES", size)
    assert build_image_features(world.files, CHUNK, Counting())[0].file == whole.file
    assert build_caption_features(world.files, CHUNK, Counting())[0].file == texts.file


def test_with_the_default_encoders_duckdb_reads_the_vectors(world):
    world.build(DAYS[0], art(1), art(2))
    build_caption_features(world.files, CHUNK, load_encoder("wordllama"))
    build_image_features(world.files, CHUNK, load_encoder("efficientnet-lite0"))
    catalogue.build_generation(world.files)
    for table, dimensions in (("caption_features", 256), ("image_features", 1280)):
        counted = world.sql(
            f"SELECT count(*), min(len(vector)), max(len(vector)),"
            f" max(abs(list_dot_product(vector, vector) - 1)) < 0.01 FROM {table}"
        )
        assert counted == [(4, dimensions, dimensions, True)]
    world.build(DAYS[1], art(2))
    catalogue.build_generation(world.files)
    assert world.sql("SELECT DISTINCT article_id FROM image_features") == [("PMC2.1",)], "removed: not current"
    assert read_derived_manifest(world.files, "image_features", CHUNK).file.rows == 4
