"""Scope: what a store wants of a release, and what widening it costs."""

from __future__ import annotations

import pytest

from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.status import store_status
from biomedica_assets_tests.ingest.releases import DAYS, World, art

FIRST = f"{DAYS[0]}-00000"


def objects(number: int, *names: str) -> dict[str, int]:
    """One request each for these objects of article ``number``."""
    keys = {"json": f"metadata/PMC{number}.1.json", "xml": f"PMC{number}.1/PMC{number}.1.xml"}
    return {keys.get(name, f"PMC{number}.1/{name}"): 1 for name in names}


ALL = ("json", "xml", "f1.png", "f2.png")


def test_pmcid_ranges(world: World) -> None:
    articles = [art(n) for n in (5, 10, 15, 20, 25)]
    narrow = {"pmcids": ["PMC10-PMC20", "PMC25", "PMC18-PMC22"]}
    asked = world.build(DAYS[0], *articles, scope=narrow)
    assert asked == {key: 1 for n in (10, 15, 20, 25) for key in objects(n, *ALL)}
    assert world.build(DAYS[1], *articles) == objects(5, *ALL)  # widened: the rest is new
    assert world.sql("SELECT pmcid FROM current ORDER BY 1") == [(5,), (10,), (15,), (20,), (25,)]


def test_changes_outside_the_range_wait_and_removals_count(world: World) -> None:
    world.build(DAYS[0], art(1), art(2), art(3))
    narrow = {"pmcids": ["PMC3"]}
    assert world.build(DAYS[1], art(1, title="new"), art(3), scope=narrow) == {}
    assert world.sql("SELECT pmcid FROM current ORDER BY 1") == [(1,), (3,)]
    assert world.sql("SELECT title FROM articles WHERE pmcid = 1") == [("A title",)]
    assert world.build(DAYS[2], art(1, title="new"), art(3)) == objects(1, "json", "xml")


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        ({"licence_groups": ["commercial"]}, ("json",)),  # known before the XML is asked for
        ({"years": [2020, 2021]}, ("json", "xml")),
        ({"article_types": ["research-article"]}, ("json", "xml")),
    ],
    ids=["licence", "year", "type"],
)
def test_what_is_out_of_scope_is_fetched_when_the_scope_widens(
    world: World, scope: dict[str, list], held: tuple[str, ...]
) -> None:
    outside = art(2, licence="CC BY-NC-ND", year=1999, article_type="letter")
    asked = world.build(DAYS[0], art(1), outside, scope=scope)
    assert asked == objects(1, *ALL) | objects(2, *held)
    [version] = [row for row in world.rows("versions") if row["pmcid"] == 2]
    assert version["outcome"] == "out_of_scope"
    assert any(word in version["reason"] for word in ("CC BY-NC-ND", "1999", "letter"))
    assert world.sql("SELECT pmcid FROM current") == [(1,)]
    assert world.build(DAYS[1], art(1), outside, scope=scope) == {}
    assert world.list(scope=scope) is None
    rest = tuple(name for name in ALL if name not in held)
    assert world.build(DAYS[2], art(1), outside) == objects(2, *rest)
    assert [row["action"] for row in world.rows("versions", f"{DAYS[2]}-00000")] == ["retry"]
    assert world.sql("SELECT pmcid FROM current ORDER BY 1") == [(1,), (2,)]
    assert world.build(DAYS[3], art(1), outside) == {}


def test_tables_only_then_images(world: World) -> None:
    asked = world.build(DAYS[0], art(1), art(2), scope={"tables_only": True})
    assert asked == objects(1, "json", "xml") | objects(2, "json", "xml")
    assert world.sql("SELECT (SELECT count(*) FROM captions), (SELECT count(*) FROM images)") == [(4, 0)]
    assert {row["reason"] for row in world.rows("objects")} == {"the scope wants tables only"}
    assert world.shards() == {}
    asked = world.build(DAYS[1], art(1), art(2))
    assert asked == objects(1, "f1.png", "f2.png") | objects(2, "f1.png", "f2.png")
    assert world.sql("SELECT (SELECT count(*) FROM captions), (SELECT count(*) FROM images)") == [(4, 4)]
    assert world.build(DAYS[2], art(1), art(2)) == {}


def test_tables_only_keeps_the_spans_of_unchanged_pictures(world: World) -> None:
    world.build(DAYS[0], art(1))
    asked = world.build(DAYS[1], art(1, title="new"), scope={"tables_only": True})
    assert asked == objects(1, "json", "xml")
    assert world.sql("SELECT count(*) FROM images") == [(2,)]


def test_a_change_met_while_widening_gets_its_pictures(world: World) -> None:
    """The inventory lagged behind the objects: what looks like an unchanged state lacks its pictures."""
    world.release(DAYS[0], art(1))
    world.list(scope={"tables_only": True})
    world.release(DAYS[1], art(1, caption="new"))
    world.ingest(scope={"tables_only": True})
    assert world.build() == objects(1, "f1.png", "f2.png")
    assert world.sql("SELECT count(*) FROM samples WHERE caption LIKE 'new%'") == [(2,)]


def test_historical_ocr_is_a_setting(world: World) -> None:
    scanned = art(1, fields={"is_historical_ocr": True})
    assert world.build(DAYS[0], scanned) == objects(1, "json")
    assert world.outcomes() == {"PMC1.1": "gated:historical_ocr"}
    assert world.build(DAYS[1], scanned) == {}
    assert world.build(DAYS[2], scanned, historical_ocr=True) == objects(1, "xml", "f1.png", "f2.png")
    assert world.outcomes() == {"PMC1.1": "collected"}


def test_byte_budget(world: World) -> None:
    world.release(DAYS[0], *[art(n) for n in range(1, 5)])
    world.list(chunk_size=2)
    workspace = world.workspace(scope={"max_bytes": 10_000})
    status = store_status(world.files, workspace.settings)
    assert (status.bytes, status.over_budget, len(status.unfinished)) == (0, False, 2)
    manifest, _ = ingest_chunk(workspace, status.unfinished[0])
    status = store_status(world.files, workspace.settings)
    data = [size for folder in ("tables", "sources", "shards") for _, size in world.files.list(folder)]
    assert status.bytes == manifest.bytes == sum(data) > 10_000
    assert status.over_budget
    assert status.unfinished == [f"{DAYS[0]}-00001"]


def test_bytes_of_a_second_chunk_do_not_count_what_it_borrows(world: World) -> None:
    world.build(DAYS[0], art(1))
    world.build(DAYS[1], art(1, title="new"))
    status = store_status(world.files, world.workspace().settings)
    assert status.bytes == sum(size for f in ("tables", "sources", "shards") for _, size in world.files.list(f))
