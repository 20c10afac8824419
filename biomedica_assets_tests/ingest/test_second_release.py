"""The second release and those after it: only changes are fetched, and readers see the right state at every moment."""

from __future__ import annotations

import pytest

from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.listing import ReleaseHeldError, list_release
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets_tests.ingest.releases import DAYS, World, art, picture

FIRST = f"{DAYS[0]}-00000"
SECOND = f"{DAYS[1]}-00000"
VIEWS = ("current", "articles", "paragraphs", "figures", "captions", "mentions", "images", "objects", "samples")


def seen(world: World, article_id: str) -> dict[str, int]:
    """Rows of the article in every view that readers use."""
    query = " UNION ALL ".join(
        f"SELECT '{view}', count(*) FROM {view} WHERE article_id = '{article_id}'" for view in (*VIEWS, "sample_index")
    )
    return dict(world.sql(query))


def test_first_load_asks_for_each_object_once(world: World) -> None:
    asked = world.build(DAYS[0], art(1), art(2))
    assert asked == {
        f"{key}": 1
        for n in (1, 2)
        for key in (f"metadata/PMC{n}.1.json", f"PMC{n}.1/PMC{n}.1.xml", f"PMC{n}.1/f1.png", f"PMC{n}.1/f2.png")
    }
    assert world.manifest(FIRST).outcomes == {"collected": 2}
    assert world.build() == {}  # nothing new: no request


def test_licence_change_costs_one_json_request_and_no_image_bytes(world: World) -> None:
    world.build(DAYS[0], art(1), art(2))
    shards = world.shards()
    asked = world.build(DAYS[1], art(1, licence="CC BY-NC"), art(2))
    # The JSON alone states the licence here: the XML is unchanged and held.
    assert asked == {"metadata/PMC1.1.json": 1}
    assert world.shards() == shards
    assert world.sql("SELECT article_id, licence_code FROM articles ORDER BY 1") == [
        ("PMC1.1", "CC BY-NC"),
        ("PMC2.1", "CC BY"),
    ]
    assert {row[0] for row in world.sql("SELECT licence_group FROM sample_index WHERE pmcid = 1")} == {"noncommercial"}
    assert world.manifest(SECOND).own_shards == []
    assert [shard.path for shard in world.manifest(SECOND).shards] == [f"shards/{name}" for name in shards]


def test_title_change_costs_one_json_and_one_xml_request(world: World) -> None:
    world.build(DAYS[0], art(1), art(2))
    shards = world.shards()
    asked = world.build(DAYS[1], art(1, title="Another title"), art(2))
    assert asked == {"metadata/PMC1.1.json": 1, "PMC1.1/PMC1.1.xml": 1}
    assert world.shards() == shards
    assert world.sql("SELECT title FROM articles WHERE pmcid = 1") == [("Another title",)]
    images = world.sql("SELECT file_name, shard FROM images WHERE article_id = 'PMC1.1' ORDER BY 1")
    assert images == [("f1.png", f"shards/{next(iter(shards))}"), ("f2.png", f"shards/{next(iter(shards))}")]


def test_changed_figure_fetches_that_picture_only(world: World) -> None:
    first = art(1, pictures=3)
    world.build(DAYS[0], first, art(2))
    asked = world.build(DAYS[1], first.with_file("f2.png", picture(999)), art(2))
    assert asked == {"metadata/PMC1.1.json": 1, "PMC1.1/f2.png": 1}
    chunk = dict(world.sql("SELECT file_name, shard FROM images WHERE article_id = 'PMC1.1'"))
    assert chunk["f1.png"] == chunk["f3.png"] != chunk["f2.png"]
    assert chunk["f2.png"].startswith(f"shards/{SECOND}")
    assert [shard.rows for shard in world.manifest(SECOND).own_shards] == [1]


def test_added_figure_fetches_xml_and_that_picture(world: World) -> None:
    world.build(DAYS[0], art(1, pictures=1))
    asked = world.build(DAYS[1], art(1, pictures=2))
    assert asked == {"metadata/PMC1.1.json": 1, "PMC1.1/PMC1.1.xml": 1, "PMC1.1/f2.png": 1}


def test_renamed_file_with_the_same_bytes_is_another_file(world: World) -> None:
    first = art(1, pictures=1)
    world.build(DAYS[0], first)
    world.build(DAYS[1], first.but(files=(("other.png", first.files[0][1]),)))
    assert world.sql("SELECT file_name, sample_key FROM images") == [("other.png", "PMC1-1-other_2Epng")]


@pytest.mark.parametrize("how", ["removed", "retracted", "gated:tdm", "gated:not_open_access"])
def test_what_may_not_be_served_is_out_of_every_view(world: World, how: str) -> None:
    world.build(DAYS[0], art(1), art(2))
    assert set(seen(world, "PMC1.1").values()) >= {1, 2}
    changes = {
        "removed": [],
        "retracted": [art(1, fields={"is_retracted": True})],
        "gated:tdm": [art(1, licence="TDM")],
        "gated:not_open_access": [art(1, fields={"is_pmc_openaccess": False})],
    }
    asked = world.build(DAYS[1], *changes[how], art(2))
    assert asked == ({} if how == "removed" else {"metadata/PMC1.1.json": 1})
    assert set(seen(world, "PMC1.1").values()) == {0}
    assert set(seen(world, "PMC2.1").values()) == {1, 2}
    assert world.outcomes()["PMC1.1"] == how


