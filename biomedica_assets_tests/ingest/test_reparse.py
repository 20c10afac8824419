"""A chunk made again by new code: no request, no image bytes; and never less than there was."""

from __future__ import annotations

import pytest

from biomedica_assets.ingest import article as article_room
from biomedica_assets.ingest import inputs
from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.jats import parse_article
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.shards import read_image
from biomedica_assets_tests.ingest.releases import DAYS, World, art, data_files, picture

FIRST = f"{DAYS[0]}-00000"


@pytest.fixture
def newer_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "PARSER_VERSION", "changed")


def mixed() -> list:
    """Articles of every outcome that is held."""
    return [
        art(1),
        art(2, fields={"is_retracted": True}),
        art(3, licence="TDM"),
        art(4, absent=True),
        art(5, xml=b"<html><body>not an article</body></html>"),
        art(6).with_file("f2.png", b"<html>not a picture</html>"),
        art(7, pictures=0),
    ]


def test_re_parse_makes_no_request_and_writes_no_shard(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.build(DAYS[0], *mixed()[:5], art(7, pictures=0))
    before, files = world.manifest(FIRST), data_files(world.files)
    assert before.outcomes == {"absent": 1, "collected": 2, "failed": 1, "gated:tdm": 1, "retracted": 1}
    old = {row["image_id"]: row for row in world.rows("images")}
    monkeypatch.setattr(inputs, "PARSER_VERSION", "changed")
    monkeypatch.setattr(article_room, "PARSER_VERSION", "changed")
    assert world.build() == {}
    after = world.manifest(FIRST)
    assert after.input_hash != before.input_hash
    assert after.run["requests"] == 0
    assert (after.outcomes, after.shards) == (before.outcomes, before.shards)
    # `articles` names the parser: a new file. All else is the same content under the same name.
    assert {name for name in after.tables if after.tables[name] != before.tables[name]} == {"articles"}
    assert world.sql("SELECT DISTINCT parser_version FROM articles") == [("changed",)]
    images = {row["image_id"]: row for row in world.rows("images")}
    assert images == old
    assert [read_image(world.files, row) for row in images.values()] == [picture(11), picture(12)]
    kept = data_files(world.files)
    assert {path: kept[path] for path in files if not path.startswith("catalogue/")} == {
        path: digest for path, digest in files.items() if not path.startswith("catalogue/")
    }


def test_re_parse_does_not_ask_again_for_what_was_not_to_be_had(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file is no picture, another is listed and not there: known since the first pass, and still recorded."""
    world.build(DAYS[0], *mixed(), art(8).with_file("f1.png", None))
    before = world.rows("failures")
    assert {row["error"] for row in before} >= {"NotAnImage", "Absent"}
    monkeypatch.setattr(inputs, "PARSER_VERSION", "changed")
    assert world.build() == {}
    assert world.rows("failures") == before


def test_damaged_pictures_stay_known_as_damaged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their failure is said again by every chunk that holds them: from their bytes in the shard, without a request."""
    damaged = art(1).with_file("f1.png", picture(5, "JPEG", (400, 300))[:900]).with_file("f2.png", picture(6))
    world.build(DAYS[0], damaged, max_pixels=300)
    failures = world.failures()
    assert {(name, stage) for _, name, stage, _ in failures} == {("PMC1.1/f1.png", "image"), ("PMC1.1/f2.png", "image")}
    assert world.build(max_pixels=301) == {}  # 24 x 16 pixels are still too many
    assert world.failures(FIRST) == failures
    assert world.build(max_pixels=10**6) == {}
    assert {name for _, name, _, _ in world.failures(FIRST)} == {"PMC1.1/f1.png"}
    hashes = dict(world.sql("SELECT file_name, perceptual_hash IS NOT NULL FROM images"))
    assert hashes == {"f1.png": False, "f2.png": True}
    assert world.build(DAYS[1], damaged.but(title="new").with_file("f2.png", picture(6)), max_pixels=10**6) == {
        "metadata/PMC1.1.json": 1,
        "PMC1.1/PMC1.1.xml": 1,
    }
    assert world.sql("SELECT object, stage FROM open_failures") == [("PMC1.1/f1.png", "image")]


def test_re_parse_of_a_second_chunk_keeps_borrowed_spans(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.build(DAYS[0], art(1), art(2))
    world.build(DAYS[1], art(1).with_file("f2.png", picture(500)), art(2))
    before = {chunk: world.manifest(chunk) for chunk in (FIRST, f"{DAYS[1]}-00000")}
    spans = world.sql("SELECT * FROM sample_index ORDER BY image_id")
    monkeypatch.setattr(inputs, "PARSER_VERSION", "changed")
    assert world.build() == {}
    for chunk, manifest in before.items():
        assert world.manifest(chunk).shards == manifest.shards
        assert world.manifest(chunk).tables == manifest.tables
    assert world.sql("SELECT * FROM sample_index ORDER BY image_id") == spans


def test_re_parse_out_of_order_and_one_chunk_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.build(DAYS[0], art(1), art(2))
    world.build(DAYS[1], art(1, caption="new"), art(2))
    files = data_files(world.files)
    monkeypatch.setattr(inputs, "PARSER_VERSION", "changed")
    assert world.server
    world.server.forget()
    for chunk in (f"{DAYS[1]}-00000", FIRST):
        ingest_chunk(world.workspace(), chunk)
        build_generation(world.files)
        assert world.sql("SELECT text FROM captions WHERE article_id = 'PMC1.1' ORDER BY 1") == [("new 1",), ("new 2",)]
    assert world.asked() == {}
    assert data_files(world.files) == files


def test_re_parse_after_the_source_lost_the_article(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture failed the first time; when the article has gone since, what is held stays."""
    world.build(DAYS[0], art(1).with_file("f2.png", None), art(2))
    world.release(DAYS[1], art(2))
    monkeypatch.setattr(inputs, "PARSER_VERSION", "changed")
    world.ingest()
    assert world.outcomes(FIRST) == {"PMC1.1": "collected", "PMC2.1": "collected"}
    assert [row["file_name"] for row in world.rows("images", FIRST)] == ["f1.png", "f1.png", "f2.png"]
    assert world.failures(FIRST) == {("PMC1.1", "PMC1.1/f2.png", "fetch", "Absent")}


def test_a_parser_that_breaks_never_takes_away_what_is_committed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.build(DAYS[0], art(1), art(2))
    before = world.manifest(FIRST)

    def broken(data: bytes, article_id: str | None = None) -> object:
        if b"PMC2" in data:
            raise TypeError("no such thing")
        return parse_article(data, article_id)

    monkeypatch.setattr(inputs, "PARSER_VERSION", "broken")
    monkeypatch.setattr(article_room, "parse_article", broken)
    with pytest.raises(TypeError, match="no such thing") as raised:
        world.ingest()
    assert "while working on PMC2.1" in raised.value.__notes__[0]
    assert world.manifest(FIRST) == before


def test_a_parser_that_breaks_costs_a_new_version_only_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes, article_id: str | None = None) -> object:
        if b"PMC2" in data:
            raise TypeError("no such thing")
        return parse_article(data, article_id)

    with monkeypatch.context() as patch:
        patch.setattr(article_room, "parse_article", broken)
        world.build(DAYS[0], art(1), art(2))
    assert world.outcomes() == {"PMC1.1": "collected", "PMC2.1": "failed"}
    assert world.failures() == {("PMC2.1", "PMC2.1/PMC2.1.xml", "parse", "TypeError")}
    monkeypatch.setattr(inputs, "PARSER_VERSION", "mended")
    assert world.build() == {"PMC2.1/f1.png": 1, "PMC2.1/f2.png": 1}  # metadata and XML were held
    assert world.outcomes() == {"PMC1.1": "collected", "PMC2.1": "collected"}
    assert world.sql("SELECT count(*) FROM open_failures") == [(0,)]


def test_missing_files_of_a_committed_chunk_are_made_anew(world: World) -> None:
    world.build(DAYS[0], art(1), art(2))
    files = data_files(world.files)
    for path in (world.manifest(FIRST).tables["captions"].path, world.manifest(FIRST).shards[0].path):
        world.files.remove(path)
        _manifest, skipped = ingest_chunk(world.workspace(), FIRST)
        assert not skipped
        assert data_files(world.files) == files
    assert ingest_chunk(world.workspace(), FIRST)[1]