def test_a_retracted_published_version_takes_its_manuscript_along(world: World) -> None:
    manuscript = art(1, fields={"is_manuscript": True})
    world.build(DAYS[0], manuscript, art(1, version=2))
    assert world.sql("SELECT article_id FROM current") == [("PMC1.2",)]
    world.build(DAYS[1], manuscript, art(1, version=2, fields={"is_retracted": True}))
    assert world.sql("SELECT article_id FROM current") == []
    world.build(DAYS[2], manuscript, art(1, version=2))
    assert world.sql("SELECT article_id FROM current") == [("PMC1.2",)]


def test_old_row_serves_until_the_new_chunk_is_committed_and_removals_count_at_once(world: World) -> None:
    world.build(DAYS[0], art(1, caption="old"), art(2))
    world.release(DAYS[1], art(1, caption="new"))
    captions = "SELECT text FROM captions WHERE article_id = 'PMC1.1' ORDER BY 1"
    workspace = world.workspace()
    list_release(workspace)
    assert world.sql(captions) == [("old 1",), ("old 2",)]
    assert world.sql("SELECT DISTINCT article_id FROM samples") == [("PMC1.1",)]
    build_generation(world.files)
    assert world.sql(captions) == [("old 1",), ("old 2",)]
    ingest_chunk(workspace, SECOND)
    assert world.sql(captions) == [("old 1",), ("old 2",)]  # a generation is one state
    build_generation(world.files)
    assert world.sql(captions) == [("new 1",), ("new 2",)]
    assert world.sql("SELECT DISTINCT article_id FROM samples") == [("PMC1.1",)]


def test_re_appearance_uses_what_is_held(world: World) -> None:
    world.build(DAYS[0], art(1), art(2))
    shards = world.shards()
    world.build(DAYS[1], art(2))
    assert set(seen(world, "PMC1.1").values()) == {0}
    asked = world.build(DAYS[2], art(1), art(2))
    assert asked == {}  # the same change token: metadata, XML and pictures are held
    assert world.shards() == shards
    assert seen(world, "PMC1.1")["images"] == 2
    assert world.outcomes(f"{DAYS[2]}-00000") == {"PMC1.1": "collected"}


def test_pictures_survive_a_time_out_of_reach(world: World) -> None:
    """Retracted, then out of scope, then failed, then back: the spans of the first chunk serve again."""
    first = art(1)
    world.build(DAYS[0], first)
    shards = world.shards()
    world.build(DAYS[1], first.but(fields={"is_retracted": True}))
    world.build(DAYS[2], first.but(licence="CC BY-NC"), scope={"licence_groups": ["commercial"]})
    world.build(DAYS[3], first.but(xml=b"<html/>"))
    assert [world.outcomes(f"{day}-00000")["PMC1.1"] for day in DAYS[1:4]] == ["retracted", "out_of_scope", "failed"]
    asked = world.build(DAYS[4], first.but(title="Back"))
    assert asked == {"metadata/PMC1.1.json": 1, "PMC1.1/PMC1.1.xml": 1}
    assert world.shards() == shards
    assert seen(world, "PMC1.1")["images"] == 2


def test_a_change_that_is_held_already_is_no_work(world: World) -> None:
    """The objects were newer than their inventory: the next inventory lists what was fetched."""
    world.release(DAYS[0], art(1, caption="old"), art(2))
    world.list()
    world.release(DAYS[1], art(1, caption="new"), art(2))
    world.ingest()
    build_generation(world.files)
    assert world.sql("SELECT text FROM captions WHERE article_id = 'PMC1.1' ORDER BY 1") == [("new 1",), ("new 2",)]
    assert world.build() == {}
    assert world.outcomes(SECOND) == {"PMC1.1": "superseded"}
    assert world.sql("SELECT chunk FROM current WHERE pmcid = 1") == [(FIRST,)]
    assert world.build(DAYS[2], art(1, caption="newest"), art(2)) == {"metadata/PMC1.1.json": 1, "PMC1.1/PMC1.1.xml": 1}


def test_a_change_that_is_held_but_for_a_picture_fetches_the_picture(world: World) -> None:
    assert world.server
    world.release(DAYS[0], art(1))
    world.list()
    world.release(DAYS[1], art(1, caption="new"))
    world.server.fail(r"PMC1\.1/f2\.png", 503)
    world.ingest()
    world.server.heal()
    assert world.manifest(FIRST).retry == [
        {"listed_id": "PMC1.1", "etag": world.rows("versions")[0]["listed_etag"], "attempts": 0}
    ]
    assert world.build() == {"PMC1.1/f2.png": 1}
    assert seen(world, "PMC1.1")["images"] == 2


def test_held_release_changes_nothing_until_approved(world: World) -> None:
    articles = [art(n, pictures=1) for n in range(1, 7)]
    world.build(DAYS[0], *articles)
    before = {path: world.files.read(path) for path, _ in world.files.list()}
    world.release(DAYS[1], *articles[:2])
    with pytest.raises(ReleaseHeldError, match=rf"removes 4 of 6 versions .*approve: {DAYS[1]}"):
        world.list(hold_floor=1)
    with pytest.raises(ReleaseHeldError):
        world.list(hold_floor=1, approve=DAYS[0])  # another release's approval
    build_generation(world.files)
    assert {path: world.files.read(path) for path, _ in world.files.list()} == before
    assert world.sql("SELECT count(*) FROM current") == [(6,)]
    world.list(hold_floor=1, approve=DAYS[1])
    assert world.sql("SELECT pmcid FROM current") == [(1,), (2,)]


def test_a_release_without_changes_has_no_chunks(world: World) -> None:
    world.build(DAYS[0], art(1))
    assert world.build(DAYS[1], art(1)) == {}
    assert world.list() is None
    assert world.sql("SELECT count(*) FROM current") == [(1,)]
